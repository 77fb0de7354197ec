//go:build !amd64

package scanner

func newLook() look { return plainLook }

// fastScatter returns nil: there is none for this host.
func (f *format) fastScatter() scatter { return nil }
