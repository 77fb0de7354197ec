# How a small kernel is built from Debian's linux-source packages; to be
# sourced. Who does sets kbuild, an array of what make gets besides a target
# (ARCH=, CROSS_COMPILE=, CC=), and defines say and die.

# Prints the version of a package that apt would install.
candidate() {
	local version

	version=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: //p')
	[ -n "$version" ] && [ "$version" != "(none)" ] ||
		die "no package $1: try apt-get update"
	echo "$version"
}

# unpack PACKAGE VERSION DIR: DIR becomes the top of the sources in the package.
unpack() {
	local package=$1 version=$2 dir=$3

	say "fetching $package $version"
	mkdir "$dir" "$dir.download"
	(cd "$dir.download" && apt-get download -q -o Acquire::Retries=3 \
		-o APT::Sandbox::User= "$package=$version" >&2) ||
		die "cannot download $package $version: try apt-get update"
	dpkg-deb --fsys-tarfile "$dir.download"/*.deb |
		tar -x -C "$dir.download" --wildcards './usr/src/*.tar.*'
	find "$dir.download/usr/src" -name '*.tar.*' \
		-exec tar -x -C "$dir" --strip-components=1 -f {} \;
	rm -r "$dir.download"
	[ "$(ls -A "$dir")" ] || die "$package without sources, or the disk is full"
}

# configure TREE FRAGMENT...: TREE/.config is these, and else what is least.
configure() {
	local tree=$1

	shift
	make -C "$tree" -s "${kbuild[@]}" allnoconfig >&2
	(cd "$tree" && scripts/kconfig/merge_config.sh -m .config "$@" >/dev/null)
	make -C "$tree" -s "${kbuild[@]}" olddefconfig >&2
}

# insist TREE FRAGMENT...: all that these say is in TREE/.config.
insist() {
	local tree=$1 line

	shift
	grep -h '^CONFIG_' "$@" | while read -r line; do
		grep -qxF "$line" "$tree/.config" || die "the kernel does not take $line"
	done
}

# compile TREE LOG TARGET...: what failed is said, and the rest is in LOG.
compile() {
	local tree=$1 log=$2

	shift 2
	say "building with -j${JOBS:-2}; log: $log"
	# Same input, same build ID.
	KBUILD_BUILD_TIMESTAMP='2020-01-01 00:00:00 UTC' \
		KBUILD_BUILD_USER=leakvisor KBUILD_BUILD_HOST=leakvisor \
		nice -n 19 make -C "$tree" -j"${JOBS:-2}" "${kbuild[@]}" "$@" \
		>"$log" 2>&1 && return
	grep -E 'error|Error|\*\*\*' "$log" | head -20 >&2
	return 1
}

# prune TREE ARCH leaves of a built tree what modules of one's own are built
# with: headers, scripts, objtool, and the initramfs's packer. ARCH is the
# folder in arch.
prune() (
	cd "$1"
	find . -mindepth 1 -maxdepth 1 ! -name Makefile ! -name Module.symvers ! -name .config ! -name arch \
		! -name include ! -name scripts ! -name tools ! -name usr -exec rm -rf {} +
	find arch -mindepth 1 -maxdepth 1 -type d ! -name "$2" -exec rm -rf {} +
	find tools -mindepth 1 -maxdepth 1 ! -name objtool -exec rm -rf {} +
	# powerpc links crtsavres.o into modules.
	find arch tools usr -type f \( -name '*.[acoS]' -o -name '.*.cmd' -o -name '*.so*' -o -name 'vmlinux*' \
		-o -name 'bzImage' -o -name 'zImage*' -o -name 'image' -o -name '*.dts*' \) \
		! -name crtsavres.o -exec rm -f {} +
	find . -type d -empty -delete
)
