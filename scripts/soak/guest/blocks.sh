# Device mapper, RAID, and devices that are none.
modprobe loop 2>/dev/null
for i in 0 1 2; do
	truncate -s 64M /tmp/disk$i
	eval "loop$i=$(losetup -f --show /tmp/disk$i)"
done
for m in dm-mod dm-crypt dm-snapshot dm-thin-pool raid1 raid456; do
	try modprobe $m
done
create() {
	dmsetup create "$1" --table "$2" && dmsetup mknodes
}
use() {
	mkfs.ext4 -q -F "$1" && mount "$1" /mnt/b && cp /usr/sbin/mkfs* /mnt/b && umount /mnt/b
}
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
try create soak-linear "0 65536 linear $loop0 0" && {
	try create soak-crypt "0 65536 crypt aes-xts-plain64 $key 0 /dev/mapper/soak-linear 0" && {
		try use /dev/mapper/soak-crypt
		try dmsetup remove soak-crypt
	}
	try create soak-snapshot "0 65536 snapshot /dev/mapper/soak-linear $loop1 N 8" && {
		try use /dev/mapper/soak-snapshot
		try dmsetup remove soak-snapshot
	}
	try dmsetup remove soak-linear
}
raid() {
	level=$1
	shift
	try mdadm --create /dev/md0 --run --assume-clean --metadata=1.2 --level="$level" --raid-devices=$# "$@" </dev/null && {
		try use /dev/md0
		try mdadm --stop /dev/md0
	}
}
raid 1 "$loop0" "$loop1"
raid 5 "$loop0" "$loop1" "$loop2"
losetup -D
rm -f /tmp/disk?
try modprobe zram && {
	put 64M /sys/block/zram0/disksize
	try mkswap /dev/zram0 && try swapon /dev/zram0 && try swapoff /dev/zram0
	put 1 /sys/block/zram0/reset
	try rmmod zram
}
for m in null_blk brd scsi_debug; do
	try modprobe $m && {
		sleep 1
		try rmmod $m
	}
done
