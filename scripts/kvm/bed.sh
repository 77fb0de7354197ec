#!/bin/bash
# Runs a command where there is a true /dev/kvm, on any machine: in a stock
# Debian guest (L1) under QEMU's emulation of AMD's virtualization (TCG).
# Prints the console; brings back the files that the command writes to /out,
# and its exit status.
#
# usage: scripts/kvm/bed.sh [option...] -- COMMAND [ARG...]
#
#   --guest NAME        the kernel of L1, as scripts/guest.sh knows it
#                       (default x86_64-6.1-cloud)
#   --file HOST[=PATH]  put a file there (default /bed/NAME); may be repeated
#   --out DIR           where what is in /out goes (default: dropped)
#   --memory MB         of L1 (default 2048)
#   --smp N             vCPUs of L1 (default 1)
#   --timeout SECONDS   (default 600)
#
# COMMAND is run by busybox in /bed with /bin of busybox; it must be static.
# Exit status: the command's, 124 if the time is up, 125 if L1 failed.
set -euo pipefail
export LC_ALL=C

say() { echo "bed: $*" >&2; }
die() { say "$*"; exit 125; }

here=$(cd "$(dirname "$0")" && pwd)
guest=x86_64-6.1-cloud files=() out= memory=2048 smp=1 timeout=600
while [ $# -gt 0 ]; do
	case $1 in
	--guest) guest=$2; shift 2 ;;
	--file) files+=("$2"); shift 2 ;;
	--out) out=$2; shift 2 ;;
	--memory) memory=$2; shift 2 ;;
	--smp) smp=$2; shift 2 ;;
	--timeout) timeout=$2; shift 2 ;;
	--) shift; break ;;
	*) die "unknown option $1" ;;
	esac
done
[ $# -gt 0 ] || die "no command"
for tool in qemu-system-x86_64 dpkg-deb cpio gzip; do
	command -v "$tool" >/dev/null || { [ "$tool" = cpio ] && [ -x /bin/busybox ]; } ||
		die "needs $tool"
done
[ -x /bin/busybox ] || die "needs a static /bin/busybox (package busybox-static)"

# The modules of L1's KVM, from the image package of the guest's version.
modules() {
	local folder=$1 to=$1/kvm-modules image temp

	[ ! -d "$to" ] || { echo "$to"; return; }
	image=$(sed -n 's/^image=//p' "$folder/manifest")
	say "fetching the KVM modules of ${image%%=*}"
	temp=$(mktemp -d "$folder/.kvm-modules.XXXXXX")
	(cd "$temp" && apt-get download -qq -o APT::Sandbox::User= "$image" >&2) ||
		die "cannot download $image"
	dpkg-deb --fsys-tarfile "$temp"/*.deb |
		tar -x -C "$temp" --wildcards --no-anchored \
			'*/kvm.ko*' '*/kvm-amd.ko*' '*/irqbypass.ko*' '*/ccp.ko*' 2>/dev/null || true
	mkdir "$temp/new"
	find "$temp" -path "$temp/new" -prune -o -name '*.ko*' -type f -exec cp {} "$temp/new/" \;
	[ -z "$(find "$temp/new" -name '*.xz')" ] || xz -d "$temp"/new/*.xz
	[ -e "$temp/new/kvm-amd.ko" ] || die "no kvm-amd module in $image"
	mv "$temp/new" "$to"
	rm -rf "$temp"
	echo "$to"
}

folder=$("$here/../guest.sh" "$guest") || die "no guest $guest"
kvm=$(modules "$folder")

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
root=$temp/root
mkdir -p "$root"/{bin,bed,dev,out,proc,sys,tmp,modules}
cp /bin/busybox "$root/bin/busybox"
cp "$kvm"/*.ko "$root/modules/"
for file in "${files[@]}"; do
	host=${file%%=*} path=/bed/$(basename "${file%%=*}")
	[ "$host" = "$file" ] || path=${file#*=}
	mkdir -p "$root/$(dirname "$path")"
	cp -L "$host" "$root/$path" || die "no file $host"
done
printf '%q ' "$@" > "$root/command"
cat > "$root/init" <<'END'
#!/bin/busybox sh
export PATH=/bin HOME=/tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
for module in irqbypass ccp kvm kvm-amd; do
	[ ! -e /modules/$module.ko ] || insmod /modules/$module.ko || echo "bed: no $module"
done
ip link set lo up 2>/dev/null
stty -echo
cd /bed
echo "bed: up, /dev/kvm $([ -c /dev/kvm ] && echo is there || echo is missing)"
sh /command </dev/null
status=$?
cd /
stty raw -F /dev/ttyS1
tar -C /out -c . | gzip -1 > /dev/ttyS1
echo "bed: status $status"
poweroff -f
END
chmod 755 "$root/init"
pack() { if command -v cpio >/dev/null; then cpio "$@"; else busybox cpio "$@"; fi; }
(cd "$root" && find . | pack -o -H newc 2>/dev/null) > "$temp/initrd"
rm -rf "$root"

# QEMU 10.0 changes a vCPU's pending interrupts without a lock when a guest in
# the guest exits (do_vmexit in target/i386/tcg/system/svm_helper.c), and so
# loses a timer's now and then: L1 sleeps for ever. Input that nobody reads is
# another interrupt, which brings the lost one along.
set +e
while sleep 1; do echo; done 2>/dev/null | timeout --foreground "$timeout" qemu-system-x86_64 -nodefaults -display none -no-reboot \
	-accel tcg -cpu qemu64,+svm,+npt -smp "$smp" -m "$memory" \
	-kernel "$folder/vmlinuz" -initrd "$temp/initrd" \
	-append "console=ttyS0 mitigations=off panic=-1 quiet nokaslr no_timer_check rdinit=/init" \
	-serial stdio -serial "file:$temp/results" -monitor none |
	tee "$temp/console"
status=${PIPESTATUS[1]}
set -e
[ "$status" != 124 ] || { say "the time is up after $timeout s"; exit 124; }
result=$(tr -d '\r' < "$temp/console" | sed -n 's/^bed: status \([0-9]*\)$/\1/p' | tail -1)
[ -n "$result" ] || die "L1 ended without a result (QEMU's status is $status)"
if [ -n "$out" ]; then
	mkdir -p "$out"
	gzip -dc "$temp/results" 2>/dev/null | tar -x -C "$out" || die "the results are damaged"
fi
exit "$result"
