// Package guests gives tests real guests: stock Debian kernels, kernel modules
// of our own built against them, and initramfs images that load those.
//
// The kernels are fetched by scripts/guest.sh into the cache
// (${LEAKVISOR_CACHE:-${XDG_CACHE_HOME:-~/.cache}/leakvisor}/guests/NAME). A
// test that finds none there is skipped with the name of what is missing, and
// one line for it is appended to the file $LEAKVISOR_SKIPS, so that skips are
// counted; with LEAKVISOR_REQUIRE_GUESTS=1 it fails instead. $LEAKVISOR_GUESTS
// (names, separated by spaces) says which kernels the tests run on.
//
// The initramfs is in the newc format of the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst. Its device nodes
// are archive entries, so that nothing here needs root.
package guests
