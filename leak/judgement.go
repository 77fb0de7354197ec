package leak

import (
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
)

// Judgement is all that a scan went by, beside what its report tells. It must
// not be changed.
type Judgement struct {
	Roots Roots
	Input *scanner.Input
	// Result has the verdicts; what rules hide is Ignored.
	Result *scanner.Result
	// Hidden has the rule that hides an object, by its index.
	Hidden map[int]string
	// Memory and Kernel read the guest as it was at the pause.
	Memory guestmem.Memory
	Kernel *kernel.Kernel

	p *picture
	s *Session
}

// Object describes one of Input.Objects.
func (j *Judgement) Object(i int) (kind report.Kind, cache string) {
	o := &j.p.objects[i]
	return report.Kind(o.class.String()), o.cache
}

// Told says whether the object is told as part of another: a vm_struct with
// its block.
func (j *Judgement) Told(i int) bool { return j.p.descriptors[j.p.objects[i].Addr] }

// Looked says whether the guest's own kmemleak, if it has one, looks at an
// address of a vmalloc block.
func (j *Judgement) Looked(at guestmem.GVA) bool { return j.s.looked(at) }

func (s *Session) judgement(p *picture, res *scanner.Result, hidden map[int]int) *Judgement {
	j := &Judgement{Roots: p.from, Input: p.in, Result: res, Hidden: map[int]string{}, Memory: p.mem, Kernel: p.kernel, p: p, s: s}
	for i, rule := range hidden {
		r := &s.rules.Rules()[rule]
		j.Hidden[i] = r.Pos() + ": " + r.String()
	}
	return j
}
