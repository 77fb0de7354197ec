package scanner

import "golang.org/x/sys/cpu"

// filters are all that this CPU can run.
func (f *format) filters() map[string]filter {
	all := map[string]filter{"plain": f.plainFilter(), "fast": f.filter}
	if cpu.X86.HasAVX2 {
		all["AVX2"] = f.avx2Filter()
	}
	return all
}
