//go:build linux && amd64

package kvm

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	gokvm "github.com/bobuhiro11/gokvm/kvm"
	"golang.org/x/sys/unix"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// endError carries the guest's own end up to Run.
type endError struct{ how ending }

func (e *endError) Error() string { return "the guest has " + e.how.String() }

// loop runs the vCPU until the guest ends or the machine is closed.
func (r *runner) loop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r.tid.Store(int32(unix.Gettid()))
	m := r.m
	m.mu.Lock()
	going := r.settle()
	m.mu.Unlock()
	err := errClosing
	if going {
		err = r.guest()
	}
	r.tid.Store(0)
	m.mu.Lock()
	r.parked = true
	m.cond.Broadcast()
	m.mu.Unlock()
	m.tracer.end(err)
}

func (r *runner) guest() error {
	if r.id == 0 {
		if err := r.enterKernel(); err != nil {
			return err
		}
	} else if err := r.setDebug(trapDebug(r.m.caps.Trap)); err != nil {
		return err
	}
	for r.gate() {
		x, err := r.enter()
		if err != nil {
			return err
		}
		if err := r.exit(x); err != nil {
			return err
		}
	}
	return errClosing
}

// exit handles one exit of a vCPU that has hooks.
func (r *runner) exit(x gokvm.ExitType) error {
	trap := r.m.caps.Trap
	switch {
	case x == gokvm.EXITDEBUG:
		return r.debugExit()
	case trap == TrapOut && isTrap(r.vcpu, x, trap):
		if r.m.caps.FinishIO {
			if err := r.finish(); err != nil {
				return err
			}
		}
		if err := r.load(); err != nil {
			return err
		}
		if s := r.m.tracer.site(r.state.RIP - r.m.caps.trapDelta); s != nil {
			return r.hit(s)
		}
		return nil // the guest's own business
	}
	return r.device(x)
}

func (r *runner) debugExit() error {
	d := (*debugExit)(unsafe.Pointer(&r.run.data))
	if err := r.load(); err != nil {
		return err
	}
	rip := r.state.RIP
	if d.exception == exceptionBreak {
		if s := r.m.tracer.site(rip - r.m.caps.trapDelta); s != nil {
			return r.hit(s)
		}
		return r.inject(exceptionBreak)
	}
	if q := r.quiet; q != nil && rip == q.ret {
		if r.state.RSP > q.sp {
			return r.endQuiet()
		}
		return r.stepOver(q)
	}
	switch r.m.caps.Trap {
	case TrapInt1, TrapHardware:
		if s := r.m.tracer.site(rip - r.m.caps.trapDelta); s != nil {
			return r.hit(s)
		}
	}
	return nil // of a step that ended as the setting was changed
}

// inject gives the guest an exception that is its own.
func (r *runner) inject(vector uint8) error {
	var ev gokvm.VCPUEvents
	if err := gokvm.GetVCPUEvents(r.fd, &ev); err != nil {
		return fmt.Errorf("kvm: reading events of vCPU %d: %w", r.id, err)
	}
	ev.E = gokvm.Exception{Inject: 1, Nr: vector}
	if err := gokvm.SetVCPUEvents(r.fd, &ev); err != nil {
		return fmt.Errorf("kvm: injecting exception %d into vCPU %d: %w", vector, r.id, err)
	}
	return nil
}

// device handles an exit that has nothing to do with hooks.
func (r *runner) device(x gokvm.ExitType) error {
	switch x {
	case exitInterrupted, gokvm.EXITINTR, gokvm.EXITIRQWINDOWOPEN, gokvm.EXITUNKNOWN:
		return nil
	case gokvm.EXITIO:
		return r.io()
	case gokvm.EXITMMIO:
		if mmio := (*mmioExit)(unsafe.Pointer(&r.run.data)); mmio.write == 0 {
			for i := range mmio.data {
				mmio.data[i] = 0xff // nobody there
			}
		}
		return nil
	case gokvm.EXITSHUTDOWN:
		return r.dead("a triple fault: the guest could not handle an exception", true)
	case gokvm.EXITFAILENTRY:
		return r.dead(fmt.Sprintf("the processor refused to enter the guest, hardware reason %#x", le64(r.run.data[:])), true)
	case gokvm.EXITINTERNALERROR:
		e := (*internalError)(unsafe.Pointer(&r.run.data))
		return r.dead(fmt.Sprintf("KVM could not go on, suberror %d: it cannot emulate an instruction of the guest's", e.suberror), true)
	}
	return r.dead(fmt.Sprintf("an exit that is not understood, KVM's reason %d", x), false)
}

// io handles an access to an I/O port, which may be repeated.
func (r *runner) io() error {
	e := *(*ioExit)(unsafe.Pointer(&r.run.data))
	size, count := uint64(e.size), uint64(e.count)
	if e.offset > uint64(len(r.mem)) || size*count > uint64(len(r.mem))-e.offset {
		return errors.New("kvm: an I/O exit lies outside the vCPU's state")
	}
	if ring := r.m.tracer.ring.Load(); ring != nil && e.direction == gokvm.EXITIOOUT {
		switch e.port {
		case ringPort:
			if err := r.load(); err != nil {
				return err
			}
			return ring.awaitRoom(int64(r.state.RDX), r.m.pausing.Load)
		case stackPort:
			return r.copyStack(ring)
		}
	}
	b := r.mem[e.offset : e.offset+size*count]
	for ; len(b) > 0; b = b[size:] {
		if e.direction == gokvm.EXITIOIN {
			r.m.ports.in(e.port, b[:size])
			continue
		}
		if how := r.m.ports.out(e.port, b[:size]); how != goOn {
			return &endError{how}
		}
	}
	return nil
}

// dead describes a guest that cannot go on.
func (r *runner) dead(reason string, registers bool) error {
	// AMD's processors lose the registers in a triple fault: KVM gives those of
	// a reset then.
	if s := &r.state; registers && r.load() == nil && s.sregs.CR3 != 0 {
		reason += fmt.Sprintf(" (vCPU %d, rip %#x, rsp %#x, cr2 %#x, cr3 %#x, code % x)", r.id, s.RIP, s.RSP, s.sregs.CR2, s.sregs.CR3, r.codeAt(s.RIP, 16))
	}
	return &hv.ExitError{Reason: reason}
}

// codeAt returns up to n bytes at rip; fewer where memory ends.
func (r *runner) codeAt(rip uint64, n int) []byte {
	b := make([]byte, n)
	return b[:readSome(r.state.space, guestmem.GVA(rip), b)]
}

// copyStack copies the stack into the record of a stub that could not do so.
func (r *runner) copyStack(ring *ring) error {
	if err := r.load(); err != nil {
		return err
	}
	if !ring.inStub(r.state.RIP) {
		return nil // the guest's own affair
	}
	at := r.state.RDI - ring.layout.ring
	number := ring.word(at + recStub)
	stubs := *ring.stubs.Load()
	if at >= ring.layout.size || at%8 != 0 || number >= uint64(len(stubs)) || stubs[number].size < recContext {
		return errDamaged
	}
	stub := &stubs[number]
	b := make([]byte, stub.size-recContext-stub.context)
	b = b[:readSome(r.state.space, guestmem.GVA(ring.word(at+recSP)), b)]
	ring.put(at+recContext+uint64(stub.context), b)
	ring.putWord(at+recCopied, uint64(len(b)))
	return nil
}
