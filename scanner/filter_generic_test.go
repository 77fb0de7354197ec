//go:build !amd64

package scanner

// filters are all that there are.
func (f *format) filters() map[string]filter { return map[string]filter{"plain": f.filter} }
