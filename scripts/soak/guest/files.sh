# File systems on a loop device: made, filled, emptied, unmounted.
try modprobe loop
read_all() { tar -cf - /mnt/a 2>/dev/null | wc -c; }
use() {
	cp -r /usr/sbin /mnt/a/ 2>/dev/null
	mkdir -p /mnt/a/x/y/z
	for i in 1 2 3 4 5 6 7 8; do
		echo "$i" >/mnt/a/x/$i
		ln /mnt/a/x/$i /mnt/a/x/y/$i 2>/dev/null
		ln -s $i /mnt/a/x/y/z/$i 2>/dev/null
		xattr -w user.a b /mnt/a/x/$i 2>/dev/null
	done
	sync
	read_all
	mv /mnt/a/x /mnt/a/u
	rm -rf /mnt/a/u
	echo 3 >/proc/sys/vm/drop_caches
}
# What is on the disk is mounted for a command.
mounted() {
	try mount -t "$1" -o loop /tmp/disk /mnt/a && {
		try "$2"
		try umount /mnt/a
	}
}
for fs in ext2 ext4 btrfs xfs f2fs vfat exfat; do
	modprobe $fs 2>/dev/null
	truncate -s 400M /tmp/disk
	case $fs in
	btrfs | xfs | f2fs) try mkfs.$fs -f /tmp/disk ;;
	ext*) try mkfs.$fs -F /tmp/disk ;;
	*) try mkfs.$fs /tmp/disk ;;
	esac && mounted $fs use
	rm -f /tmp/disk
done
mkdir -p /tmp/lower /tmp/upper /tmp/work
cp /bin/ls /tmp/lower
try mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work none /mnt/a && {
	cp /bin/cat /mnt/a
	rm /mnt/a/ls
	try umount /mnt/a
}
try mksquashfs /usr/sbin /tmp/disk -quiet -no-progress -comp xz && mounted squashfs read_all
rm -f /tmp/disk
try mkfs.erofs /tmp/disk /usr/sbin && mounted erofs read_all
rm -rf /tmp/disk /tmp/lower /tmp/upper /tmp/work
losetup -D
