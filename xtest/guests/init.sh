#!/bin/busybox sh
# The first process of a test's guest: it runs /script, and powers off.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
echo "guest: up"
sh -e /script || echo "guest: script failed ($?)"
echo "guest: down"
sync
poweroff -f
