#!/bin/bash
# Fetches a stock Debian guest into the cache: its kernel, the kernel's debug
# symbols, and the headers that modules are built against. Nothing is
# installed. Prints the guest's folder; a second run finds it there.
#
# usage: scripts/guest.sh [--update] NAME
#
#   --update   look for a newer version even if the guest is there
#
# The folder is ${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-~/.cache}/leakvisor}/guests/NAME:
#   manifest   KEY=VALUE lines: name, release, version, packages, karch, cross,
#              emulator (scripts/guests.sh says what these are)
#   vmlinuz    the kernel image
#   vmlinux    its debug symbols (ELF)
#   build      where to point "make -C" to build a module
#   busybox    for a foreign guest: its static busybox
# A guest that Debian has no kernel for is built: see scripts/kernels/build.sh.
#
# Packages of a foreign architecture come through lists of its own, in the
# cache: the machine's apt is not told of the architecture.
set -euo pipefail

. "$(dirname "$0")/guests.sh"

readonly format=1
export LC_ALL=C

say() { echo "guest: $*" >&2; }
die() { say "$*"; exit 1; }

# Prints "VERSION RELEASE" for each version that apt knows of the guest's
# image, newest first.
versions() {
	local package version

	apt-cache show "${metas[@]}" 2>/dev/null |
		awk -v series="$series" -v flavour="$flavour" '
		/^Depends: / {
			for (i = 2; i <= NF; i++) {
				name = $i
				if (index(name, "linux-image-" series ".") != 1)
					continue
				sub(/,$/, "", name); sub(/-unsigned$/, "", name)
				sub(/^linux-image-/, "", name)
				# 6.1.0-56-amd64 and 6.12.117+deb12-amd64, but
				# not -cloud-amd64 or -rt-amd64.
				rest = name
				sub(/^[0-9][0-9.]*([+~][a-z0-9.]*)?(-[0-9]+)?-/, "", rest)
				if (rest == flavour)
					print name
			}
		}' | sort -u |
		while read -r package; do
			apt-cache show "linux-image-$package-dbg" 2>/dev/null |
				awk -v release="$package" '
				/^Version: / { print $2, release }'
		done | newest_first
}

newest_first() {
	local line lines=() i j

	while read -r line; do
		lines+=("$line")
	done
	for ((i = 1; i < ${#lines[@]}; i++)); do
		for ((j = i; j > 0; j--)); do
			dpkg --compare-versions "${lines[j]%% *}" gt \
				"${lines[j - 1]%% *}" || break
			line=${lines[j]}
			lines[j]=${lines[j - 1]}
			lines[j - 1]=$line
		done
	done
	[ ${#lines[@]} = 0 ] || printf '%s\n' "${lines[@]}"
}

available() {
	apt-cache show "$1=$2" >/dev/null 2>&1
}

# The tools in linux-kbuild-* run on this machine, for any kernel.
is_tool() { [[ $1 == linux-kbuild-* ]]; }

# Prints the package of tools with the guest's version, if the machine's lists
# have it, else whatever they have.
own_tool() {
	if own apt-cache show "$1=$version" >/dev/null 2>&1; then
		echo "$1=$version"
	else
		echo "$1"
	fi
}

# Finds the newest version of which everything is there, and sets version,
# release, package_image, debug and headers (packages, PACKAGE=VERSION each).
resolve() {
	local image_package depends dependency

	while read -r version release; do
		package_image=
		for image_package in "linux-image-$release" \
			"linux-image-$release-unsigned"; do
			if available "$image_package" "$version"; then
				package_image=$image_package=$version
				break
			fi
		done
		[ -n "$package_image" ] || continue
		debug=linux-image-$release-dbg=$version
		available "linux-headers-$release" "$version" || continue
		headers=("linux-headers-$release=$version")
		depends=$(apt-cache show "linux-headers-$release=$version" |
			sed -n 's/^Depends: //p' | tr ',|' '\n\n' |
			sed -n 's/^ *\(linux-[^ ]*\).*/\1/p')
		for dependency in $depends; do
			case $dependency in
			linux-headers-*-common | linux-headers-*-common-rt | linux-kbuild-*)
				if is_tool "$dependency"; then
					dependency=$(own_tool "$dependency")
				elif available "$dependency" "$version"; then
					dependency=$dependency=$version
				fi
				headers+=("$dependency") ;;
			esac
		done
		return
	done < <(versions)
	die "apt knows no $series kernel of flavour $flavour with debug symbols" \
		"and headers of one version (asked for: ${metas[*]});" \
		"run apt-get update, or scripts/setup.sh"
}

# Old package lists name versions that the mirrors no longer have.
update_lists() {
	if [ -n "$foreign" ]; then
		say "updating the package lists of $debian"
		foreign_lists
		apt-get update -qq -o Acquire::Retries=3 >&2 || true
	fi
	update_own_lists
}

# Makes apt use lists for the guest's architecture alone.
foreign_lists() {
	local dir=${guests%/guests}/apt/$debian

	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	: > "$dir/status"
	cat > "$dir/conf" <<-END
		APT::Architecture "$debian";
		APT::Architectures { "$debian"; };
		APT::Sandbox::User "";
		Dir::State "$dir";
		Dir::State::lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
	END
	export APT_CONFIG=$dir/conf
}

# Runs a command with the machine's own lists.
own() { env -u APT_CONFIG "$@"; }

update_own_lists() {
	if [ "$(id -u)" = 0 ]; then
		say "updating the package lists"
		own apt-get update -qq -o Acquire::Retries=3 >&2 || true
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		say "updating the package lists"
		own sudo -n apt-get update -qq -o Acquire::Retries=3 >&2 || true
	fi
}

# Downloads one package to $temp/$1.deb; $2 is PACKAGE or PACKAGE=VERSION.
download() {
	say "downloading ${2%%=*}"
	mkdir "$temp/download"
	local run=()

	if is_tool "$2"; then
		run=(own)
	fi
	(cd "$temp/download" && "${run[@]}" apt-get download -qq \
		-o Acquire::Retries=3 -o APT::Sandbox::User= "$2" >&2) ||
		die "cannot download $2: no network, or old package lists" \
			"(run apt-get update)"
	mv "$temp"/download/*.deb "$temp/$1.deb"
	rmdir "$temp/download"
}

# Takes one file, by its path in the package, out of $temp/$1.deb.
extract() {
	local pattern=$2 to=$3

	mkdir "$temp/extract"
	dpkg-deb --fsys-tarfile "$temp/$1.deb" |
		tar -x -C "$temp/extract" --wildcards --no-anchored "$pattern" ||
		die "$1 package without $pattern, or the disk is full"
	find "$temp/extract" -type f -exec mv {} "$to" \;
	rm -rf "$temp/extract" "$temp/$1.deb"
	[ -s "$to" ] || die "$1 package without $pattern"
}

# The package's makefile names the installed common headers. Ours are
# somewhere else, and are moved once more when all is complete.
make_relocatable() {
	sed -i 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|' \
		"$temp/new/tree/usr/src/linux-headers-$release/Makefile"
}

fetch() {
	local free package

	resolve
	if [ -r "$folder/manifest" ] && complete &&
		grep -qx "version=$version" "$folder/manifest"; then
		say "$name is up to date ($version)"
		return
	fi
	free=$(df -Pk "$guests" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "$free" -ge 3072 ] ||
		die "$guests has $free MB free, 3072 MB are needed"
	say "$name is Linux $release, $version"
	mkdir "$temp/new"

	download image "$package_image"
	extract image "./boot/$image-$release" "$temp/new/vmlinuz"
	for package in "${headers[@]}"; do
		download headers "$package"
		dpkg-deb -x "$temp/headers.deb" "$temp/new/tree" ||
			die "cannot unpack $package"
		rm "$temp/headers.deb"
	done
	make_relocatable
	rm -rf "$temp/new/tree/usr/share" "$temp/new/tree/lib"
	ln -s "tree/usr/src/linux-headers-$release" "$temp/new/build"
	if [ -n "$foreign" ]; then
		download busybox busybox-static
		extract busybox ./bin/busybox "$temp/new/busybox"
	fi
	download debug "$debug"
	say "extracting the debug symbols"
	extract debug "./usr/lib/debug/boot/vmlinux-$release" "$temp/new/vmlinux"

	cat > "$temp/new/manifest" <<-END
		format=$format
		name=$name
		release=$release
		version=$version
		image=$package_image
		debug=$debug
		headers=${headers[*]}
		karch=$karch
		cross=$cross
		emulator=$emulator
	END
	# A folder can't be replaced in one step. The old one goes first, and
	# until the new one is there, the guest is just not in the cache.
	if [ -e "$folder" ]; then
		mv "$folder" "$temp/old"
	fi
	mv "$temp/new" "$folder"
	say "$name is ready"
}

complete() {
	grep -qx "format=$format" "$folder/manifest" 2>/dev/null &&
		[ -s "$folder/vmlinuz" ] && [ -s "$folder/vmlinux" ] &&
		[ -e "$folder/build/Makefile" ]
}

main() {
	local update=

	if [ "${1:-}" = --update ]; then
		update=1
		shift
	fi
	[ $# = 1 ] || die "usage: scripts/guest.sh [--update] NAME (one of: $names)"
	name=$1
	describe "$name" || die "no guest named $name (there are: $names)"
	if [ -n "$recipe" ]; then
		exec "$(dirname "$0")/kernels/build.sh" ${update:+--update} "$name"
	fi
	foreign=
	if [ "$debian" != amd64 ]; then
		foreign=1
	fi

	guests=${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/leakvisor}/guests
	mkdir -p "$guests" || die "cannot make $guests"
	guests=$(cd "$guests" && pwd)
	folder=$guests/$name

	exec 9> "$guests/.$name.lock"
	if ! flock -n 9; then
		say "waiting for another run that fetches $name"
		flock 9
	fi
	if [ -z "$update" ] && complete; then
		say "$name is there ($(sed -n 's/^version=//p' "$folder/manifest"))"
	else
		for tool in apt-get apt-cache dpkg-deb tar; do
			command -v "$tool" >/dev/null || die "needs $tool"
		done
		# What an earlier run left when it was killed.
		rm -rf "$guests/.$name.new".*
		temp=$(mktemp -d "$guests/.$name.new.XXXXXX")
		trap 'rm -rf "$temp"' EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
		chmod 755 "$temp"
		update_lists
		fetch
	fi
	echo "$folder"
}

main "$@"
