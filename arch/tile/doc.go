// Package tile has the row of TILE-Gx, Tilera's 64-bit processors, as Linux used
// them until 4.16 (arch/tile): little-endian, pages of 64 KiB.
//
// The page tables are those of the Tilera hypervisor, which walks them for
// Linux: arch/tile/include/hv/hypervisor.h of Linux 4.14. An entry has the
// physical address in units of 2 KiB above 35 bits of flags.
//
// What runs a guest is hv/emu: QEMU has no such machine.
package tile
