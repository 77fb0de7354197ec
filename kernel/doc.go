// Package kernel reads what Linux keeps in guest memory: CPUs and per-CPU
// areas, tasks and their stacks, modules, page descriptors, slab caches,
// vmalloc areas, memblock, and time. The guest is paused; its data are found
// by the kernel's own debug information and feature-tested by symbol, type
// and member, never by version.
//
// A guest may lie: lists may be cyclic or endless, counts absurd, pointers
// wild. Every reader is bounded, never panics, and returns what it could
// read together with an error that wraps ErrInconsistent or
// guestmem.ErrUnreadable; what a kernel was built without is ErrUnsupported.
//
// The trap: the value of a per-CPU symbol is an offset on some kernels
// (x86-64 before 6.15), which KASLR does not move, and an address which it
// does move on others. The package decides by __per_cpu_start.
package kernel
