#!/bin/bash
# Boots the oracle kernel that build.sh made, under QEMU's TCG, and prints the
# guest's console: the in-guest kmemleak's reports between the lines that init,
# beside this file, describes. Takes about a minute, most of it kmemleak's
# minimum age of 5 s.
#
# usage: run.sh FOLDER [MORE KERNEL ARGUMENTS]
#
# The guest has one CPU and no KASLR and prints real pointers, so that two runs
# give nearly the same text. TIMEOUT=300 bounds it, in seconds.
set -eu
dir=${1:?usage: run.sh FOLDER, as printed by build.sh}
shift
exec timeout -k 5 "${TIMEOUT:-300}" qemu-system-x86_64 -accel tcg -M pc -cpu qemu64 -m 256 \
	-nodefaults -display none -serial stdio -no-reboot \
	-kernel "$dir/bzImage" -initrd "$dir/initramfs.cpio.gz" \
	-append "console=ttyS0 nokaslr no_hash_pointers panic=-1 $*" </dev/null
