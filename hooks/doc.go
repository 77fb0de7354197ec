// Package hooks learns of the guest's allocations.
//
// The allocator table is data: which functions allocate and free, what they
// do, and where their size, pointer and array arguments are. BuildPlan turns
// the rows that a kernel has into addresses to hook; Tracker pairs entries
// with exits by stack pointer and keeps the live set, each object with the
// call stack, task and time of its allocation.
//
// An allocation counts at its function's exit, a free at its entry: between
// an allocator's return and the next call that frees the object nobody else
// can get the same address, so the order of events is the order of lives.
package hooks
