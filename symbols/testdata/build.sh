#!/bin/sh -e
# SPDX-License-Identifier: Apache-2.0
# Builds the small ELF files beside it. They are kept, so that the tests need
# no compiler; rebuild them with Debian's gcc, gcc-powerpc-linux-gnu,
# gcc-mipsel-linux-gnu, gcc-mips64el-linux-gnuabi64, gcc-sparc64-linux-gnu and
# binutils when a source changes:
#
#	amd64.elf    x86-64, linked like a vmlinux, DWARF 5
#	dwarf4.elf   the same in DWARF 4, without .debug_aranges
#	zlib.elf     the same as amd64.elf with compressed debug sections
#	zstd.elf     likewise
#	split.elf    the same as amd64.elf, with all but the code in split.debug
#	module.ko    x86-64, not linked
#	mipsel.ko    32-bit, with addends in place (REL)
#	mips64el.ko  64-bit, with the relocations of MIPS
#	sparc64.ko   64-bit, big-endian, with those for what is not aligned
#	tilegx.ko    the same for TILE-Gx; with scripts/toolchain/tilegx.sh's bin
#	             folder in PATH, else it is left as it is
#	microblaze.ko, microblazeel.ko
#	             32-bit, of both byte orders; with scripts/toolchain/microblaze.sh's
#	             bin folder in PATH, else they are left as they are
#	i386.elf     32-bit
#	powerpc.elf  32-bit, big-endian
#	ppc2.elf     the same in DWARF 2, whose bit fields are described otherwise
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# build PREFIX OUTPUT TEXT-ADDRESS CFLAGS...
build() {
	prefix=$1 out=$2 text=$3
	shift 3
	for f in one.c two.c labels.S; do
		# The folder of the build must not get into the files.
		"${prefix}gcc" -c -g -O2 -fno-pic -ffreestanding -fno-stack-protector \
			-fdebug-prefix-map="$PWD=." -fno-asynchronous-unwind-tables "$@" -o "$tmp/$f.o" "$f"
	done
	"${prefix}ld" -e 0 --build-id=0x00112233445566778899aabbccddeeff00112233 \
		--defsym=_end=0x"${text}"+0x100000 -Ttext=0x"$text" -z noexecstack -z max-page-size=4096 \
		$emulation -o "$out" "$tmp/labels.S.o" "$tmp/one.c.o" "$tmp/two.c.o"
}

emulation=
build "" amd64.elf ffffffff81000000 -gdwarf-5 -mcmodel=kernel
build "" dwarf4.elf ffffffff81000000 -gdwarf-4 -mcmodel=kernel
objcopy --remove-section .debug_aranges dwarf4.elf
objcopy --compress-debug-sections=zlib amd64.elf zlib.elf
objcopy --compress-debug-sections=zstd amd64.elf zstd.elf
objcopy --only-keep-debug amd64.elf split.debug
objcopy --strip-all --add-gnu-debuglink=split.debug amd64.elf split.elf

# module PREFIX OUTPUT CFLAGS...
module() {
	prefix=$1 out=$2
	shift 2
	for f in one two; do
		"${prefix}gcc" -c -g -gdwarf-5 -O2 -fno-pic -ffreestanding -ffunction-sections \
			-fdebug-prefix-map="$PWD=." "$@" -o "$tmp/$f.o" "$f.c"
	done
	"${prefix}ld" -r $emulation --build-id=0xffeeddccbbaa99887766554433221100ffeeddcc -o "$out" "$tmp/one.o" "$tmp/two.o"
}

module "" module.ko
module mipsel-linux-gnu- mipsel.ko -mno-abicalls -G0
module mips64el-linux-gnuabi64- mips64el.ko -mno-abicalls -G0
module sparc64-linux-gnu- sparc64.ko -mcmodel=medlow
# Else it is left as it is.
if command -v tilegx-linux-gcc >/dev/null; then
	module tilegx-linux- tilegx.ko
fi
if command -v microblaze-linux-gcc >/dev/null; then
	module microblaze-linux- microblaze.ko
	emulation=-EL
	module microblaze-linux- microblazeel.ko -mlittle-endian
fi
emulation="-m elf_i386"
build "" i386.elf c1000000 -gdwarf-5 -m32 -fno-omit-frame-pointer
emulation=
build powerpc-linux-gnu- powerpc.elf c0000000 -gdwarf-5
build powerpc-linux-gnu- ppc2.elf c0000000 -gdwarf-2 -gstrict-dwarf
chmod 644 ./*.elf ./*.ko split.debug
