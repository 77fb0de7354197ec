package kvm

import (
	"encoding/binary"
	"errors"

	"github.com/leakvisor/leakvisor/hv"
)

// stubContext is a Plan's context that a stub can read: from fixed addresses,
// per-CPU ones, and what those point at, which the kernel keeps valid. What
// registers with arguments point at it could not read safely.
type stubContext struct {
	fetches []hv.Fetch
	at      []int
	size    int
	stack   []hv.Fetch // hv.Plan.TaskStack
}

var errContext = errors.New("the plan's context reads through registers that stubs cannot trust")

func newStubContext(context, taskStack []hv.Fetch) (*stubContext, error) {
	c := &stubContext{fetches: context, stack: taskStack}
	for i, f := range taskStack {
		if f.Reg != "" && f.Reg != "gs_base" || f.Prev != i || f.Size != 8 {
			return nil, errContext
		}
	}
	for _, f := range context {
		if f.Reg != "" && f.Reg != "gs_base" {
			return nil, errContext
		}
		c.at = append(c.at, c.size)
		c.size += (f.Size + 7) &^ 7
	}
	if c.size > 1024 {
		return nil, errContext
	}
	return c, nil
}

// emit reads the context into the record at rdi, with rax and rdx at hand.
func (c *stubContext) emit(a *assembler) {
	for i, f := range c.fetches {
		at := uint32(recContext + c.at[i])
		a.emit(0x31, 0xc0) // xor %eax, %eax
		for o := 0; o < f.Size; o += 8 {
			a.op32(at+uint32(o), 0x48, 0x89, 0x87) // mov %rax, at+o(%rdi)
		}
		a.emit(0x48, 0xba) // movabs $offset, %rdx
		a.b = binary.LittleEndian.AppendUint64(a.b, f.Offset)
		skip := -1
		var segment []byte
		switch {
		case f.Reg != "":
			segment = []byte{0x65} // gs:
		case f.Prev > 0:
			a.op32(uint32(recContext+c.at[f.Prev-1]), 0x48, 0x8b, 0x87) // mov …(%rdi), %rax
			a.emit(0x48, 0x85, 0xc0, 0x74, 0)                           // test %rax, %rax; je skip
			skip = len(a.b)
			a.emit(0x48, 0x01, 0xc2) // add %rax, %rdx
		}
		for o := 0; o < f.Size; {
			n, load, store := 8, []byte{0x48, 0x8b, 0x42}, []byte{0x48, 0x89, 0x87}
			switch left := f.Size - o; {
			case left >= 8:
			case left >= 4:
				n, load, store = 4, []byte{0x8b, 0x42}, []byte{0x89, 0x87}
			case left >= 2:
				n, load, store = 2, []byte{0x0f, 0xb7, 0x42}, []byte{0x66, 0x89, 0x87}
			default:
				n, load, store = 1, []byte{0x0f, 0xb6, 0x42}, []byte{0x88, 0x87}
			}
			a.emit(segment...)
			a.emit(append(load, byte(o))...) // mov o(%rdx), %rax
			a.op32(at+uint32(o), store...)   // mov %rax, at+o(%rdi)
			o += n
		}
		if skip >= 0 {
			a.b[skip-1] = byte(len(a.b) - skip)
		}
	}
}

// emitTaskStack reads the running task's stack to rax, zero if it is not
// known, with rdx at hand.
func (c *stubContext) emitTaskStack(a *assembler) {
	a.emit(0x31, 0xc0) // xor %eax, %eax
	var ends []func()
	for _, f := range c.stack {
		a.emit(0x48, 0xba) // movabs $offset, %rdx
		a.b = binary.LittleEndian.AppendUint64(a.b, f.Offset)
		switch {
		case f.Reg != "":
			a.emit(0x65) // gs:
		case f.Prev > 0:
			a.emit(0x48, 0x85, 0xc0) // test %rax, %rax
			ends = append(ends, a.short(0x74))
			a.emit(0x48, 0x01, 0xc2) // add %rax, %rdx
		}
		a.emit(0x48, 0x8b, 0x02) // mov (%rdx), %rax
	}
	for _, end := range ends {
		end()
	}
}
