package kernel

// perCPUSlide returns what is added to the link value of a per-CPU symbol to
// get its value in the running kernel. Where per-CPU symbols are offsets
// from zero (x86-64 with SMP up to 6.14) KASLR does not move them; where they
// are addresses of the image's own copy it does.
func perCPUSlide(info debugInfo, slide uint64) uint64 {
	start, ok := info.symbol("__per_cpu_start")
	if !ok {
		return slide
	}
	for _, name := range []string{"_text", "_stext"} {
		if text, ok := info.symbol(name); ok && start.Addr < text.Addr {
			return 0
		}
	}
	return slide
}

// perCPU returns the running kernel's value of a per-CPU variable: of the
// symbol, or of the member of the per-CPU struct pcpu_hot (x86, 6.2 to 6.14).
func (l *layout) perCPU(slide uint64, symbol, hot string) (uint64, bool) {
	add := perCPUSlide(l.info, slide)
	if s, ok := l.info.symbol(symbol); ok {
		return s.Addr + add, true
	}
	s, ok := l.info.symbol("pcpu_hot")
	if !ok || hot == "" {
		return 0, false
	}
	l.find("pcpu_hot", nearFork...)
	m, ok := l.opt("pcpu_hot", hot)
	return s.Addr + add + m.Offset, ok
}
