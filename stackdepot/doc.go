// Package stackdepot keeps each different backtrace once and names it by a
// small number, as lib/stackdepot.c does in the kernel: of the hundred
// thousand allocations of a boot only a few thousand have a trace of their
// own.
//
// A Depot is for one goroutine at a time. Nothing is ever removed: a trace
// stays valid as long as its Depot does.
package stackdepot
