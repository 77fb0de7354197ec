//go:build linux && amd64

package kvm

import (
	"context"
	"runtime"
	"time"
	"unsafe"

	gokvm "github.com/bobuhiro11/gokvm/kvm"
	"golang.org/x/sys/unix"
)

// Probe finds out what this host's KVM can do, with a few tiny guests. It
// takes milliseconds.
func Probe(ctx context.Context) (*Capabilities, error) { return probe(ctx, DefaultDevice) }

// probePort is where the tiny guests report.
const probePort = 0xe6

// probeTime bounds each experiment.
const probeTime = 5 * time.Second

func probe(ctx context.Context, device string) (*Capabilities, error) {
	c := &Capabilities{}
	dev, err := openDevice(device)
	if err != nil {
		return nil, err
	}
	_ = dev.Close()
	if m, err := newVM(device, minMemory, 1, true, false); err == nil {
		c.Clock = true
		m.close()
	}
	for _, k := range []TrapKind{TrapInt3, TrapInt1, TrapOut} {
		if c.Trap != TrapNone {
			break
		}
		for _, finish := range []bool{false, true} {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			var delta uint64
			ok, err := experiment(device, func(e *bench) bool { return e.trap(k, finish, &delta) })
			if err != nil {
				return nil, err
			}
			if ok {
				c.Trap, c.FinishIO, c.trapDelta = k, finish, delta
				break
			}
			if k != TrapOut {
				break // nothing to finish
			}
		}
	}
	if c.ExecBreakpoints, err = experiment(device, (*bench).breakpoint); err != nil {
		return nil, err
	}
	if c.SingleStep, err = experiment(device, func(e *bench) bool { c.SyncRegs = e.sync; return e.step() }); err != nil {
		return nil, err
	}
	if c.Kernels, err = experiment(device, (*bench).kernels); err != nil {
		return nil, err
	}
	if c.Trap == TrapNone && c.ExecBreakpoints && c.SingleStep {
		c.Trap = TrapHardware
	}
	return c, nil
}

// bench is a tiny guest for one experiment.
type bench struct {
	*vcpu
	ram *ram
}

// experiment runs f on a guest of its own. A guest that gets stuck makes f
// see an interrupted run.
func experiment(device string, f func(*bench) bool) (bool, error) {
	m, err := newVM(device, minMemory, 1, false, false)
	if err != nil {
		return false, err
	}
	defer m.close()
	if err := writeTables(m.ram); err != nil {
		return false, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	v := m.vcpus[0]
	v.tid.Store(int32(unix.Gettid()))
	stuck := time.AfterFunc(probeTime, v.kick)
	defer func() {
		// A kick under way must not meet a closed vCPU.
		if !stuck.Stop() {
			for !v.kicked.Load() {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	if err := v.begin(&start{rip: kernelAddr, long: true}); err != nil {
		return false, err
	}
	return f(&bench{v, m.ram}), nil
}

// enter is vcpu.enter for a guest that only running out of time interrupts:
// the Go runtime sends signals of its own.
func (e *bench) enter() (gokvm.ExitType, error) {
	for {
		if x, err := e.vcpu.enter(); x != exitInterrupted || err != nil || e.kicked.Load() {
			return x, err
		}
	}
}

// load puts code where the guest begins, with halts behind it.
func (e *bench) load(code []byte) {
	b := e.ram.at(kernelAddr, pageSize)
	for i := range b {
		b[i] = 0xf4
	}
	copy(b, code)
}

// report is "out probePort, al".
var report = [2]byte{0xe6, probePort}

// reported says whether the guest's next exit is its report, with rax as
// given.
func (e *bench) reported(rax uint64) bool {
	x, err := e.enter()
	if err != nil || x != gokvm.EXITIO || (*ioExit)(unsafe.Pointer(&e.run.data)).port != probePort {
		return false
	}
	r, err := e.regs()
	return err == nil && r.RAX == rax
}

// trap tries a trap on the second instruction: it must exit there, and after
// registers were changed go on elsewhere with them.
func (e *bench) trap(k TrapKind, finish bool, delta *uint64) bool {
	trap := k.code()
	const at, target = 1, 64
	code := make([]byte, 128)
	for i := range code {
		code[i] = 0xf4
	}
	code[0] = 0x90
	copy(code[at:], trap)
	copy(code[target:], []byte{0x48, 0xff, 0xc0}) // inc %rax
	copy(code[target+3:], report[:])
	e.load(code)
	if err := e.setDebug(trapDebug(k)); err != nil {
		return false
	}
	for range 2 { // a second time shows that the first left nothing behind
		x, err := e.enter()
		if err != nil || !isTrap(e.vcpu, x, k) {
			return false
		}
		if finish && e.finish() != nil {
			return false
		}
		r, err := e.regs()
		if err != nil || r.RIP < kernelAddr+at || r.RIP > kernelAddr+at+uint64(len(trap)) {
			return false
		}
		*delta = r.RIP - (kernelAddr + at)
		r.RIP, r.RAX = kernelAddr+target, 41
		e.changed()
		if !e.reported(42) {
			return false
		}
		if e.finish() != nil {
			return false
		}
		if r, err = e.regs(); err != nil || r.RIP != kernelAddr+target+5 {
			return false
		}
		r.RIP = kernelAddr
		e.changed()
	}
	return true
}

// trapDebug is what makes traps of kind k exit.
func trapDebug(k TrapKind) guestDebug {
	switch k {
	case TrapInt3:
		return guestDebug{control: debugEnable | debugSoftware}
	case TrapInt1, TrapHardware:
		return guestDebug{control: debugEnable | debugHardware, reg: [8]uint64{7: 1 << 10}}
	}
	return guestDebug{}
}

// isTrap says whether exit x can be that of a trap of kind k.
func isTrap(v *vcpu, x gokvm.ExitType, k TrapKind) bool {
	switch k {
	case TrapInt3:
		return x == gokvm.EXITDEBUG && (*debugExit)(unsafe.Pointer(&v.run.data)).exception == exceptionBreak
	case TrapInt1, TrapHardware:
		return x == gokvm.EXITDEBUG && (*debugExit)(unsafe.Pointer(&v.run.data)).exception == exceptionDebug
	case TrapOut:
		io := (*ioExit)(unsafe.Pointer(&v.run.data))
		return x == gokvm.EXITIO && io.port == trapPort && io.direction == gokvm.EXITIOOUT && io.size == 1
	}
	return false
}

// execBreakpoints is the debug setting with execution breakpoints at up to
// four addresses, besides what traps of kind k need.
func execBreakpoints(k TrapKind, addrs ...uint64) guestDebug {
	d := trapDebug(k)
	d.control |= debugEnable | debugHardware
	d.reg[7] |= 1 << 10
	for i, a := range addrs {
		d.reg[i] = a
		d.reg[7] |= 2 << (2 * i) // exact enable; type 0 is execution
	}
	return d
}

func (e *bench) breakpoint() bool {
	e.load([]byte{0x90, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0xe6, probePort})
	if err := e.setDebug(execBreakpoints(TrapHardware, kernelAddr+4)); err != nil {
		return false
	}
	x, err := e.enter()
	if err != nil || !isTrap(e.vcpu, x, TrapHardware) {
		return false
	}
	if r, err := e.regs(); err != nil || r.RIP != kernelAddr+4 || r.RAX != 1 {
		return false
	}
	return e.setDebug(guestDebug{}) == nil && e.reported(2)
}

func (e *bench) step() bool {
	e.load([]byte{0x90, 0x48, 0xff, 0xc0, 0xeb, 0x02, 0xf4, 0xf4, 0xe6, probePort}) // nop; inc %rax; jmp; hlt; hlt; report
	for _, want := range []uint64{1, 4, 8} {
		if err := e.setStep(stepping(TrapNone)); err != nil {
			return false
		}
		x, err := e.enter()
		if err != nil || x != gokvm.EXITDEBUG {
			return false
		}
		if r, err := e.regs(); err != nil || r.RIP != kernelAddr+want {
			return false
		}
	}
	return e.setDebug(guestDebug{}) == nil && e.reported(1)
}

// kernels tries instructions that stock kernels execute while they boot.
func (e *bench) kernels() bool {
	e.load([]byte{
		0x0f, 0x20, 0xe0, 0x80, 0xcc, 0x02, 0x0f, 0x22, 0xe0, // mov %cr4, %rax; or $2, %ah (OSFXSR); mov %rax, %cr4
		0xbf, 0x00, 0x00, 0x20, 0x00, // mov $0x200000, %edi
		0x31, 0xc0, 0x31, 0xd2, 0x31, 0xc9, // xor %eax, %eax; %edx; %ecx
		0xbb, 0x07, 0x00, 0x00, 0x00, // mov $7, %ebx
		0xf0, 0x48, 0x0f, 0xc7, 0x0f, // lock cmpxchg16b (%rdi)
		0x0f, 0x10, 0x07, // movups (%rdi), %xmm0
		0x66, 0x0f, 0xd4, 0xc0, // paddq %xmm0, %xmm0
		0x0f, 0xae, 0x47, 0x40, // fxsave 0x40(%rdi)
		0x0f, 0x11, 0x07, // movups %xmm0, (%rdi)
		0x48, 0x8b, 0x07, // mov (%rdi), %rax
		0xe6, probePort,
	})
	return e.reported(14)
}

// stepping is the debug setting of a single step.
func stepping(k TrapKind) guestDebug {
	d := trapDebug(k)
	d.control |= debugEnable | debugStep
	return d
}
