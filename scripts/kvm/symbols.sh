#!/bin/bash
# Makes a vmlinux that is small enough for the test bed: code, symbols and
# unwind tables, and no debug information. What that says must be in the cache
# of an earlier run, so the section that stands for it is empty.
#
# usage: scripts/kvm/symbols.sh VMLINUX OUTPUT
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
objcopy --strip-debug --remove-relocations='*' "$1" "$temp/stripped"
printf '\0\0\0\0' > "$temp/empty"
objcopy --add-section .debug_info="$temp/empty" "$temp/stripped" "$2"
