package leak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/leakvisor/leakvisor/annotations"
	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/symbols"
)

// ErrGuestFailed is wrapped when the guest panicked, hung or never started
// its kernel.
var ErrGuestFailed = errors.New("the guest failed")

// Machine is what a session needs of a backend.
type Machine interface {
	hv.Machine
	hv.Tracer
}

// Options say how to judge. Nil and the zero value are legal: slab, vmalloc
// and per-CPU objects are tracked, and nothing is scanned.
type Options struct {
	// Track lists the classes whose orphans are reported.
	Track []hooks.Class
	// Roots say what counts for references. With several, each scan is judged,
	// and reported, by each; nil means one that is zero.
	Roots []Roots
	// MinAge leaves out orphans that are younger, in guest time.
	MinAge time.Duration
	// ScanAtEnd scans before the guest powers off, halts, reboots or panics.
	ScanAtEnd bool
	// ScanEvery scans at this interval of real time, if not zero.
	ScanEvery time.Duration
	// ScanNow asks for a scan with each value, which names the reason.
	ScanNow <-chan string
	// Timeout scans and ends the run after this much real time, if not zero.
	Timeout time.Duration
	// Precise also scans with objects' types: what is found to be an orphan
	// only since a word that looks like a pointer to it is none by its type is
	// an orphan too, and marked.
	Precise bool
	// Explain says which objects each report explains.
	Explain []Query
	// ModuleSymbols is a directory with .ko files that have debug information.
	ModuleSymbols string
	// Suppress are the user's rules: see package annotations.
	Suppress []annotations.Rule
	// CacheDir is where indexes of module symbols are kept; empty for nowhere.
	CacheDir string
	// HV names the backend in reports.
	HV string
	// Report is called with each scan's report, on the run's goroutine.
	Report func(*report.Report) error
	// Judged is called before Report, with what it was made of.
	Judged func(*Judgement) error
	// Progress is called now and then, on the run's goroutine.
	Progress func(Progress)
	Logger   *slog.Logger
}

// Progress is how far a run is.
type Progress struct {
	Stage   string
	Events  uint64
	Objects uint64
}

// Session is one run of one guest. All its state belongs to the goroutine
// that Run is called on.
type Session struct {
	img  *symbols.Image
	m    Machine
	arch *arch.Arch
	o    Options
	log  *slog.Logger

	slide   uint64
	space   *symbols.Space
	plan    *hooks.Plan
	tracker *hooks.Tracker
	context *kernel.EventContext
	kmem    *guestmem.AddressSpace // kernel memory, from Started on
	kernel  *kernel.Kernel         // reader of the kernel's structures, likewise
	live    atomic.Pointer[guest]  // both, for other goroutines
	modules *moduleFiles
	// ownTables says that kmem is the kernel's own page tables.
	ownTables bool
	rules     *rules
	types     *types

	pending []*frozen          // to be judged and reported
	ending  string             // the moment that ends the guest, once it came
	ended   chan struct{}      // closed then
	waits   bool               // the guest is paused there, for the last scan
	memory  *guestmem.Snapshot // for that scan
	over    bool               // nothing is to be scanned any more
	panics  bool
	reports int
	// unreported is why a report could not be handed out.
	unreported error
	gaps       []string // why nothing can be proven, besides what a scan finds
}

var _ hv.Handler = (*Session)(nil)

// New returns a session for a machine that has not run yet.
func New(img *symbols.Image, m Machine, o *Options) (*Session, error) {
	s := &Session{img: img, m: m, arch: img.Arch(), log: slog.New(slog.DiscardHandler), ended: make(chan struct{})}
	if o != nil {
		s.o = *o
	}
	if s.o.Logger != nil {
		s.log = s.o.Logger
	}
	if len(s.o.Roots) == 0 {
		s.o.Roots = []Roots{{}}
	}
	if len(s.o.Track) == 0 {
		s.o.Track = []hooks.Class{hooks.Slab, hooks.Vmalloc, hooks.PerCPU}
	}
	var err error
	if s.rules, err = newRules(img, s.o.Suppress); err != nil {
		return nil, err
	}
	s.types = newTypes()
	if s.o.ModuleSymbols != "" {
		if s.modules, err = findModuleFiles(s.o.ModuleSymbols); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Run lets the guest run to its end and reports each scan. It errs when the
// guest failed; a report of what was there then has been made if it could.
func (s *Session) Run(ctx context.Context) error {
	defer s.modules.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	asked := make(chan error, 1)
	go func() { asked <- s.ask(ctx, cancel) }()
	err := s.m.Run(ctx, s)
	_ = s.deliver() // see unreported
	cause := context.Cause(ctx)
	cancel(nil)
	askErr := <-asked
	switch {
	case s.unreported != nil:
		return s.unreported
	case errors.Is(cause, errTimeout):
		return fmt.Errorf("%w: it did not power off within %v", ErrGuestFailed, s.o.Timeout)
	case err != nil && !errors.Is(cause, errHalted) && !(s.over && errors.Is(err, hv.ErrGuestGone)):
		return err
	case askErr != nil:
		return askErr
	case s.tracker == nil:
		return fmt.Errorf("%w: it ended before its kernel ran", ErrGuestFailed)
	case s.panics:
		return fmt.Errorf("%w: kernel panic", ErrGuestFailed)
	case s.o.ScanAtEnd && s.reports == 0:
		return fmt.Errorf("%w: it ended without passing power-off, reboot or panic, so nothing was scanned", ErrGuestFailed)
	}
	return nil
}

func (s *Session) symbolOptions() *symbols.Options {
	return &symbols.Options{CacheDir: s.o.CacheDir, Logger: s.log}
}

// KernelEntered implements hv.Handler.
func (s *Session) KernelEntered(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
	var bounds [2]uint64
	for i, name := range [...]string{"_text", "_end"} {
		sym, err := s.img.Symbol(name)
		if err != nil {
			return nil, fmt.Errorf("finding the kernel's text: %w", err)
		}
		bounds[i] = sym.Addr
	}
	var err error
	if s.arch.Linux.Entry != "" {
		var entered bool
		if s.slide, entered, err = hooks.EntrySlide(s.arch, s.img, pc, code); err != nil || !entered {
			return nil, err
		}
	} else if s.slide, err = hooks.FindSlide(s.arch, s.img, bounds[0], bounds[1], pc, code); err != nil {
		return nil, err
	}
	s.log.Info("kernel entered", "pc", fmt.Sprintf("%#x", uint64(pc)), "slide", fmt.Sprintf("%#x", s.slide))
	s.space = symbols.NewSpace(s.img, s.slide)
	unwinder, err := s.space.Unwinder()
	if err != nil {
		return nil, err
	}
	if s.context, err = kernel.NewEventContext(s.img, s.slide); err != nil {
		return nil, err
	}
	if s.plan, err = hooks.BuildPlan(s.arch, s.img, s.slide, hooks.PlanOptions{Track: s.o.Track}); err != nil {
		return nil, err
	}
	s.gaps = append(s.gaps, s.plan.Gaps...)
	s.tracker = hooks.NewTracker(s.arch, s.plan, unwinder, s.task)
	plan := &hv.Plan{Hooks: s.plan.Hooks}
	for _, f := range s.context.Fetches {
		plan.Context = append(plan.Context, hv.Fetch(f))
	}
	for _, f := range s.context.TaskStack {
		plan.TaskStack = append(plan.TaskStack, hv.Fetch(f))
	}
	for _, name := range s.arch.Linux.TextPatchers {
		for _, sym := range s.img.Symbols(name) {
			plan.Patchers = append(plan.Patchers, guestmem.GVA(sym.Addr+s.slide))
		}
	}
	return plan, nil
}

// task decodes an event's context; what cannot be read names nobody.
func (s *Session) task(b []byte) hooks.Task {
	c, err := s.context.Decode(b)
	if err != nil {
		return hooks.Task{}
	}
	pid, comm := c.Owner()
	return hooks.Task{PID: int32(pid), Comm: comm, Jiffies: c.Jiffies}
}

// progressEvery is how many events pass between two calls of Progress.
const progressEvery = 1 << 12

// Event implements hv.Handler.
func (s *Session) Event(ev *hv.Event) error {
	if len(s.pending) > 0 {
		if err := s.deliver(); err != nil {
			return err
		}
	}
	s.tracker.Event(ev)
	if ev.Seq%progressEvery == 0 {
		s.progress("")
	}
	if ev.Kind != hv.Entry || ev.Hook < 0 || ev.Hook >= len(s.plan.Targets) {
		return nil
	}
	if m := s.plan.Targets[ev.Hook].Moment; m != nil {
		return s.moment(m, ev)
	}
	return nil
}

func (s *Session) progress(stage string) {
	if s.o.Progress != nil {
		s.o.Progress(Progress{Stage: stage, Events: s.tracker.Stats().Events, Objects: s.tracker.LiveCount()})
	}
}

func (s *Session) moment(m *hooks.Moment, ev *hv.Event) error {
	switch m.Kind {
	case hooks.Started:
		return s.started()
	case hooks.ModuleLoaded:
		s.rules.modulesChanged(ev.Seq)
		s.moduleLoaded(guestmem.GVA(ev.Args[0]), ev.Seq)
	case hooks.ModuleUnloaded:
		s.rules.modulesChanged(ev.Seq)
		s.moduleUnloaded(guestmem.GVA(ev.Args[0]), ev.Seq)
	case hooks.Ending, hooks.Panicked:
		if s.ending != "" {
			return nil
		}
		s.ending, s.panics = m.Name, m.Kind == hooks.Panicked
		defer close(s.ended)
		if !s.o.ScanAtEnd {
			s.over = true
			return nil
		}
		// Other vCPUs ran on until now, and their events are still to come:
		// the scan waits for them.
		s.waits = true
		if err := s.refreshTables(); err != nil {
			return err
		}
		s.memory = s.rehearse()
		if err := s.m.Pause(context.Background()); err != nil {
			return fmt.Errorf("pausing the guest: %w", err)
		}
	}
	return nil
}

// last is the scan at the guest's end. All events have been delivered.
func (s *Session) last() error {
	if !s.waits {
		return nil
	}
	s.waits, s.over = false, true
	err := s.scan(s.ending, s.memory)
	if rerr := s.m.Resume(context.Background()); err == nil && rerr != nil {
		err = fmt.Errorf("resuming the guest: %w", rerr)
	}
	return err
}

// paused runs f with all vCPUs stopped.
func (s *Session) paused(ctx context.Context, f func() error) error {
	if err := s.m.Pause(ctx); err != nil {
		return fmt.Errorf("pausing the guest: %w", err)
	}
	err := f()
	if rerr := s.m.Resume(ctx); err == nil && rerr != nil {
		err = fmt.Errorf("resuming the guest: %w", rerr)
	}
	return err
}

// started finds the kernel's page tables and makes sure that the kernel is
// the one whose symbols we have.
func (s *Session) started() error {
	if err := s.paused(context.Background(), s.findTables); err != nil {
		return err
	}
	id, err := s.kernel.BuildID()
	if err != nil {
		return fmt.Errorf("reading the guest's build ID: %w", err)
	}
	if want := s.img.BuildID(); !bytes.Equal(id, want) {
		return fmt.Errorf("%w: its build ID is %x, vmlinux has %x; take the debug package of the same kernel version", hooks.ErrWrongKernel, id, want)
	}
	s.progress("guest is running")
	return nil
}
