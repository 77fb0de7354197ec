#!/bin/bash
# Installs what Leakvisor and its guests need on Debian: QEMU with a plugin API
# that reads registers (9.1 or newer), a C compiler, what kernel modules are
# built with, and a static busybox. Does nothing where that is all there.
#
# usage: scripts/setup.sh [GUEST...] [-- PACKAGE...]
#
# With names of guests, as scripts/guest.sh takes them, also their emulators
# and the cross compilers for their modules; without, what x86 guests need.
# Behind -- stand more packages that are wanted.
set -euo pipefail

. "$(dirname "$0")/guests.sh"

readonly qemu_needed=9.1
# libelf1 is for objtool, which checks the modules that are built.
readonly packages=(
	gcc libc6-dev make bc binutils libelf1 xz-utils busybox-static
	ca-certificates util-linux
)
readonly backports_file=/etc/apt/sources.list.d/leakvisor-backports
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -n --preserve-env=DEBIAN_FRONTEND,LC_ALL "$@" ||
			die "sudo $1 failed: run scripts/setup.sh as root"
	else
		die "needs root to install packages: run scripts/setup.sh as root"
	fi
}

apt_update() {
	say "updating the package lists"
	# A foreign source that is down must not stop this: what is missing
	# afterwards is said by name.
	as_root apt-get update -qq -o Acquire::Retries=3 >&2 ||
		say "apt-get update had errors, going on with what it got"
}

# What apt prints is shown only where it fails.
apt_install() {
	local log

	say "installing: $*"
	log=$(mktemp)
	as_root apt-get install -y -q --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $*"
	}
	rm -f "$log"
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The version of an emulator, by its program's name.
qemu_version() {
	"$1" --version 2>/dev/null |
		sed -n 's/^QEMU emulator version \([0-9.]*\).*/\1/p'
}

qemu_is_new() {
	local have
	have=$(qemu_version "$1") && [ -n "$have" ] &&
		dpkg --compare-versions "$have" ge "$qemu_needed"
}

# The newest version that apt would install of $1; with $2, from that suite.
candidate() {
	apt-cache policy ${2:+-t "$2"} "$1" |
		sed -n 's/^ *Candidate: \([^(]*\)$/\1/p'
}

candidate_is_new() {
	local have
	have=$(candidate "$@") && [ -n "$have" ] &&
		dpkg --compare-versions "${have#*:}" ge "$qemu_needed"
}

# Prints the first entry of a .sources file ($1) for suite $2, as an entry for
# suite $3: URI, signature and whatever else it has are kept.
backports_from_deb822() {
	awk -v RS= -v suite="$2" -v want="$3" '
	{
		n = split($0, lines, "\n"); types = suites = off = ""; out = ""
		components = skip = 0
		for (i = 1; i <= n; i++) {
			line = lines[i]
			if (line ~ /^#/) continue
			if (line ~ /^[ \t]/) { if (!skip) out = out line "\n"; continue }
			skip = 0
			field = tolower(line); sub(/:.*/, "", field)
			value = line; sub(/^[^:]*:[ \t]*/, "", value)
			if (field == "types") { types = " " value " "; skip = 1 }
			else if (field == "suites") { suites = " " value " "; skip = 1 }
			else if (field == "components") {
				components = (" " value " ") ~ / main /; skip = 1
			}
			else if (field == "enabled") { off = tolower(value); skip = 1 }
			else out = out line "\n"
		}
		if (index(types, " deb ") && index(suites, " " suite " ") &&
		    components && off !~ /^(no|false|off|0|without|disable)$/) {
			printf "Types: deb\nSuites: %s\nComponents: main\n%s", want, out
			exit
		}
	}' "$1"
}

# The same for a one-line entry, in the same form.
backports_from_list() {
	awk -v suite="$2" -v want="$3" '
	$1 == "deb" {
		line = $0; options = ""
		sub(/#.*/, "", line); sub(/^[ \t]*deb[ \t]+/, "", line)
		if (match(line, /^\[[^]]*\][ \t]+/)) {
			options = substr(line, 1, RLENGTH)
			line = substr(line, RLENGTH + 1)
		}
		n = split(line, word)
		for (i = 3; i <= n; i++)
			if (word[2] == suite && word[i] == "main") {
				printf "deb %s%s %s main\n", options, word[1], want
				exit
			}
	}' "$1"
}

# Adds the release's backports, at the mirror that this machine uses already.
add_backports() {
	local codename=$1 suite=$1-backports file entry

	if apt-cache policy | grep -q "n=$suite,"; then
		return
	fi
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -r "$file" ] || continue
		entry=$(backports_from_deb822 "$file" "$codename" "$suite")
		[ -n "$entry" ] || continue
		say "adding $suite to apt, at the mirror of $file"
		as_root tee "$backports_file.sources" >/dev/null <<<"$entry"
		return
	done
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -r "$file" ] || continue
		entry=$(backports_from_list "$file" "$codename" "$suite")
		[ -n "$entry" ] || continue
		say "adding $suite to apt, at the mirror of $file"
		as_root tee "$backports_file.list" >/dev/null <<<"$entry"
		return
	done
	die "found no apt source for $codename main to derive $suite from"
}

# Installs a package ($1) with an emulator.
install_qemu() {
	local codename suite

	if candidate_is_new "$1"; then
		apt_install "$1"
		return
	fi
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ -n "$codename" ] ||
		die "this release has no QEMU $qemu_needed, and no code name"
	suite=$codename-backports
	add_backports "$codename"
	apt_update
	candidate_is_new "$1" "$suite" ||
		die "neither $codename nor $suite has $1 $qemu_needed or newer"
	apt_install -t "$suite" "$1"
}

main() {
	local missing=() emulators=() name named="" package entry all

	command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
		die "this is no Debian: install QEMU >= $qemu_needed," \
			"${packages[*]} by other means"
	all=("${packages[@]}")
	for name in "$@"; do
		shift
		[ "$name" != -- ] || break
		describe "$name" || die "no guest named $name (there are: $names)"
		all+=("${compiler[@]}")
		qemu_is_new "$emulator" || emulators+=("$emulator:$qemu")
		named=1
	done
	if [ -z "$named" ]; then
		describe x86_64-6.1-cloud
		qemu_is_new "$emulator" || emulators+=("$emulator:$qemu")
	fi
	for package in "${all[@]}" "$@"; do
		installed "$package" || missing+=("$package")
	done
	if [ ${#missing[@]} = 0 ] && [ ${#emulators[@]} = 0 ]; then
		say "all there (QEMU $(qemu_version "$emulator"))"
		return
	fi
	apt_update
	if [ ${#missing[@]} -gt 0 ]; then
		apt_install "${missing[@]}"
	fi
	for entry in ${emulators[@]+"${emulators[@]}"}; do
		emulator=${entry%%:*} qemu=${entry#*:}
		qemu_is_new "$emulator" && continue
		install_qemu "$qemu"
		qemu_is_new "$emulator" ||
			die "$emulator is $(qemu_version "$emulator")," \
				"$qemu_needed is needed: another one comes first in PATH"
	done
	say "done (QEMU $(qemu_version "$emulator"))"
}

main "$@"
