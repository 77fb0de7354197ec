package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// startTimeout bounds how long QEMU may take to answer for the first time.
const startTimeout = 30 * time.Second

// Machine is a guest under QEMU.
type Machine struct {
	cfg    Config
	proc   *process
	qmp    *qmp
	gdb    *gdb
	ram    *ram
	mem    *guestmem.RAM
	shared *shared
	bell   *os.File // eventfd, rung by the plugin and by us
	log    *os.File // QEMU's log of CPU resets

	console     net.Conn
	consoleDone chan struct{}

	drain     *drainer
	delivered atomic.Uint64

	runState   atomic.Int32
	entered    chan struct{} // has one element when the kernel was entered
	interrupts chan *interrupt
	runEnded   chan struct{} // closed when Run has returned

	pause pauseState

	shutdown chan struct{} // closed when QEMU announced the guest's end
	stopped  chan struct{} // closed when after that no vCPU runs any more
	endMu    sync.Mutex
	reason   string // QEMU's reason for the shutdown

	closeOnce sync.Once
}

var (
	_ hv.Machine = (*Machine)(nil)
	_ hv.Tracer  = (*Machine)(nil)
)

// Start launches QEMU with the guest ready to run; Run lets it go. Without
// QEMU, a compiler or a new enough QEMU the error is a *MissingError.
func Start(ctx context.Context, config Config) (_ *Machine, err error) {
	cfg, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	binary, err := findQEMU(cfg.Binary, cfg.Arch.QEMU.Package)
	if err != nil {
		return nil, err
	}
	plugin, err := buildPlugin(ctx, cfg.CacheDir, cfg.CC)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	m := &Machine{
		cfg:         cfg,
		entered:     make(chan struct{}, 1),
		interrupts:  make(chan *interrupt),
		runEnded:    make(chan struct{}),
		shutdown:    make(chan struct{}),
		pause:       pauseState{sem: make(chan struct{}, 1)},
		stopped:     make(chan struct{}),
		consoleDone: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			_ = m.Close()
		}
	}()
	if err := m.launch(binary, plugin); err != nil {
		return nil, err
	}
	if err := m.greet(ctx); err != nil {
		return nil, m.startError(ctx, err)
	}
	return m, nil
}

func findQEMU(binary, pkg string) (string, error) {
	path, err := exec.LookPath(binary)
	if err != nil {
		return "", &MissingError{What: binary, Fix: fixQEMU(pkg), Reason: err}
	}
	return path, nil
}

func fixQEMU(pkg string) string {
	return fmt.Sprintf("install QEMU 9.2 or later: on Debian 13 and Ubuntu 25.04 `apt-get install %[1]s`, on Debian 12 from its backports suite `apt-get install -t bookworm-backports %[1]s`", pkg)
}

// launch makes everything that is shared with QEMU and starts it.
func (m *Machine) launch(binary, plugin string) error {
	var files []*os.File // QEMU's descriptors from 3 on; we close ours
	closeFiles := func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	defer func() { closeFiles() }()
	give := func(f *os.File) int {
		files = append(files, f)
		return 2 + len(files)
	}
	dup := func(f *os.File) (int, error) {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("qemu: %w", err)
		}
		return give(os.NewFile(uintptr(fd), f.Name())), nil
	}
	var fds descriptors
	conns := make([]net.Conn, 3)
	for i, to := range []*int{&fds.qmp, &fds.console, &fds.gdb} {
		conn, theirs, err := connPair("qemu")
		if err != nil {
			return err
		}
		conns[i] = conn
		*to = give(theirs)
	}
	m.qmp, m.console, m.gdb = newQMP(conns[0], m.onQMPEvent), conns[1], newGDB(conns[2])
	go m.pumpConsole()

	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("qemu: eventfd: %w", err)
	}
	m.bell = os.NewFile(uintptr(bell), "bell")
	bellFD, err := unix.FcntlInt(uintptr(bell), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("qemu: eventfd: %w", err)
	}
	fds.bell = give(os.NewFile(uintptr(bellFD), "bell"))
	if m.ram, err = newRAM(m.cfg.MemoryBytes); err != nil {
		return err
	}
	if fds.ram, err = dup(m.ram.file); err != nil {
		return err
	}
	if m.shared, err = newShared(m.cfg.Arch, fds.bell, fds.ram, m.cfg.MemoryBytes); err != nil {
		return err
	}
	if fds.shared, err = dup(m.shared.file); err != nil {
		return err
	}
	if m.cfg.Arch.QEMU.RAM != "" {
		m.shared.ctl.adopt.Store(adoptReady)
	}
	logFD, err := unix.MemfdCreate("qemu-log", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("qemu: memfd_create: %w", err)
	}
	m.log = os.NewFile(uintptr(logFD), "qemu-log")
	if fds.log, err = dup(m.log); err != nil {
		return err
	}
	m.drain = newDrainer(newRing(m.shared, m.cfg.SMP), m.shared.ctl, m.bell, m.entered)

	m.proc, err = startProcess(binary, arguments(m.cfg, plugin, fds), files)
	if err != nil {
		return err
	}
	go m.drain.run(m.proc.done)
	return nil
}

// greet waits until QEMU answers and learns what the machine is like.
func (m *Machine) greet(ctx context.Context) error {
	if err := m.qmp.handshake(ctx); err != nil {
		return err
	}
	if err := m.gdb.handshake(ctx); err != nil {
		return err
	}
	tree, err := m.qmp.monitor(ctx, "info mtree -f")
	if err != nil {
		return err
	}
	own := m.cfg.Arch.QEMU.RAM
	ranges, err := parseMemoryTree(tree, cmp.Or(own, ramID))
	if err != nil {
		return err
	}
	if own != "" {
		if err := m.adopt(ctx, ranges); err != nil {
			return err
		}
	}
	if m.mem, err = m.ram.physical(ranges); err != nil {
		return err
	}
	m.shared.setPieces(ranges)
	return checkLive(ctx, m.gdb, m.mem)
}

// checkRegisters makes sure that the plugin has the registers without which
// no event means anything. It knows only when vCPUs have run.
func (m *Machine) checkRegisters() error {
	need := append([]string{m.cfg.Arch.Call.SP, m.cfg.Arch.Call.Result}, m.cfg.Arch.Call.Args...)
	missing := m.shared.ctl.missing.Load()
	for i, r := range m.cfg.Arch.Regs {
		if missing&(1<<i) == 0 {
			continue
		}
		for _, name := range need {
			if name == r.Name {
				why := "has none by number either"
				if m.shared.ctl.byNumber == 0 {
					why = "does not export gdb_read_register, by which they are read otherwise"
				}
				return fmt.Errorf("qemu: %s gives plugins no register %s, and %s: hooks do not work there", m.cfg.Binary, name, why)
			}
		}
		m.cfg.Logger.Debug("QEMU gives plugins no such register", "register", r.Name)
	}
	return nil
}

// startError explains why QEMU did not come up.
func (m *Machine) startError(ctx context.Context, err error) error {
	// A connection that broke means that QEMU is about to end, or has.
	select {
	case <-m.proc.done:
	case <-time.After(time.Second):
		if ctx.Err() != nil {
			return fmt.Errorf("qemu: QEMU does not answer: %w: %s", err, m.proc.stderr)
		}
		return err
	}
	said := m.proc.stderr.String()
	for _, sign := range []string{"plugin requires API version", "-plugin: invalid option", "undefined symbol: qemu_plugin", "plugin interface not enabled"} {
		if strings.Contains(said, sign) {
			return &MissingError{What: "a QEMU with plugin API 4", Fix: fixQEMU(m.cfg.Arch.QEMU.Package), Reason: errors.New(said)}
		}
	}
	return &hv.ExitError{Reason: "QEMU did not start: " + m.proc.describe(), Output: said, Refused: m.proc.refused()}
}

// pumpConsole carries the guest's console to the configured writer.
func (m *Machine) pumpConsole() {
	defer close(m.consoleDone)
	buf := make([]byte, 32<<10)
	to := m.cfg.Console
	for {
		n, err := m.console.Read(buf)
		if n > 0 {
			// A guest whose console is not read stands still, so a writer
			// that fails is replaced, not waited for.
			if _, werr := to.Write(buf[:n]); werr != nil {
				m.cfg.Logger.Warn("the guest's console cannot be written", "error", werr)
				to = io.Discard
			}
		}
		if err != nil {
			return
		}
	}
}

// Arch implements hv.Machine.
func (m *Machine) Arch() *arch.Arch { return m.cfg.Arch }

// Memory implements hv.Machine. It is the guest's own RAM; reading it after
// Close crashes.
func (m *Machine) Memory() guestmem.Physical { return m.mem }

// VCPUs implements hv.Machine.
func (m *Machine) VCPUs() int { return m.cfg.SMP }

// Mechanism implements hv.Tracer.
func (m *Machine) Mechanism() string { return "QEMU TCG plugin" }

// Lost implements hv.Tracer: what the plugin counted less what was delivered.
// While Run is under way that includes events which are merely on their way.
func (m *Machine) Lost() uint64 {
	if m.shared.ctl == nil {
		return 0
	}
	delivered := m.delivered.Load()
	if produced := m.shared.produced(); produced > delivered {
		return produced - delivered
	}
	return 0
}

// Close implements hv.Machine. It must not be called while Run runs.
func (m *Machine) Close() error {
	m.closeOnce.Do(func() {
		if m.proc != nil {
			m.proc.kill()
			m.drain.stop()
			<-m.drain.done
		}
		if m.qmp != nil {
			m.qmp.Close()
			m.gdb.Close()
			_ = m.console.Close()
			<-m.consoleDone
		}
		for _, f := range []*os.File{m.bell, m.log} {
			if f != nil {
				_ = f.Close()
			}
		}
		if m.shared != nil {
			m.shared.Close()
		}
		if m.ram != nil {
			m.ram.Close()
		}
	})
	return nil
}
