package scanner

import "golang.org/x/sys/cpu"

func hasBMI() bool { return cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT }

// newLook returns the fastest look on this CPU.
func newLook() look {
	if hasBMI() {
		return bmiLook
	}
	return plainLook
}

// fastScatter returns nil on a CPU without BMI2.
func (f *format) fastScatter() scatter {
	if !hasBMI() {
		return nil
	}
	return [...]scatter{bmiScatter64LE, bmiScatter64BE, bmiScatter32LE, bmiScatter32BE}[f.kind()]
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
