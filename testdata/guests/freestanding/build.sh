#!/bin/bash
# Builds the freestanding guest as a kernel is: with a nop of five bytes at
# each function's start, and return thunks.
#
# usage: build.sh OUTPUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec gcc -O2 -g -Wall -ffreestanding -nostdlib -static -no-pie -fno-pic \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-toplevel-reorder \
	-pg -mfentry -mnop-mcount -mrecord-mcount -mfunction-return=thunk-extern \
	-Wl,--build-id -Wl,-T,"$here/guest.lds" -Wl,-z,max-page-size=4096 \
	-o "$1" "$here/head.S" "$here/alloc.c" "$here/main.c"
