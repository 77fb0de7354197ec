//go:build linux && amd64

package kvm

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	gokvm "github.com/bobuhiro11/gokvm/kvm"
	"golang.org/x/sys/unix"
)

// vcpu is one virtual CPU. Its methods are for the goroutine that runs it, or
// for others while it stands still; kick is for all.
type vcpu struct {
	id  int
	fd  uintptr
	mem []byte
	run *runHeader

	sync bool
	own  struct { // registers without synchronisation
		regs         gokvm.Regs
		sregs        gokvm.Sregs
		have, haveSR bool
		dirty        bool
	}
	tid    atomic.Int32 // of the thread in KVM_RUN's loop, zero for none
	kicked atomic.Bool  // what immediate_exit stands at when finish is over
	debug  guestDebug   // as last set
}

// exitInterrupted stands for KVM_RUN returning because of a signal.
const exitInterrupted = gokvm.ExitType(1 << 16)

func (m *vm) newVCPU(id int) (*vcpu, error) {
	var fd uintptr
	err := again(func() (err error) { fd, err = gokvm.CreateVCPU(m.fd, id); return err })
	if err != nil {
		return nil, fmt.Errorf("kvm: creating vCPU %d: %w", id, err)
	}
	unix.CloseOnExec(int(fd))
	v := &vcpu{id: id, fd: fd}
	if v.mem, err = unix.Mmap(int(fd), 0, m.runSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		v.close()
		return nil, fmt.Errorf("kvm: mapping the state of vCPU %d: %w", id, err)
	}
	v.run = (*runHeader)(unsafe.Pointer(&v.mem[0]))
	if m.sync != 0 {
		v.sync = true
		v.run.validRegs = m.sync
	}
	if err := setCPUID(m.dev.Fd(), v); err != nil {
		v.close()
		return nil, fmt.Errorf("kvm: features of vCPU %d: %w", id, err)
	}
	return v, nil
}

func (v *vcpu) close() {
	if v.mem != nil {
		_ = unix.Munmap(v.mem)
		v.mem, v.run = nil, nil
	}
	_ = unix.Close(int(v.fd))
}

// setCPUID gives the vCPU all that the host's KVM supports, and a package of
// its own.
func setCPUID(dev uintptr, v *vcpu) error {
	const most = 256
	ids := gokvm.CPUID{Nent: most, Entries: make([]gokvm.CPUIDEntry2, most)}
	if err := gokvm.GetSupportedCPUID(dev, &ids); err != nil {
		return err
	}
	kept := ids.Entries[:0]
	for _, e := range ids.Entries[:min(int(ids.Nent), most)] {
		switch e.Function {
		case 1:
			e.Ebx = e.Ebx&0xffff | 1<<16 | uint32(v.id)<<24
			e.Ecx |= hypervisorBit
			if ok, err := gokvm.CheckExtension(dev, gokvm.CapTSCDeadlineTimer); err == nil && ok != 0 {
				e.Ecx |= tscDeadlineBit
			}
			e.Edx &^= hyperThreadingBit
		case 4:
			e.Eax &= 0x3fff // one thread, one core
		case 7:
			// With UMIP a KVM that has to emulate it makes each sgdt exit,
			// and ring probes use that.
			e.Ecx &^= umipBit
		case 0xb, 0x1f:
			if e.Index > 1 {
				continue
			}
			e.Eax, e.Ebx, e.Ecx, e.Edx = 0, 1, e.Index|(e.Index+1)<<8, uint32(v.id)
		case 0xa: // no performance counters
			e.Eax, e.Ebx, e.Ecx, e.Edx = 0, 0, 0, 0
		case 0x80000008:
			e.Ecx = 0
		case 0x8000001e:
			e.Eax, e.Ebx, e.Ecx = uint32(v.id), uint32(v.id), 0
		}
		kept = append(kept, e)
	}
	ids.Entries, ids.Nent = kept, uint32(len(kept))
	return gokvm.SetCPUID2(v.fd, &ids)
}

// enter lets the vCPU run until something happens.
func (v *vcpu) enter() (gokvm.ExitType, error) {
	if !v.sync && v.own.dirty {
		if err := gokvm.SetRegs(v.fd, &v.own.regs); err != nil {
			return 0, fmt.Errorf("kvm: setting registers of vCPU %d: %w", v.id, err)
		}
	}
	v.own.have, v.own.haveSR, v.own.dirty = false, false, false
	err := runOnce(v.fd)
	switch {
	case err == nil:
		return gokvm.ExitType(v.run.exitReason), nil
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		return exitInterrupted, nil
	}
	return 0, fmt.Errorf("kvm: running vCPU %d: %w", v.id, err)
}

// finish completes the instruction that made the vCPU exit for I/O.
func (v *vcpu) finish() error {
	v.run.immediateExit = 1
	_, err := v.enter()
	v.run.immediateExit = 0
	if v.kicked.Load() {
		v.run.immediateExit = 1
	}
	return err
}

// kick makes the vCPU leave the guest, or not enter it. immediate_exit alone
// is seen at entry only, the signal alone is lost before it.
func (v *vcpu) kick() {
	v.kicked.Store(true)
	v.run.immediateExit = 1
	if tid := v.tid.Load(); tid != 0 {
		_ = unix.Tgkill(os.Getpid(), int(tid), unix.SIGURG)
	}
}

// unkick lets the vCPU enter the guest again.
func (v *vcpu) unkick() {
	v.kicked.Store(false)
	v.run.immediateExit = 0
}

// regs returns the registers as of the last exit, valid until the next entry.
func (v *vcpu) regs() (*gokvm.Regs, error) {
	if v.sync {
		return &v.run.regs, nil
	}
	if !v.own.have {
		r, err := gokvm.GetRegs(v.fd)
		if err != nil {
			return nil, fmt.Errorf("kvm: reading registers of vCPU %d: %w", v.id, err)
		}
		v.own.regs, v.own.have = *r, true
	}
	return &v.own.regs, nil
}

// changed says that the registers that regs returned were written to.
func (v *vcpu) changed() {
	if v.sync {
		v.run.dirtyRegs |= syncRegs
		return
	}
	v.own.dirty = true
}

// sregs returns the system registers as of the last exit; read only.
func (v *vcpu) sregs() (*gokvm.Sregs, error) {
	if v.sync {
		return &v.run.sregs, nil
	}
	if !v.own.haveSR {
		s, err := gokvm.GetSregs(v.fd)
		if err != nil {
			return nil, fmt.Errorf("kvm: reading system registers of vCPU %d: %w", v.id, err)
		}
		v.own.sregs, v.own.haveSR = *s, true
	}
	return &v.own.sregs, nil
}

// fetch reads all registers, for a vCPU that never ran.
func (v *vcpu) fetch() error {
	r, err := gokvm.GetRegs(v.fd)
	if err != nil {
		return fmt.Errorf("kvm: reading registers of vCPU %d: %w", v.id, err)
	}
	s, err := gokvm.GetSregs(v.fd)
	if err != nil {
		return fmt.Errorf("kvm: reading system registers of vCPU %d: %w", v.id, err)
	}
	if v.sync {
		v.run.regs, v.run.sregs = *r, *s
		return nil
	}
	v.own.regs, v.own.sregs, v.own.have, v.own.haveSR = *r, *s, true, true
	return nil
}

// setDebug sets what makes debug exits, if it is not so already.
func (v *vcpu) setDebug(d guestDebug) error {
	if d == v.debug {
		return nil
	}
	if err := setGuestDebug(v.fd, &d); err != nil {
		return fmt.Errorf("kvm: debug settings of vCPU %d: %w", v.id, err)
	}
	v.debug = d
	return nil
}

// setStep sets debugging so that the next instruction exits. It must be called
// before each: KVM ties the trap flag to where rip stands at the call, and an
// instruction that loads the flags (popf) takes it away again.
func (v *vcpu) setStep(d guestDebug) error {
	if v.sync && v.run.dirtyRegs&syncRegs != 0 || v.own.dirty {
		r, err := v.regs()
		if err != nil {
			return err
		}
		if err := gokvm.SetRegs(v.fd, r); err != nil {
			return fmt.Errorf("kvm: setting registers of vCPU %d: %w", v.id, err)
		}
		v.run.dirtyRegs &^= syncRegs
		v.own.dirty = false
	}
	v.debug = guestDebug{}
	return v.setDebug(d)
}

// begin sets the registers for a kernel's first instruction (boot.rst, 64-bit
// boot protocol).
func (v *vcpu) begin(s *start) error {
	sr, err := gokvm.GetSregs(v.fd)
	if err != nil {
		return fmt.Errorf("kvm: reading system registers of vCPU %d: %w", v.id, err)
	}
	const (
		pe, mp, et, ne, wp, am, pg = 1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 18, 1 << 31
		pae                        = 1 << 5
		lme, lma                   = 1 << 8, 1 << 10
	)
	seg := gokvm.Segment{Limit: 0xffffffff, Present: 1, S: 1, G: 1}
	code, data := seg, seg
	code.Selector, code.Typ, code.L = 0x10, 11, 1
	data.Selector, data.Typ, data.DB = 0x18, 3, 1
	sr.CS = code
	sr.DS, sr.ES, sr.FS, sr.GS, sr.SS = data, data, data, data, data
	sr.GDT.Base, sr.GDT.Limit = gdtAddr, 4*8-1
	sr.IDT.Base, sr.IDT.Limit = 0, 0
	sr.CR3, sr.CR4, sr.CR0, sr.EFER = tablesAddr, pae, pe|mp|et|ne|wp|am|pg, lme|lma
	if err := gokvm.SetSregs(v.fd, sr); err != nil {
		return fmt.Errorf("kvm: setting system registers of vCPU %d: %w", v.id, err)
	}
	r := gokvm.Regs{RIP: s.rip, RSI: zeroPage, RFLAGS: 2}
	if err := gokvm.SetRegs(v.fd, &r); err != nil {
		return fmt.Errorf("kvm: setting registers of vCPU %d: %w", v.id, err)
	}
	return v.fetch()
}
