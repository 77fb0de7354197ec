// Package liveset keeps the allocations that are live: a map from address to
// record that is built for millions of them and millions of changes a second.
//
// Records lie densely in chunks; an extendible hash table (Fagin et al.,
// 1979) of 6-byte slots finds them. So a record costs its own size and 7 to 14
// bytes, nothing is ever copied as a whole, and the longest pause is the
// split of one segment of 2048 slots.
//
// The trap: per-CPU allocations are offsets, not addresses, and page
// allocations may be named by their descriptor. Numbers of different kinds
// need a set each.
package liveset
