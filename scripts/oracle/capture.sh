#!/bin/bash
# Boots the oracle kernel and writes what its own kmemleak reported into
# testdata/oracle: kmemleak-VERSION.txt with kmemleak-test loaded, and
# kmemleak-VERSION-unloaded.txt after its removal, when the frames in the
# module have no symbols any more.
#
# usage: capture.sh FOLDER, as printed by build.sh
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: capture.sh FOLDER, as printed by build.sh}
to=$here/../../testdata/oracle
console=$(mktemp)
trap 'rm -f "$console"' EXIT
"$here/run.sh" "$dir" | tr -d '\r' >"$console"
grep -q '^== done' "$console" || { tail -20 "$console" >&2; exit 1; }
version=$(sed -n 's/^== release \([0-9]*\.[0-9]*\).*/\1/p' "$console")
section() { sed -n "/^== $1\$/,/^== end $1 /{/^== /!p}" "$console"; }
section loaded >"$to/kmemleak-$version.txt"
section unloaded >"$to/kmemleak-$version-unloaded.txt"
grep '^== end' "$console"
