package kvm

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/x86"
)

// ErrUnsupported is wrapped when KVM cannot be had: another operating system
// or architecture, no /dev/kvm, no permission, or a capability is missing.
var ErrUnsupported = errors.New("KVM is not available")

// DefaultDevice is the path of KVM's device.
const DefaultDevice = "/dev/kvm"

// Hook kinds, for Config.Hook.
const (
	// HookAuto takes ring probes where the guest's text has room for them,
	// once its own patching is over, and traps elsewhere.
	HookAuto = "auto"
	// HookTrap takes traps only.
	HookTrap = "trap"
	// HookRing is HookAuto that errs if no ring probe could be set.
	HookRing = "ring"
)

// Config says what to run. Kernel and MemoryBytes are required.
type Config struct {
	// Arch is the guest's architecture; nil for the host's.
	Arch *arch.Arch
	// Device is the path of the KVM device; empty for DefaultDevice.
	Device string
	// Kernel is the path of a bzImage or of an x86-64 ELF executable.
	Kernel string
	Initrd string // path; empty for none
	Append string // kernel command line
	// MemoryBytes is the guest's RAM, rounded down to whole pages. What does
	// not fit below the PCI hole at 3 GiB continues at 4 GiB.
	MemoryBytes uint64
	SMP         int // number of vCPUs; 0 stands for 1
	// Console takes what the guest writes to COM1; nil for nowhere.
	Console io.Writer
	Logger  *slog.Logger // nil for none
	Hook    string       // one of the Hook constants; empty for HookAuto

	ringPages int // size of the ring; zero for the default
}

// Runs says whether this host's KVM is for guests of architecture a: an error
// that wraps ErrUnsupported, or nil.
func Runs(a *arch.Arch) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("kvm: %w: it needs Linux on x86-64, this is %s on %s", ErrUnsupported, runtime.GOOS, runtime.GOARCH)
	}
	if a == nil || a.ELF != x86.AMD64().ELF {
		return fmt.Errorf("kvm: %w: the guest is none of this host's architecture", ErrUnsupported)
	}
	return nil
}

func (c *Config) check() error {
	if c.Arch == nil {
		c.Arch = x86.AMD64()
	}
	if err := Runs(c.Arch); err != nil {
		return err
	}
	switch c.Hook {
	case "":
		c.Hook = HookAuto
	case HookAuto, HookTrap, HookRing:
	default:
		return fmt.Errorf("kvm: unknown kind of hook %q: it is auto, trap or ring", c.Hook)
	}
	if c.ringPages == 0 {
		c.ringPages = defaultRing
	}
	if c.SMP == 0 {
		c.SMP = 1
	}
	if c.SMP < 0 || c.SMP > maxVCPUs {
		return fmt.Errorf("kvm: %d vCPUs are not between 1 and %d", c.SMP, maxVCPUs)
	}
	if c.MemoryBytes < minMemory {
		return fmt.Errorf("kvm: %d bytes of RAM are not enough, at least %d are needed", c.MemoryBytes, uint64(minMemory))
	}
	if c.Device == "" {
		c.Device = DefaultDevice
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

const (
	maxVCPUs  = 64
	minMemory = 4 << 20
)

// Capabilities are what a host's KVM can do, found by trying it.
type Capabilities struct {
	// Trap is how a hook in the guest's text reaches the tracer.
	Trap TrapKind
	// SyncRegs says that registers come with each exit (KVM_CAP_SYNC_REGS)
	// and need no calls of their own.
	SyncRegs bool
	// FinishIO says that a trap must be finished by one more KVM_RUN before
	// registers may be changed.
	FinishIO bool
	// ExecBreakpoints and SingleStep say that these debug exits work.
	ExecBreakpoints, SingleStep bool
	// Kernels says that instructions work which stock kernels need, and which
	// a KVM that emulates the guest's ring 0 may lack.
	Kernels bool
	// Clock says that interrupt controllers and timers in the host's kernel
	// can be had.
	Clock bool
	// trapDelta is how far behind the trap rip stands at the exit.
	trapDelta uint64
}

// String describes c in one line.
func (c *Capabilities) String() string {
	parts := []string{"trap " + c.Trap.String()}
	add := func(have bool, name string) {
		if !have {
			name = "no " + name
		}
		parts = append(parts, name)
	}
	add(c.SyncRegs, "synchronised registers")
	add(c.ExecBreakpoints, "execution breakpoints")
	add(c.SingleStep, "single-step")
	add(c.Clock, "in-kernel interrupt controllers")
	add(c.Kernels, "instructions of stock kernels")
	return strings.Join(parts, ", ")
}

// TrapKind is an instruction that brings the vCPU to the tracer.
type TrapKind uint8

// Kinds of trap, the best first.
const (
	// TrapNone: no trap works.
	TrapNone TrapKind = iota
	// TrapInt3 is int3 with KVM_GUESTDBG_USE_SW_BP.
	TrapInt3
	// TrapInt1 is int1 (icebp): its debug exception is delivered to the
	// tracer wherever hardware breakpoints are.
	TrapInt1
	// TrapOut is out imm8, al to a port that nothing else has.
	TrapOut
	// TrapHardware is the debug registers: four addresses at most.
	TrapHardware
)

// String names the kind for reports.
func (k TrapKind) String() string {
	switch k {
	case TrapInt3:
		return "int3"
	case TrapInt1:
		return "int1"
	case TrapOut:
		return "out imm8"
	case TrapHardware:
		return "hardware breakpoint"
	}
	return "none"
}

// trapPort is the I/O port of TrapOut: one of the range 0xe0 to 0xef that
// PCs leave alone (0xed is the delay port of some kernels).
const trapPort = 0xe4

// code returns the bytes of the trap, none for a hardware breakpoint.
func (k TrapKind) code() []byte {
	switch k {
	case TrapInt3:
		return []byte{0xcc}
	case TrapInt1:
		return []byte{0xf1}
	case TrapOut:
		return []byte{0xe6, trapPort}
	}
	return nil
}

// Check errs where c does not suffice to run a guest with hooks.
func (c *Capabilities) Check() error {
	switch {
	case !c.Clock:
		return fmt.Errorf("kvm: %w: interrupt controllers in the host's kernel cannot be had", ErrUnsupported)
	case c.Trap == TrapNone:
		return fmt.Errorf("kvm: %w: neither int3, int1, out nor hardware breakpoints reach the tracer", ErrUnsupported)
	case !c.SingleStep:
		return fmt.Errorf("kvm: %w: single-stepping does not work", ErrUnsupported)
	}
	return nil
}

// CheckKernels errs where stock kernels cannot be expected to run.
func (c *Capabilities) CheckKernels() error {
	if !c.Kernels {
		return fmt.Errorf("kvm: %w: it lacks instructions that stock kernels need (a paravirtual KVM, which emulates the guest's kernel mode?)", ErrUnsupported)
	}
	return nil
}
