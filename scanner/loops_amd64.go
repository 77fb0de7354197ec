package scanner

import "golang.org/x/sys/cpu"

func hasBMI() bool { return cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT }

// setLoops chooses the fastest loops for this CPU.
func (f *format) setLoops() {
	f.setPlainLoops()
	if hasBMI() {
		f.set = [...]set{bmiSet64LE, bmiSet64BE, bmiSet32LE, bmiSet32BE}[f.kind()]
		f.sift, f.spread = bmiSift, bmiSpread
	}
}

//go:noescape
func bmiSet64LE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int

//go:noescape
func bmiSet64BE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int

//go:noescape
func bmiSet32LE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int

//go:noescape
func bmiSet32BE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int

//go:noescape
func bmiSift(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[siftWords]uint32) (n, rest int)

//go:noescape
func bmiSpread(granules []granule, marks, found []uint64, base uint32)
