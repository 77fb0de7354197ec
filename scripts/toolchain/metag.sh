#!/bin/bash
# Builds GNU binutils (as, ld, objdump, objcopy, readelf) for Imagination Meta,
# which no distribution has, from Debian's source package, and puts internal/metagcc
# beside them, which compiles C.
#
# usage: metag.sh [CACHE_DIR]
#   CACHE_DIR defaults to ${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-~/.cache}/leakvisor}/toolchains
#
# Prints the finished folder, CACHE_DIR/metag-HASH, on stdout; its bin has
# metag-linux-as, -gcc and so on. Progress goes to stderr. The hash is over the
# version and this script, so a second call only compiles metagcc.
#
# Needs go, cc, make, bison, flex and xz, and gcc-12-riscv64-linux-gnu for C.
# Installs nothing, takes about 4 minutes on one core and 1 GB of disk while it
# works (JOBS=2).
set -eu -o pipefail
readonly package=binutils-source
cache=${1:-${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leakvisor}/toolchains}
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
say() { echo "toolchain: $*" >&2; }
die() { say "$*"; exit 1; }
export LC_ALL=C

for tool in apt-get go cc make bison flex flock xz; do
	command -v $tool >/dev/null || die "$tool is missing: apt-get install apt golang gcc make bison flex util-linux xz-utils"
done
version=$(apt-cache policy $package | sed -n 's/^ *Candidate: //p')
[ -n "$version" ] && [ "$version" != "(none)" ] || die "no package $package: try apt-get update"
hash=$({ echo "$version"; cat "$self"; } | sha256sum | cut -c1-16)
mkdir -p "$cache"
out=$(cd "$cache" && pwd)/metag-$hash

build() {
	local work=$1 source
	say "fetching $package $version"
	(cd "$work" && apt-get download -q -o APT::Sandbox::User= "$package=$version" >&2) || die "cannot download $package"
	dpkg-deb --fsys-tarfile "$work"/${package}_*.deb | tar -C "$work" -x --wildcards './usr/src/binutils/*.tar.xz'
	source=$(echo "$work"/usr/src/binutils/binutils-*.tar.xz)
	mkdir "$work/src" "$work/build"
	tar -C "$work/src" --strip-components=1 -xf "$source"
	say "building with -j${JOBS:-2}"
	(
		cd "$work/build"
		"$work/src/configure" --target=metag-linux --prefix="$out" --disable-nls --disable-gdb \
			--disable-gprof --disable-gprofng --disable-gold --disable-shared --disable-werror
		nice -n 15 make -j"${JOBS:-2}" MAKEINFO=true all-gas all-ld all-binutils
		make MAKEINFO=true DESTDIR="$work/out" install-gas install-ld install-binutils
	) >"$work/log" 2>&1 || {
		cp "$work/log" "$out.log"
		tail -n 20 "$work/log" >&2
		die "the build failed: $out.log"
	}
	# The last step, so that a folder of this name is always complete.
	mv "$work/out$out" "$out"
}

exec 9>"$out.lock"
flock 9
if [ ! -d "$out" ]; then
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	build "$work"
fi
go build -C "${self%/scripts/*}" -o "$out/bin/metag-linux-gcc" ./internal/metagcc
echo "$out"
