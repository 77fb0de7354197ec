package scanner

import "syscall"

// wantHugePages is advice: what comes of it does not matter.
func wantHugePages(b []byte) { _ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) }
