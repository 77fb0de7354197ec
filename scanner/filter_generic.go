//go:build !amd64

package scanner

// fastFilter returns nil: there is no vector code for this host.
func fastFilter(uint64, bool) filter { return nil }
