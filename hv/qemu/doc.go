// Package qemu runs guests under qemu-system with TCG, and learns of executed
// addresses by a plugin inside it.
//
// Start launches QEMU with everything inherited: guest RAM is a memfd that is
// mapped here too, and QMP, the gdb stub and the serial console are socket
// pairs, so nothing is left in a file system and QEMU dies with this process.
// The plugin (plugin/, C, GPL-2.0-or-later, compiled by cc into a cache when
// first used) writes records into a shared ring. Interfaces followed: QEMU's
// TCG plugin API version 4 (QEMU 9.2 and later), the QEMU Machine Protocol,
// and the GDB remote serial protocol.
//
// Who waits for whom: a vCPU waits for the ring's reader (kernel entry, full
// ring, Sync hook); QEMU's main loop waits for vCPUs (pause, shutdown). The
// ring is therefore read by a goroutine that waits for nothing else, and a
// pause lets vCPUs out of their Sync holds, see pause.go.
package qemu
