#!/bin/bash
# Builds the guest of "leakvisor demo" again, byte for byte: leaklab for TILE-Gx,
# compressed.
#
# usage: build.sh [OUTPUT]
#   OUTPUT defaults to cmd/leakvisor/demo/leaklab.elf.gz
#
# The compiler is scripts/toolchain/tilegx.sh's; another version of it makes
# another file.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
output=${1:-$root/cmd/leakvisor/demo/leaklab.elf.gz}
gcc=${CC:-$("$root"/scripts/toolchain/tilegx.sh)/bin/tilegx-linux-gcc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CC=$gcc "$root/testdata/guests/leaklab/build.sh" tilegx "$work/leaklab.elf"
gzip -9n <"$work/leaklab.elf" >"$work/leaklab.elf.gz"
mv "$work/leaklab.elf.gz" "$output"
