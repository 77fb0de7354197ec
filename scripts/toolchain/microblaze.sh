#!/bin/bash
# Builds binutils and a C compiler for big-endian MicroBlaze, which Debian does
# not have, of its binutils-source and gcc-12-source packages: what a kernel is
# built with, so no C library and no libgcc.
#
# usage: microblaze.sh
#
# Prints the folder CACHE/toolchains/microblaze-HASH/bin on stdout; progress
# goes to stderr. The programs are called microblaze-linux-gcc and so on. The
# hash is over the versions and this script. The first time takes some 10
# minutes on one core and 3 GB of disk while it works (JOBS=2).
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../kernels/lib.sh"
export LC_ALL=C
say() { echo "toolchain: $*" >&2; }
die() { say "$*"; exit 1; }

readonly target=microblaze-linux
binutils=$(candidate binutils-source)
gcc=$(candidate gcc-12-source)
cache=${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leakvisor}/toolchains
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
out=$cache/microblaze-$({ echo "$binutils $gcc"; cat "$here/microblaze.sh"; } | sha256sum | cut -c1-16)

# quietly COMMAND...: what it prints is seen only where it fails.
quietly() {
	nice -n 19 "$@" >>"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		cp "$work/log" "$out.log"
		die "$1 failed: $out.log"
	}
}

# Both are installed under $work/out$out, so that a folder of the right name
# is always complete.
build() {
	local common=(--target="$target" --prefix="$out" --disable-nls MAKEINFO=true)

	unpack binutils-source "$binutils" "$work/binutils"
	unpack gcc-12-source "$gcc" "$work/gcc"
	mkdir "$work/b" "$work/g"
	say "building binutils with -j${JOBS:-2}; log: $work/log"
	cd "$work/b"
	quietly ../binutils/configure "${common[@]}" --disable-gdb --disable-gdbserver --disable-sim \
		--disable-gprof --disable-gprofng --disable-werror --disable-libdecnumber --disable-readline
	quietly make -j"${JOBS:-2}" MAKEINFO=true all-gas all-ld all-binutils
	quietly make MAKEINFO=true DESTDIR="$work/out" install-gas install-ld install-binutils
	say "building gcc"
	cd "$work/g"
	PATH=$work/out$out/bin:$PATH
	quietly ../gcc/configure "${common[@]}" --enable-languages=c --without-headers --with-newlib \
		--disable-shared --disable-threads --disable-libssp --disable-libquadmath --disable-libgomp \
		--disable-libatomic --disable-bootstrap --disable-multilib --disable-lto --disable-plugin \
		--enable-checking=release CFLAGS=-O1 CXXFLAGS=-O1
	quietly make -j"${JOBS:-2}" MAKEINFO=true all-gcc
	# The manual's source is older than what is made of it.
	touch gcc/s-tm-texi
	quietly make MAKEINFO=true DESTDIR="$work/out" install-gcc
	cd /
	mv "$work/out$out" "$out"
}

exec 9> "$cache/.microblaze.lock"
if ! flock -n 9; then
	say "waiting for another run"
	flock 9
fi
if [ ! -d "$out" ]; then
	for tool in apt-get bison c++ flex make xz; do
		command -v $tool >/dev/null || die "needs $tool: run scripts/setup.sh microblaze-6.1"
	done
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	build
fi
echo "$out/bin"
