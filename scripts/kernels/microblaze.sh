# Debian has no compiler for MicroBlaze, and QEMU no device tree for the board:
# the kernel's own is of another design of it, and is mended to what QEMU has
# (hw/microblaze/petalogix_s3adsp1800_mmu.c): less memory, other interrupts, and
# no Ethernet by DMA.
cross=$(JOBS=${JOBS:-2} "$here/../toolchain/microblaze.sh")/$cross

after() {
	sed -e 's/reg = < 0x90000000 0x10000000 >/reg = < 0x90000000 0x08000000 >/' \
		-e '/serial@84000000 {/,/} ;/s/interrupts = < 8 0 >/interrupts = < 3 0 >/' \
		-e '/timer@83c00000 {/,/} ;/s/interrupts = < 3 2 >/interrupts = < 0 2 >/' \
		-e 's/xlnx,kind-of-intr = <0x100>/xlnx,kind-of-intr = <0xa>/' \
		-e '/sdma@84600180 {/,/} ;/d' \
		-e 's/llink-connected = <&PIM3>;//' \
		arch/microblaze/boot/dts/system.dts |
		scripts/dtc/dtc -q -O dtb -o "$work/out/board.dtb" ||
		die "cannot make the board's device tree"
}
