# GCC 12's pass sh_treg_combine deletes comparisons that are needed, and makes a
# kernel that does not boot. No option turns it off; a plugin does.
before() {
	local include

	include=$("$cc" -print-file-name=plugin)/include
	[ -e "$include/gcc-plugin.h" ] || die "needs the headers of $cc's plugins: run scripts/setup.sh $name"
	c++ -shared -fPIC -fno-rtti -O1 -I "$include" -o scripts/treg.plugin "$here/treg.cc" ||
		die "cannot build the compiler's plugin"
	# The folder that make runs in is the tree's.
	echo 'KBUILD_CFLAGS += -fplugin=./scripts/treg.plugin' >> arch/sh/Makefile
}
