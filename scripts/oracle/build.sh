#!/bin/bash
# Builds the oracle: a small x86-64 kernel with CONFIG_DEBUG_KMEMLEAK and its
# kmemleak-test module from Debian's linux-source package, and an initramfs
# that prints the in-guest kmemleak's reports (init, beside this file).
#
# usage: build.sh [-s SOURCE_PACKAGE] [CACHE_DIR]
#   -s  linux-source-6.1 (default), linux-source-6.12, …
#   CACHE_DIR defaults to ${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-~/.cache}/leakvisor}/kernels
#
# Prints the finished folder, CACHE_DIR/oracle-HASH, on stdout; progress goes
# to stderr. The hash is over all that goes into the kernel, so a second call
# only packs the initramfs. In the folder:
#   bzImage vmlinux config kmemleak-test.ko initramfs.cpio.gz version
#   build/  what `make -C build M=…` needs for modules of one's own
#
# Needs the packages listed in apt-packages, installs nothing, takes about
# 11 minutes on one core and 4 GB of disk while it works (JOBS=2).
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../kernels/lib.sh"
source=linux-source-6.1
while getopts s: o; do
	case $o in
	s) source=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
cache=${1:-${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leakvisor}/kernels}
say() { echo "oracle: $*" >&2; }
die() { say "$*"; exit 1; }

for tool in apt-get bc bison cc flex flock make xz; do
	command -v $tool >/dev/null || die "$tool is missing: apt-get install the packages in $here/apt-packages"
done
busybox=$(command -v busybox) || die "busybox is missing: apt-get install busybox-static"
LC_ALL=C ldd "$busybox" >/dev/null 2>&1 && die "$busybox is not static: apt-get install busybox-static"
export LC_ALL=C

version=$(candidate "$source")
fragments=("$here"/../kernels/frag/common.config "$here"/frag/{x86_64,kmemleak,renamed}.config)
hash=$({ echo "$source $version"; cc --version | head -1; cat "${fragments[@]}"; } | sha256sum | cut -c1-16)
out=$cache/oracle-$hash
mkdir -p "$cache"

kbuild=()

build() {
	local work=$1 tree
	mkdir "$work/out"
	tree=$work/out/build
	unpack "$source" "$version" "$tree"
	configure "$tree" "${fragments[@]}"
	# Not the lines whose names depend on the version.
	insist "$tree" "${fragments[@]:0:3}"
	grep -qx 'CONFIG_\(DEBUG_KMEMLEAK_TEST\|SAMPLE_KMEMLEAK\)=m' "$tree/.config" || die "$source has no kmemleak-test"
	compile "$tree" "$work/log" bzImage modules || {
		cp "$work/log" "$out.log"
		die "the build failed: $out.log"
	}
	cp "$tree"/arch/x86/boot/bzImage "$tree"/vmlinux "$tree"/samples/kmemleak/kmemleak-test.ko "$work/out/"
	cp "$tree/.config" "$work/out/config"
	make -C "$tree" -s kernelrelease >"$work/out/version"
	echo "$source $version" >>"$work/out/version"
	prune "$tree" x86
	# The last step, so that a folder of this name is always complete.
	mv "$work/out" "$out"
}

# pack writes the initramfs with the kernel's own tool, which makes device
# nodes without being root.
pack() {
	local work=$1
	strip -g -o "$work/kmemleak-test.ko" "$out/kmemleak-test.ko"
	cat >"$work/list" <<-LIST
		dir /bin 0755 0 0
		dir /dev 0755 0 0
		dir /proc 0755 0 0
		dir /sys 0755 0 0
		nod /dev/console 0600 0 0 c 5 1
		file /bin/busybox $busybox 0755 0 0
		file /init $here/init 0755 0 0
		file /kmemleak-test.ko $work/kmemleak-test.ko 0644 0 0
	LIST
	"$out/build/usr/gen_init_cpio" -t 0 "$work/list" | gzip -9n >"$work/initramfs"
	mv "$work/initramfs" "$out/initramfs.cpio.gz"
}

exec 9>"$out.lock"
flock 9
work=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -d "$out" ] || build "$work"
pack "$work"
echo "$out"
