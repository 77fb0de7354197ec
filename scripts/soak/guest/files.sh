# File systems on a loop device: made, filled, emptied, unmounted.
try modprobe loop
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
	tar -cf - /mnt/a 2>/dev/null | wc -c
	mv /mnt/a/x /mnt/a/u
	rm -rf /mnt/a/u
	echo 3 >/proc/sys/vm/drop_caches
}
for fs in ext2 ext4 btrfs xfs f2fs vfat exfat; do
	modprobe $fs 2>/dev/null
	truncate -s 400M /tmp/disk
	case $fs in
	btrfs | xfs | f2fs) try mkfs.$fs -f /tmp/disk ;;
	ext*) try mkfs.$fs -F /tmp/disk ;;
	*) try mkfs.$fs /tmp/disk ;;
	esac && try mount -t $fs -o loop /tmp/disk /mnt/a && {
		try use
		try umount /mnt/a
	}
	rm -f /tmp/disk
done
mkdir -p /tmp/lower /tmp/upper /tmp/work
cp /bin/ls /tmp/lower
try mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work none /mnt/a && {
	cp /bin/cat /mnt/a
	rm /mnt/a/ls
	try umount /mnt/a
}
try mksquashfs /usr/sbin /tmp/disk -quiet -no-progress -comp xz && try mount -t squashfs -o loop /tmp/disk /mnt/a && {
	tar -cf - /mnt/a 2>/dev/null | wc -c
	try umount /mnt/a
}
try mkfs.erofs /tmp/disk2 /usr/sbin && try mount -t erofs -o loop /tmp/disk2 /mnt/a && {
	tar -cf - /mnt/a 2>/dev/null | wc -c
	try umount /mnt/a
}
rm -rf /tmp/disk* /tmp/lower /tmp/upper /tmp/work
losetup -D
