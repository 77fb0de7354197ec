//go:build !linux

package scanner

func wantHugePages([]byte) {}
