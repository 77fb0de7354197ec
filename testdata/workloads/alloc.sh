# An allocation-heavy workload for busybox: files, folders, links, processes,
# pipes, and the kernel's own text files.
i=0
while [ $i -lt 400 ]; do
	mkdir -p /tmp/w/$i/a/b/c
	echo "content $i" > /tmp/w/$i/a/b/c/file
	ln -s /tmp/w/$i/a/b/c/file /tmp/w/$i/link
	i=$((i + 1))
done
i=0
while [ $i -lt 20 ]; do
	find /tmp/w -type f -exec cat {} + | sort | uniq -c | wc -l > /dev/null
	cat /proc/meminfo /proc/slabinfo /proc/vmallocinfo /proc/interrupts > /dev/null
	find /sys/kernel /sys/module -type f | wc -l > /dev/null
	i=$((i + 1))
done
rm -rf /tmp/w
