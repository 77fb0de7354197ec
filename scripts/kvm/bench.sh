#!/bin/bash
# Times a call of an allocator under KVM without hooks, with trap probes and
# with ring probes, in the test bed: in the freestanding guest, and in a stock
# kernel.
#
# usage: scripts/kvm/bench.sh [GUEST]
set -euo pipefail
cd "$(dirname "$0")/../.."
guest=${1:-x86_64-6.1-cloud}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

CGO_ENABLED=0 go test -c -o "$temp/kvm.test" ./hv/kvm
CGO_ENABLED=0 go build -o "$temp/leakvisor" ./cmd/leakvisor
testdata/guests/freestanding/build.sh "$temp/guest"
go run ./xtest/guests/prepare -guest "$guest" -o "$temp/linux" \
	-script "insmod /modules/allocbench.ko; dmesg | grep allocbench" allocbench
# A run under QEMU leaves the types in the cache, so that the bed needs no debug
# information. That it finds leaks, or none, is not asked here.
LEAKVISOR_CACHE=$temp/cache "$temp/leakvisor" run --quiet --hv qemu --kernel "$temp/linux/vmlinuz" \
	--vmlinux "$temp/linux/vmlinux" --initrd "$temp/linux/initramfs.cpio.gz" \
	--append "panic=-1" --output /dev/null || [ $? = 1 ]
scripts/kvm/symbols.sh "$temp/linux/vmlinux" "$temp/vmlinux"
id=$(readelf -n "$temp/vmlinux" | sed -n 's/.*Build ID: //p' | head -1)
scripts/kvm/bed.sh --guest "$guest" --smp 2 --timeout 1800 \
	--file "$temp/kvm.test" --file "$temp/guest" \
	--file "$temp/linux/vmlinuz" --file "$temp/vmlinux" \
	--file "$temp/linux/initramfs.cpio.gz=/bed/initrd" \
	--file "$temp/cache/symbols-$id.cache=/bed/cache/symbols-$id.cache" \
	-- /bin/env LEAKVISOR_KVM_GUEST=/bed/guest LEAKVISOR_KVM_LINUX=/bed \
	./kvm.test -test.run '^$' -test.bench 'Call|Linux' -test.benchtime 1x -test.timeout 30m
