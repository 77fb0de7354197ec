//go:build !amd64

package scanner

// fastFilter returns nil: there is no vector code for this host.
func (f *format) fastFilter() filter { return nil }
