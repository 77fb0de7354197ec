package qemu

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waitDelay is how long what a script in QEMU's place has started may keep our
// pipe open after its end.
const waitDelay = 5 * time.Second

// process is one QEMU, which ends with this process however that ends.
type process struct {
	cmd    *exec.Cmd
	stderr *tail
	done   chan struct{} // closed when the process was waited for
	err    error         // its exit, valid after done
}

// startProcess runs path with files as its descriptors 3, 4, … and closes
// this side's copies of them.
func startProcess(path string, args []string, files []*os.File) (*process, error) {
	p := &process{stderr: &tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.ExtraFiles = files
	p.cmd.Stderr = p.stderr
	p.cmd.Stdout = p.stderr
	p.cmd.WaitDelay = waitDelay
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // a terminal's ^C is for us; we end QEMU
	}
	started := make(chan error)
	go func() {
		// The death signal comes when the *thread* that forked ends, so the
		// thread is kept until QEMU has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("qemu: starting %s: %w", path, err)
	}
	return p, nil
}

// kill ends the process, and what it has started where it is a script, and
// waits for it.
func (p *process) kill() {
	if !p.exited() {
		_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// exited says whether the process has ended.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// describe says how the process ended, for people.
func (p *process) describe() string {
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return fmt.Sprintf("QEMU was killed by signal %d (%v)", ws.Signal(), ws.Signal())
		}
		return fmt.Sprintf("QEMU ended with exit status %d", exit.ExitCode())
	}
	if p.err != nil {
		return "QEMU ended: " + p.err.Error()
	}
	return "QEMU ended unexpectedly"
}

// refused says whether the process, which has ended, did so by itself and with
// an error.
func (p *process) refused() bool {
	var exit *exec.ExitError
	return errors.As(p.err, &exit) && exit.Exited()
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const maxTail = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - maxTail; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

// String returns the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tailOf(string(t.buf), 10)
}

// connPair returns a connected pair of stream sockets: one end for us, the
// other to be inherited.
func connPair(name string) (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("qemu: socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), name)
	mine := os.NewFile(uintptr(fds[0]), name)
	defer mine.Close()
	conn, err := net.FileConn(mine)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("qemu: socket pair: %w", err)
	}
	return conn, theirs, nil
}

// unread returns how much of what was written to conn the peer has not read
// yet: zero only if it has read all. ok is false where the host cannot tell.
func unread(conn net.Conn) (n int, ok bool) {
	sc, is := conn.(syscall.Conn)
	if !is {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var ioctl error
	err = raw.Control(func(fd uintptr) { n, ioctl = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n, err == nil && ioctl == nil
}

// pending returns how much conn has for us to read.
func pending(conn net.Conn) int {
	sc, is := conn.(syscall.Conn)
	if !is {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return n
}
