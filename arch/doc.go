// Package arch describes guest architectures as values.
//
// An Arch is an immutable row: word size, byte order, registers by name with
// their DWARF and GDB numbers, calling convention, Linux page-table levels,
// the names under which the kernel keeps its sections and per-CPU state, and
// how an emulator runs it. Nothing in Leakvisor decides by an architecture's
// name; a field that is nil or zero means "not supported here", and callers
// say so.
//
// Each family has a folder below this one, which exports rows and imports
// only this package; arch/all lists them. The trap: Go file suffixes such as
// _arm or _s390 are build constraints, so files are named by noun.
package arch
