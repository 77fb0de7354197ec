#!/bin/bash
# Builds a C compiler for TILE-Gx, which no distribution has any more, of
# Debian's binutils-source and gcc-12-source packages: binutils, gcc for C and
# libgcc, without a C library.
#
# usage: tilegx.sh [CACHE_DIR]
#   CACHE_DIR defaults to ${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-~/.cache}/leakvisor}/toolchains
#
# Prints the finished folder, CACHE_DIR/tilegx-HASH, on stdout; its bin has
# tilegx-linux-gcc, -as, -ld, -objdump. The hash is over the versions and this
# script. Progress goes to stderr. The first time takes about 12 minutes on one
# core and 3 GB of disk while it works (JOBS=2). apt-get must be able to
# download packages; nothing is installed but what a compiler is built with, if
# it is missing: see needs below.
set -eu -o pipefail
readonly target=tilegx-linux
readonly needs=(g++ make flex bison util-linux xz-utils libgmp-dev libmpfr-dev libmpc-dev)
cache=${1:-${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leakvisor}/toolchains}
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
say() { echo "tilegx: $*" >&2; }
die() { say "$*"; exit 1; }

candidate() {
	local v
	v=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: //p')
	[ -n "$v" ] && [ "$v" != "(none)" ] || die "no package $1: try apt-get update"
	echo "$v"
}

binutils=$(candidate binutils-source)
gcc=$(candidate gcc-12-source)
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
hash=$({ echo "$binutils $gcc"; cat "$self"; } | sha256sum | cut -c1-16)
mkdir -p "$cache"
out=$(cd "$cache" && pwd)/tilegx-$hash
exec 9>"$out.lock"
flock 9
if [ -d "$out" ]; then
	echo "$out"
	exit
fi

missing=()
for p in "${needs[@]}"; do
	dpkg -s "$p" 2>/dev/null | grep -q '^Status: .* installed$' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
	[ "$(id -u)" = 0 ] || die "as root: apt-get install ${missing[*]}"
	say "installing ${missing[*]}"
	apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 \
		"${missing[@]}" >&2
fi

work=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# fetch unpacks the tar file that a source package has.
fetch() {
	say "fetching $1 $2"
	apt-get download -q -o APT::Sandbox::User= "$1=$2" >&2
	dpkg -x "$1"_*.deb deb
	tar -xf deb/usr/src/"$3"/"${3%%-*}"-*.tar.xz
	rm -rf deb "$1"_*.deb
}

# quietly runs a step and shows the end of what it printed only if it fails.
quietly() {
	"$@" >step.log 2>&1 || {
		tail -40 step.log >&2
		die "failed: $*"
	}
}

fetch binutils-source "$binutils" binutils
fetch gcc-12-source "$gcc" gcc-12
# gcc finds what belongs to it from where it is, so that the folder can be moved
# to its final place when it is complete.
common=(--target=$target --prefix="$work/out" --disable-nls MAKEINFO=true)

say "building binutils"
mkdir b && cd b
quietly ../binutils-2*/configure "${common[@]}" --disable-gdb --disable-gdbserver \
	--disable-sim --disable-gprof --disable-gprofng --disable-werror \
	--disable-libdecnumber --disable-readline --enable-obsolete
quietly make -j"${JOBS:-2}" MAKEINFO=true
quietly make install MAKEINFO=true
cd ..

say "building gcc"
export PATH=$work/out/bin:$PATH
mkdir g && cd g
quietly ../gcc-12*/configure "${common[@]}" --enable-obsolete --enable-languages=c \
	--without-headers --with-newlib --disable-shared --disable-threads \
	--disable-libssp --disable-libquadmath --disable-libgomp --disable-libatomic \
	--disable-bootstrap --disable-multilib --disable-lto --disable-plugin \
	--enable-checking=release CFLAGS=-O1 CXXFLAGS=-O1
quietly make -j"${JOBS:-2}" all-gcc MAKEINFO=true
touch gcc/s-tm-texi
quietly make install-gcc MAKEINFO=true
quietly make -j"${JOBS:-2}" all-target-libgcc MAKEINFO=true
quietly make install-target-libgcc MAKEINFO=true
cd ..

mv "$work/out" "$out"
"$out/bin/$target-gcc" --version | head -1 >&2
echo "$out"
