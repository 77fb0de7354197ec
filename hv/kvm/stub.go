package kvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/leakvisor/leakvisor/hv"
)

// Ring probes: what the guest executes.
//
// A probe is a jump from the kernel's text to a stub in the tracer's own code
// pages, which the guest has mapped read-only near its text. The stub writes
// one record into the ring and jumps back. Interrupts are off meanwhile, so
// that no second record of the same CPU can wait for room behind an unfinished
// one. The ring's head is advanced by one locked addition: all CPUs share one
// ring, whose positions are the one order of events, and a record's number of
// bytes is written last. Which CPU it was is told by the address of its
// descriptor table (sgdt; setCPUID hides UMIP, with which that might exit).
//
// A record, in the guest's byte order, at a multiple of 8:
//
//	 0  size in bytes, written last; zero until then
//	 8  number of the stub
//	16  stack pointer at the hook
//	24  rax
//	32  the word at the stack pointer
//	38  sgdt's 10 bytes: the table's address is at 40; its limit covers the
//	    end of the word before, which is written behind it
//	48  rbp, rdi, rsi, rdx, rcx, r8, r9 (entries only, from here on)
//	104 bytes of stack copied
//	112 context, then the stack
const (
	recCommit  = 0
	recStub    = 8
	recSP      = 16
	recResult  = 24
	recReturn  = 32
	recGDT     = 40
	recBP      = 48
	recArgs    = 56 // rdi, rsi, rdx, rcx, r8, r9
	recCopied  = 104
	recContext = 112

	exitRecord = 48
)

// I/O ports of stubs' exits, from the same range as trapPort.
const (
	ringPort  = 0xe5 // no room in the ring until the tail is at rdx
	stackPort = 0xe7 // the stack cannot be copied safely; rdi is the record
)

// ringLayout says where the tracer's memory is in the guest's address space.
// Everything is mapped by large pages of 2 MiB.
type ringLayout struct {
	code uint64 // one page
	ring uint64 // size bytes, and its first page once more behind it
	head uint64 // one page: the head, and at headTail the tail
	size uint64 // of the ring, a power of two
}

const (
	largePage = 2 << 20
	headTail  = 64 // on a cache line of its own
	// defaultRing is how many pages the ring has: room for thousands of
	// events with stacks.
	defaultRing = 8
)

// ringPages is how many large pages of memory a ring of n pages needs: code,
// ring, head.
func ringPages(n int) int { return n + 2 }

// mappedPages is how many are mapped in a row: code, ring, the ring's first
// page again, head.
func mappedPages(n int) int { return n + 3 }

// newLayout lays out a ring of n pages, a power of two.
func newLayout(base uint64, n int) ringLayout {
	return ringLayout{code: base, ring: base + largePage, head: base + uint64(n+2)*largePage, size: uint64(n) * largePage}
}

// assembler collects machine code that will be at an address.
type assembler struct {
	base uint64
	b    []byte
}

func (a *assembler) emit(b ...byte)           { a.b = append(a.b, b...) }
func (a *assembler) u32(v uint32)             { a.b = binary.LittleEndian.AppendUint32(a.b, v) }
func (a *assembler) here() uint64             { return a.base + uint64(len(a.b)) }
func (a *assembler) op32(v uint32, b ...byte) { a.emit(b...); a.u32(v) }

// errFar says that a relative jump does not reach.
var errFar = errors.New("it is too far from the kernel's text")

// jump emits jmp rel32.
func (a *assembler) jump(to uint64) error {
	b, err := jumpCode(a.here(), to)
	a.emit(b...)
	return err
}

// jumpCode is a jump of five bytes from one address to another.
func jumpCode(from, to uint64) ([]byte, error) {
	d := int64(to - (from + 5))
	if d < math.MinInt32 || d > math.MaxInt32 {
		return nil, errFar
	}
	return binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(d)), nil
}

// reserve emits the reservation of size bytes. Before it rdi and rax, rdx have
// been saved; after it rdi is the record's address.
func (a *assembler) reserve(l ringLayout, size uint32) {
	a.emit(0x48, 0xbf) // movabs $head, %rdi
	a.b = binary.LittleEndian.AppendUint64(a.b, l.head)
	a.op32(size, 0xb8)                                     // mov $size, %eax
	a.emit(0xf0, 0x48, 0x0f, 0xc1, 0x07)                   // lock xadd %rax, (%rdi)
	wait := len(a.b)                                       //
	a.op32(size-uint32(l.size), 0x48, 0x8d, 0x90)          // lea size-l.size(%rax), %rdx
	a.emit(0x48, 0x3b, 0x57, headTail)                     // cmp headTail(%rdi), %rdx
	a.emit(0x7e, 4)                                        // jle over the next two
	a.emit(0xe6, ringPort)                                 // out %al, $ringPort
	a.emit(0xeb, byte(wait-(len(a.b)+2)))                  // jmp wait
	a.op32(uint32(l.size-1), 0x25)                         // and $l.size-1, %eax (zero-extends)
	a.op32(-uint32(l.head-l.ring), 0x48, 0x8d, 0xbc, 0x07) // lea ring-head(%rdi,%rax), %rdi
}

// common emits what all records have. saved is how many bytes the stub has
// pushed, and rax is at offset raxAt above the stack pointer.
func (a *assembler) common(stub uint32, saved, raxAt byte) {
	a.emit(0x48, 0xc7, 0x47, recStub) // movq $stub, recStub(%rdi)
	a.u32(stub)
	a.emit(0x48, 0x8d, 0x54, 0x24, saved) // lea saved(%rsp), %rdx
	a.emit(0x48, 0x89, 0x57, recSP)       // mov %rdx, recSP(%rdi)
	a.emit(0x48, 0x8b, 0x44, 0x24, raxAt) // mov raxAt(%rsp), %rax
	a.emit(0x48, 0x89, 0x47, recResult)   // mov %rax, recResult(%rdi)
	a.emit(0x0f, 0x01, 0x47, recGDT-2)    // sgdt recGDT-2(%rdi)
	a.emit(0x48, 0x8b, 0x02)              // mov (%rdx), %rax
	a.emit(0x48, 0x89, 0x47, recReturn)   // mov %rax, recReturn(%rdi)
}

// commit emits the end of a record at rdi.
func (a *assembler) commit(size uint32) {
	a.op32(size, 0x48, 0xc7, 0x07) // movq $size, (%rdi)
}

// exit emits the stub of a function's exit. leave is what stood there: a jump
// to leaveTo, or for zero a return.
func (a *assembler) exit(l ringLayout, stub uint32, leaveTo uint64) error {
	a.emit(0x9c, 0xfa, 0x50, 0x52, 0x57) // pushf; cli; push %rax, %rdx, %rdi
	a.reserve(l, exitRecord)
	a.common(stub, 32, 16)
	a.commit(exitRecord)
	a.emit(0x5f, 0x5a, 0x58, 0x9d) // pop %rdi, %rdx, %rax; popf
	if leaveTo == 0 {
		a.emit(0xc3, 0xcc)
		return nil
	}
	return a.jump(leaveTo)
}

// entry emits the stub of a function's entry, which goes on at back. It
// returns the record's size.
func (a *assembler) entry(l ringLayout, stub uint32, h *hv.Hook, context *stubContext, stackSize uint64, back uint64) (uint32, error) {
	stack := uint32(max(h.StackBytes, 0)+7) &^ 7
	size := recContext + uint32(context.size) + stack
	if size > largePage/2 {
		return 0, errors.New("its record is too large")
	}
	a.emit(0x9c, 0xfa, 0xfc)             // pushf; cli; cld
	a.emit(0x50, 0x51, 0x52, 0x56, 0x57) // push %rax, %rcx, %rdx, %rsi, %rdi
	const saved, rax, rcx, rdx, rsi, rdi = 48, 32, 24, 16, 8, 0
	a.reserve(l, size)
	a.common(stub, saved, rax)
	a.emit(0x48, 0x89, 0x6f, recBP) // mov %rbp, recBP(%rdi)
	for i, at := range []byte{rdi, rsi, rdx, rcx} {
		a.emit(0x48, 0x8b, 0x44, 0x24, at)          // mov at(%rsp), %rax
		a.emit(0x48, 0x89, 0x47, byte(recArgs+8*i)) // mov %rax, recArgs+8i(%rdi)
	}
	a.emit(0x4c, 0x89, 0x47, recArgs+32) // mov %r8, …
	a.emit(0x4c, 0x89, 0x4f, recArgs+40) // mov %r9, …
	context.emit(a)
	a.emit(0x57) // push %rdi
	a.stack(context, stack, uint32(stackSize), saved+8)
	a.emit(0x5f) // pop %rdi
	a.commit(size)
	a.emit(0x5f, 0x5e, 0x5a, 0x59, 0x58, 0x9d) // pop all; popf
	return size, a.jump(back)
}

// stack emits the copy of at most want bytes of stack, from saved bytes above
// the stack pointer. On the running task's stack the copy ends where that
// does. On another one (an interrupt's, which has any alignment, and a guard
// page behind it) it stays in its page; where that is not enough the tracer
// copies, by one exit.
func (a *assembler) stack(context *stubContext, want, stackSize uint32, saved byte) {
	if want == 0 {
		a.op32(0, 0x48, 0xc7, 0x47, recCopied) // movq $0, recCopied(%rdi)
		return
	}
	context.emitTaskStack(a)                                  // to %rax
	a.emit(0x48, 0x8d, 0x74, 0x24, saved)                     // lea saved(%rsp), %rsi
	a.emit(0x48, 0x89, 0xf2)                                  // mov %rsi, %rdx
	a.emit(0x48, 0x29, 0xc2)                                  // sub %rax, %rdx
	a.op32(stackSize, 0xb9)                                   // mov $stackSize, %ecx
	a.emit(0x48, 0x29, 0xd1)                                  // sub %rdx, %rcx
	a.op32(stackSize, 0x48, 0x81, 0xfa)                       // cmp $stackSize, %rdx
	task := a.short(0x72)                                     // jb task
	a.emit(0x89, 0xf1)                                        // mov %esi, %ecx
	a.op32(^uint32(pageSize-1), 0x81, 0xc9)                   // or $-4096, %ecx
	a.emit(0xf7, 0xd9)                                        // neg %ecx
	a.op32(want, 0x81, 0xf9)                                  // cmp $want, %ecx
	page := a.short(0x73)                                     // jae task
	a.emit(0xe6, stackPort)                                   // out %al, $stackPort
	done := a.short(0xeb)                                     // jmp done
	task()                                                    // task:
	page()                                                    //
	a.op32(want, 0x81, 0xf9)                                  // cmp $want, %ecx
	a.emit(0x76, 5)                                           // jbe over the next
	a.op32(want, 0xb9)                                        // mov $want, %ecx
	a.emit(0x83, 0xe1, 0xf8)                                  // and $-8, %ecx
	a.emit(0x48, 0x89, 0x4f, recCopied)                       // mov %rcx, recCopied(%rdi)
	a.emit(0xc1, 0xe9, 3)                                     // shr $3, %ecx
	a.op32(recContext+uint32(context.size), 0x48, 0x81, 0xc7) // add $…, %rdi
	a.emit(0xf3, 0x48, 0xa5)                                  // rep movsq
	done()                                                    // done:
}

// short emits a short jump forward; the function that it returns sets its
// target.
func (a *assembler) short(opcode byte) (here func()) {
	a.emit(opcode, 0)
	at := len(a.b)
	return func() { a.b[at-1] = byte(len(a.b) - at) }
}

// stub is what one tells of.
type stub struct {
	site    *site
	size    uint32 // of its records
	context uint32 // bytes of context in them
}

// stubSet collects the stubs of a plan.
type stubSet struct {
	code    assembler
	layout  ringLayout
	context *stubContext
	stack   uint64 // size of a kernel stack
	used    int    // bytes of the code page that older stubs have
	first   int    // number of the first stub
	stubs   []stub // by number, from first
}

func newStubSet(l ringLayout, context *stubContext, stackSize uint64, used, first int) *stubSet {
	return &stubSet{code: assembler{base: l.code + uint64(used)}, layout: l, context: context, stack: stackSize, used: used, first: first}
}

// errStubs says that the code page is full.
var errStubs = errors.New("the stubs do not fit in their page")

const (
	jumpBytes = 5
	stubAlign = 16
)

// add makes a stub for s and turns its trap into a jump to it, if that is
// possible; next is the address of the site behind it.
func (p *stubSet) add(s *site, hooks []hv.Hook, next uint64) error {
	if next-s.at < jumpBytes || len(s.orig) < jumpBytes || s.patcher != 0 {
		return nil
	}
	var err error
	number, size := uint32(p.first+len(p.stubs)), uint32(exitRecord)
	start := p.code.here()
	switch {
	case s.exit == exitNone && isNop5(s.orig):
		h := hv.Hook{}
		for _, e := range s.entries {
			other := &hooks[e.hook]
			if other.Sync || other.Array.When != hv.ArrayNever {
				return nil
			}
			h.StackBytes = max(h.StackBytes, other.StackBytes)
		}
		size, err = p.code.entry(p.layout, number, &h, p.context, p.stack, s.at+jumpBytes)
	case len(s.entries) == 0 && s.exit != exitNone && len(s.atExit) == 0:
		to, ok := leavesTo(s.at, s.orig)
		if !ok {
			return nil
		}
		err = p.code.exit(p.layout, number, to)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("a stub for %#x: %w", s.at, err)
	}
	for len(p.code.b)%stubAlign != 0 {
		p.code.emit(0xcc)
	}
	if p.used+len(p.code.b) > largePage {
		return errStubs
	}
	jump, err := jumpCode(s.at, start)
	if err != nil {
		return err
	}
	s.armed = jump
	p.stubs = append(p.stubs, stub{s, size, uint32(p.context.size)})
	return nil
}

// leavesTo says where five bytes of code that only leave a function go: zero
// for a return, which padding must follow.
func leavesTo(at uint64, code []byte) (to uint64, ok bool) {
	switch code[0] {
	case 0xe9:
		return at + jumpBytes + uint64(int64(int32(binary.LittleEndian.Uint32(code[1:])))), true
	case 0xc3:
		for _, b := range code[1:jumpBytes] {
			if b != 0xcc && b != 0x90 {
				return 0, false
			}
		}
		return 0, true
	}
	return 0, false
}
