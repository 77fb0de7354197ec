package scanner

import "golang.org/x/sys/cpu"

func hasBMI() bool { return cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT }

// setLoops chooses the fastest loops for this CPU.
func (f *format) setLoops() {
	f.setPlainLoops()
	if hasBMI() {
		k := f.kind()
		f.sift, f.look, f.mark = bmiSift, bmiLook, bmiMark
		f.scatter = [...]scatter{bmiScatter64LE, bmiScatter64BE, bmiScatter32LE, bmiScatter32BE}[k]
	}
}

//go:noescape
func bmiLook(x *Index, targets []target, spans []uint32)

//go:noescape
func bmiScatter64LE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)

//go:noescape
func bmiScatter64BE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)

//go:noescape
func bmiScatter32LE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)

//go:noescape
func bmiScatter32BE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)

//go:noescape
func bmiMark(states []state, spans []uint32, first, size uint32, i, n int) (i2, n2 int)

//go:noescape
func bmiSift(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[boxTargets]uint32) (n, rest int)
