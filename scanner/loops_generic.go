//go:build !amd64

package scanner

func (f *format) setLoops() { f.setPlainLoops() }
