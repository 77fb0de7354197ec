#!/bin/bash
# Builds leaklab for an architecture, one of the folders in arch/, with $CC or
# ${CROSS}gcc.
#
# usage: build.sh ARCH OUTPUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
arch=arch/$1 output=$(realpath "$2")
cd "$here" # no path of this machine gets into the file
[ -d "$arch" ] || { echo "build.sh: no architecture $1" >&2; exit 2; }
gcc=${CC:-${CROSS-}gcc}
read -ra flags <"$arch/flags"
flags+=(
	-O2 -g -gdwarf-5 -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror
	-ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns
	-fno-stack-protector -fno-pic -fno-common -fno-asynchronous-unwind-tables
	-fno-strict-aliasing -fdebug-prefix-map="$here"=testdata/guests/leaklab
	-I"$arch" -I.
)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$gcc" "${flags[@]}" -E -P -x assembler-with-cpp -o "$work/vmlinux.lds" vmlinux.lds.S
objects=()
for source in "$arch"/boot.S "$arch"/*.c *.c; do
	object=$work/$(basename "${source%.*}").o
	"$gcc" "${flags[@]}" -c -o "$object" "$source"
	objects+=("$object")
done
"$gcc" "${flags[@]}" -nostdlib -static -no-pie -Wl,--build-id -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments -Wl,-T,"$work/vmlinux.lds" -Wl,-z,max-page-size=4096 \
	-o "$output" "${objects[@]}"
