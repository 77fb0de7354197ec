#!/bin/bash
# Makes the initramfs of "make soak": Debian's programs in ./packages for the
# guest's architecture, all modules of its kernel, and what ./guest does with
# them. Nothing is installed.
#
# usage: scripts/soak/root.sh GUEST
#
# Prints the file, in the guest's folder in the cache; programs and modules are
# fetched once. The guest is there already (scripts/guest.sh GUEST), and is
# one of Debian's kernels.
set -euo pipefail
export LC_ALL=C

say() { echo "soak: $*" >&2; }
die() { say "$*"; exit 1; }

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../guests.sh"
[ $# = 1 ] || die "usage: scripts/soak/root.sh GUEST"
describe "$1" || die "no guest named $1 (there are: $names)"
[ -z "$recipe" ] || die "$1 is no kernel of Debian's: there are no modules of it"
cache=${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leakvisor}
folder=$(cd "$cache/guests/$1" 2>/dev/null && pwd) || die "run scripts/guest.sh $1 first"
value() { sed -n "s/^$1=//p" "$folder/manifest"; }
root=$folder/soak-$({ cat "$here/packages" "$here/root.sh"; value version; } | sha256sum | cut -c1-16)
temp=$(mktemp -d "$folder/.soak.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Makes apt believe in a machine of the guest's architecture on which nothing is
# installed, with the lists that scripts/guest.sh has fetched for it.
apt_lists() {
	mkdir -p "$temp/apt/archives/partial"
	: >"$temp/apt/status"
	if [ "$debian" != "$(dpkg --print-architecture)" ]; then
		export APT_CONFIG=$cache/apt/$debian/conf
		[ -r "$APT_CONFIG" ] || die "no package lists of $debian: run scripts/guest.sh --update ${folder##*/}"
	fi
	apt=(-qq -o Dir::State::status="$temp/apt/status" -o Dir::Cache="$temp/apt"
		-o Debug::NoLocking=1 -o APT::Sandbox::User= -o Acquire::Retries=3
		-o APT::Install-Recommends=0)
}

# Unpacks packages, whose scripts are not run.
unpack() {
	local package

	for package in "$@"; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$temp/root" --no-same-owner --keep-directory-symlink \
			--exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/man/*' \
			--exclude='./usr/share/i18n/*' --exclude='./usr/share/zoneinfo/*' --exclude='./boot/*' \
			--exclude='./usr/lib/*/perl*' --exclude='./usr/share/perl*' ||
			die "cannot unpack ${package##*/}"
	done
}

fetch() {
	local name

	apt_lists
	mkdir -p "$temp/root"/usr/{bin,sbin,lib,lib64}
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$temp/root/$name"
	done
	say "fetching programs for $debian"
	apt-get install "${apt[@]}" -y --download-only $(grep -v '^#' "$here/packages") >"$temp/log" 2>&1 ||
		{ cat "$temp/log" >&2; die "apt-get cannot fetch them: run apt-get update"; }
	unpack "$temp"/apt/archives/*.deb
	rm -f "$temp"/apt/archives/*.deb
	say "fetching the modules of $(value release)"
	(cd "$temp/apt/archives" && apt-get download "${apt[@]}" "$(value image)" >&2) ||
		die "cannot fetch $(value image): run scripts/guest.sh --update ${folder##*/}"
	unpack "$temp"/apt/archives/*.deb
	depmod -b "$temp/root" "$(value release)" || die "depmod failed"
	for name in dev proc sys tmp run mnt/a mnt/b; do
		mkdir -p "$temp/root/$name"
	done
	echo "root:x:0:0:root:/:/bin/sh" >"$temp/root/etc/passwd"
	echo "root:x:0:" >"$temp/root/etc/group"
	rm -rf "$folder"/soak-*
	mv "$temp/root" "$root"
}

[ -d "$root" ] || fetch
# Both archives are unpacked into one: the second is what may have changed.
mkdir "$temp/guest"
cp -r "$here/guest" "$temp/guest/soak"
mv "$temp/guest/soak/init" "$temp/guest/init"
for tree in "$root" "$temp/guest"; do
	(cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1)
done >"$temp/initramfs"
mv "$temp/initramfs" "$folder/soak.cpio.gz"
echo "$folder/soak.cpio.gz"
