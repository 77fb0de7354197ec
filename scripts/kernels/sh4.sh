# GCC 12's pass sh_treg_combine deletes comparisons that are needed, and makes a
# kernel that does not boot. No option turns it off; a plugin does.
#
# register_intc_controller sorts as many entries as there are registers, of an
# array that has one for each vector: where those are fewer, that moves parts of
# other objects.
before() {
	local include core=drivers/sh/intc/core.c

	include=$("$cc" -print-file-name=plugin)/include
	[ -e "$include/gcc-plugin.h" ] || die "needs the headers of $cc's plugins: run scripts/setup.sh $name"
	c++ -shared -fPIC -fno-rtti -O1 -I "$include" -o scripts/treg.plugin "$here/treg.cc" ||
		die "cannot build the compiler's plugin"
	# The folder that make runs in is the tree's.
	echo 'KBUILD_CFLAGS += -fplugin=./scripts/treg.plugin' >> arch/sh/Makefile
	sed -i 's/sort(d->\(prio\|sense\), hw->nr_\1_regs,/sort(d->\1, hw->nr_vectors,/' "$core"
	[ "$(grep -c 'sort(d->.*, hw->nr_vectors,' "$core")" = 2 ] || die "$core is not what is mended here"
}
