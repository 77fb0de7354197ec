// Package kvm runs guests under Linux's KVM on x86-64 hosts and learns of
// executed addresses by hooks in the guest's own text.
//
// The machine is small: RAM, the in-kernel interrupt controllers and timer, a
// 16550 at COM1, an RTC and enough ACPI to power off and reset. Interfaces
// followed: Linux Documentation/virt/kvm/api.rst (6.1), the x86 boot protocol
// (Documentation/arch/x86/boot.rst), ACPI 6.4.
//
// Two kinds of hook. A trap replaces the first bytes of an instruction; the
// vCPU exits, the event is built, and the tracer performs the displaced
// instruction itself, so that nothing is ever stepped on the hot path. A ring
// probe is a jump to a stub in memory of the tracer's own, which writes the
// event into a ring and goes on: no exit. Which instruction traps properly
// differs between hosts, so it is probed with a tiny guest, never assumed.
//
// github.com/bobuhiro11/gokvm serves with its ioctl layer and boot parameter
// block. Its machine package does not: it has one memory slot and no PCI
// hole, keeps guest RAM to itself, drops KVM_RUN's errors, and has neither
// ACPI nor a serial port with working interrupts.
//
// The trap: the guest reads and rewrites its own text while it boots, see
// hv.Plan.Patchers; and whatever else finds a hook's bytes there (function
// tracing, kprobes on a hooked function) will not like them.
package kvm
