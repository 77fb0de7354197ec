package hv

import (
	"context"
	"errors"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// ErrGuestGone is wrapped by errors of calls that need a guest which has
// ended; see ExitError.
var ErrGuestGone = errors.New("the guest has ended")

// ErrNotRunning is wrapped by errors of calls that need a Tracer's Run to be
// under way.
var ErrNotRunning = errors.New("the guest is not being run")

// Machine is one running guest.
type Machine interface {
	Arch() *arch.Arch
	// Memory is the guest's physical memory, valid until Close.
	Memory() guestmem.Physical
	VCPUs() int
	// Pause stops all vCPUs and returns when none runs any more. Events that
	// happened before are delivered first or meanwhile: Pause never waits for
	// a consumer that waits for Pause.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Registers reads a paused vCPU's registers, by arch.Reg name.
	Registers(ctx context.Context, vcpu int) (map[string]uint64, error)
	// Close ends the guest if it still runs and releases everything.
	Close() error
}

// PauseClock is the ability to tell how long the guest stood still.
type PauseClock interface {
	// Paused returns how long all pauses took that are over, each from the
	// call of Pause that stops the guest until it runs again, and how long
	// the present one has taken, if there is one.
	Paused() (over, present time.Duration)
}

// Hider is the ability to tell what vCPUs have besides their Registers.
type Hider interface {
	Hidden(ctx context.Context, vcpu int) (Hidden, error)
}

// Hidden is what a paused vCPU has in registers that are not in use at present.
type Hidden struct {
	// Frames is what of its stacks it has yet to write to memory (register
	// windows), the innermost frame's first.
	Frames []Unwritten
	// Words are other registers' values.
	Words []uint64
}

// Unwritten is what will be in guest memory at an address, in guest byte order.
type Unwritten struct {
	Addr  guestmem.GVA
	Bytes []byte
}

// Tracer is the ability to tell of executed addresses.
type Tracer interface {
	// Run lets the guest run and delivers to h until the guest ends, ctx is
	// done or h errs. All of h's methods are called from this one goroutine.
	// It returns nil only when the guest ended by itself in good order
	// (power-off or reset); otherwise an error, ExitError for a dead guest.
	Run(ctx context.Context, h Handler) error
	// Interrupt pauses the guest while Run runs, lets Run deliver all events
	// that happened before, calls fn on Run's goroutine, and resumes. If fn
	// did not err it then calls after, if given, on Run's goroutine too, while
	// the guest runs and before anything that happened since is delivered. It
	// returns their error, or ErrNotRunning if Run does not run. It may be
	// called from any goroutine but from within the Handler.
	Interrupt(ctx context.Context, fn func() error, after ...func() error) error
	// Lost is the number of events that were lost, by the backend's own
	// count: zero, or the verdict is unknown.
	Lost() uint64
	// Mechanism names how hooks work here, for the report.
	Mechanism() string
}

// Handler is what a Tracer tells.
type Handler interface {
	// KernelEntered is called before the instruction at the first address at
	// or above arch.Linux.Text runs, with up to 64 bytes of the code there. It
	// returns what to hook; or nil where that is not the kernel yet: then it is
	// called again for other code there. An error ends the run.
	KernelEntered(pc guestmem.GVA, code []byte) (*Plan, error)
	// Event is called for each event in the order in which they happened.
	// ev and its slices are valid during the call only. For a hook with Sync
	// set the vCPU stands still at the hook until Event returns (other vCPUs
	// may run on); during that call the handler may use Machine.Pause,
	// Registers and Resume, and the vCPU is stopped at the hook then (or at
	// most one translation block behind it).
	Event(ev *Event) error
}

// Plan is what a Tracer shall tell of.
type Plan struct {
	Hooks []Hook
	// Context is read at each entry, in order, into Event.Context.
	Context []Fetch
	// StackSize is the size and alignment of a kernel stack in bytes, a
	// power of two: no stack copy goes beyond it. Zero means
	// arch.Linux.StackSize.
	StackSize uint64
	// TaskStack reads the lowest address of the running task's stack, which
	// has StackSize bytes: each fetch but the first has the one before as its
	// Prev. It serves backends that cannot risk to read beyond a stack's end;
	// nil if unknown.
	TaskStack []Fetch
	// Patchers are functions that read or rewrite the kernel's own text at
	// boot, before other CPUs run, and allocate nothing meanwhile. A backend
	// whose hooks change the guest's text takes them out while one runs for
	// the first time.
	Patchers []guestmem.GVA
}

// Hook is one function, or one address, to be told of.
type Hook struct {
	Name  string // for messages
	Entry guestmem.GVA
	// Exits are the instructions that return from the function, those of
	// functions it tail-calls included. None: entries only.
	Exits []ExitPoint
	// Args is how many arguments are told of; zero means all whose place is
	// known (arch.Call). Fewer cost less.
	Args int
	// StackBytes is how much of the stack is copied at entry, from the stack
	// pointer up, or up to it where the stack grows upward (arch.Call), clipped
	// at the end of the stack.
	StackBytes int
	// Array copies an array of words that an argument points to.
	Array Array
	// Sync holds the vCPU at the entry until the handler has returned.
	Sync bool
}

// ExitPoint is an instruction that returns; see arch.Exit.
type ExitPoint struct {
	Addr   guestmem.GVA
	Pop    uint64
	SP     string
	Result *arch.Sum
	If     *arch.Condition
}

// Array says which words to copy with an event of a bulk function. The zero
// value copies none.
type Array struct {
	When ArrayWhen
	// Pointer and Count are argument numbers, from 0. At exit the count is
	// the function's result instead, bounded by argument Count.
	Pointer, Count int
}

// ArrayWhen says at which event an Array is copied.
type ArrayWhen uint8

// When an Array is copied.
const (
	ArrayNever ArrayWhen = iota
	ArrayAtEntry
	ArrayAtExit
)

// Fetch is one read of guest memory at an event: Size bytes (at most 16) at
// base+Offset. The base is the register Reg, rounded down to a multiple of
// Align, a power of two, if that is not zero; or, with Reg empty and Prev
// positive, the word that Context fetch number Prev-1 read; or else zero. A
// fetch that cannot be read gives zero bytes.
type Fetch struct {
	Reg    string
	Prev   int
	Offset uint64
	Size   int
	Align  uint64
}

// Kind is an event's kind.
type Kind uint8

// Kinds of event.
const (
	Entry Kind = iota + 1
	Exit
)

// Event is one passage of a hook.
type Event struct {
	Kind Kind
	Hook int // index into Plan.Hooks; for an Exit that several hooks share, -1
	VCPU int
	Seq  uint64 // counts all events of the run, from 0
	PC   guestmem.GVA
	// SP is the stack pointer at the function's first instruction: at an
	// exit, what it is just before the return. Both are equal for one call,
	// and unique among calls in progress: it pairs exits with entries.
	SP guestmem.GVA
	// Return is the return address (entry only).
	Return guestmem.GVA
	FP     uint64    // frame pointer register (entry only)
	Args   [6]uint64 // (entry only)
	Result uint64    // (exit only)
	// Context holds the Plan's fetches, each padded to a multiple of 8 bytes.
	Context []byte
	// Stack is the copied stack from SP up, or up to it (entry only).
	Stack []byte
	// Array is the copied array, in guest byte order. ArrayShort says that
	// it could not be copied whole.
	Array      []byte
	ArrayShort bool
}

// ExitError tells how a guest or its emulator ended when it should not have.
type ExitError struct {
	Reason string // for people, with what to do next
	Output string // the last lines the emulator printed, if any
	// Refused says that the emulator gave up before the guest ran: it would
	// not take what it was given.
	Refused bool
}

func (e *ExitError) Error() string {
	if e.Output == "" {
		return "guest ended: " + e.Reason
	}
	return "guest ended: " + e.Reason + ": " + e.Output
}

// Unwrap returns ErrGuestGone.
func (e *ExitError) Unwrap() error { return ErrGuestGone }
