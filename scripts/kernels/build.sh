#!/bin/bash
# Builds a guest that Debian has no kernel for: a small kernel of Debian's
# linux-source package, and a program that is the guest's first process, with a
# cross compiler. scripts/guest.sh calls it; scripts/guests.sh says what the
# guests are.
#
# usage: build.sh [--update] NAME
#
#   --update   take the newest source that apt knows, even if there is a kernel
#
# The result is CACHE/kernels/NAME-HASH, where the hash is over all that goes
# into it, and CACHE/guests/NAME is a link to the latest; that is printed. In
# the folder, as in those that guest.sh fetches:
#   manifest   KEY=VALUE lines
#   vmlinuz    what QEMU boots; vmlinux, with debug symbols
#   build      where to point "make -C" to build a module
#   init       the first process (init.c, beside this file)
#   board.dtb  for a machine that QEMU has no device tree for
#
# Takes some 5 minutes on one core and 2 GB of disk while it works (JOBS=2),
# and a compiler first where Debian has none.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../guests.sh"
. "$here/lib.sh"

readonly format=1
export LC_ALL=C
say() { echo "kernel: $*" >&2; }
die() { say "$*"; exit 1; }

# Prints the version of the source to build: that of the guest that is there,
# if apt still has it and nobody wants a newer one.
pick_version() {
	local have

	have=$(sed -n 's/^version=//p' "$link/manifest" 2>/dev/null) || true
	if [ -z "$update" ] && [ -n "$have" ] &&
		{ [ "$(readlink "$link")" = "../kernels/$name-$(hash "$have")" ] ||
			apt-cache show "$source=$have" >/dev/null 2>&1; }; then
		echo "$have"
	else
		candidate "$source"
	fi
}

# hash VERSION
hash() {
	{
		echo "$format $source $1 $image $target${flags[*]/#/ }"
		"$cc" --version | head -1
		cat "${fragments[@]}"
		[ ! -e "$here/$recipe.sh" ] || cat "$here/$recipe.sh"
	} | sha256sum | cut -c1-16
}

# What a kernel needs besides: $recipe.sh can redefine these. They run in the
# tree's folder; the first before it is configured, the second when it is built.
before() { :; }
after() { :; }

# The first process needs nothing of the kernel's sources but the numbers of the
# system calls, so it is made anew each time; with the compiler's plugins that
# the recipe put beside the kernel's scripts, for the compiler is the same.
build_init() {
	local tree=$out/build arch=$out/build/arch/$folder plugin plugins=()

	for plugin in "$tree"/scripts/*.plugin; do
		[ ! -e "$plugin" ] || plugins+=("-fplugin=$plugin")
	done
	"$cc" "${flags[@]}" "${plugins[@]}" -O1 -static -nostdlib -ffreestanding -fno-pic -no-pie -fno-stack-protector \
		-fno-asynchronous-unwind-tables -Wl,--build-id=none -s \
		-I "$arch/include/generated/uapi" -I "$arch/include/uapi" \
		-I "$tree/include/generated/uapi" -I "$tree/include/uapi" \
		-o "$work/init" "$here/init.c" || die "cannot build the first process"
	cmp -s "$work/init" "$out/init" || mv "$work/init" "$out/init"
}

write_manifest() {
	cat > "$work/manifest" <<-END
		format=$format
		name=$name
		release=$(cat "$out/build/include/config/kernel.release")
		version=$version
		source=$source
		karch=$karch
		cross=$cross
		compiler=$cc
		emulator=$emulator
		cpus=$cpus
		stays=$stays
	END
	mv "$work/manifest" "$out/manifest"
}

build() {
	local tree=$work/out/build

	mkdir "$work/out"
	unpack "$source" "$version" "$tree"
	(cd "$tree" && before)
	configure "$tree" "${fragments[@]}"
	insist "$tree" "${fragments[@]}"
	compile "$tree" "$work/log" vmlinux $target modules || {
		cp "$work/log" "$out.log"
		die "the build failed: $out.log"
	}
	(cd "$tree" && after)
	if [ "$image" = vmlinux ]; then
		"${cross}strip" -g -o "$work/out/vmlinuz" "$tree/vmlinux"
	else
		cp "$tree/$image" "$work/out/vmlinuz"
	fi
	mv "$tree/vmlinux" "$work/out/"
	prune "$tree" "$folder"
	# The last step, so that a folder of this name is always complete.
	mv "$work/out" "$out"
}

update=
if [ "${1:-}" = --update ]; then
	update=1
	shift
fi
[ $# = 1 ] || die "usage: build.sh [--update] NAME"
name=$1
describe "$name" && [ -n "$recipe" ] || die "$name is no guest that is built"
cache=${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leakvisor}
mkdir -p "$cache/kernels" "$cache/guests" || die "cannot write to $cache"
cache=$(cd "$cache" && pwd)
link=$cache/guests/$name
for tool in apt-get bc bison cc flex flock make xz; do
	command -v $tool >/dev/null || die "needs $tool: run scripts/setup.sh $name"
done

exec 9> "$cache/kernels/.$name.lock"
if ! flock -n 9; then
	say "waiting for another run that builds $name"
	flock 9
fi
work=$(mktemp -d "$cache/kernels/tmp.XXXXXX")
# Removing a tree takes time that nobody need wait for.
trap 'exec 9>&-; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -e "$here/$recipe.sh" ]; then
	. "$here/$recipe.sh"
fi
cc=${cross}$gcc
command -v "$cc" >/dev/null || die "needs $cc: run scripts/setup.sh $name"
kbuild=(ARCH="$karch" CROSS_COMPILE="$cross" CC="$cc")
if [ ${#flags[@]} -gt 0 ]; then
	# The kernel's makefiles do not give them to the linker script's preprocessor.
	kbuild+=(KCPPFLAGS="${flags[*]}")
fi
fragments=("${fragments[@]/#/$here/frag/}")
fragments=("${fragments[@]/%/.config}")
version=$(pick_version)
out=$cache/kernels/$name-$(hash "$version")
if [ -d "$out" ]; then
	say "$name is there ($version)"
else
	build
	say "$name is ready"
fi
build_init
write_manifest
ln -sfn "../kernels/$(basename "$out")" "$link"
echo "$link"
