package kernel

import (
	"fmt"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
)

type timeLayout struct {
	mult, shift      member // clocksource; none without clocksource_jiffies
	release, version member // uts_namespace.name; likewise without init_uts_ns
	states           map[string]int64
}

func newTimeLayout(l *layout) timeLayout {
	l.needSymbol("jiffies_64")
	t := timeLayout{states: map[string]int64{}}
	if l.has("clocksource_jiffies") {
		l.find("clocksource", "register_refined_jiffies", "__clocksource_register_scale")
		t.mult = l.need("clocksource", "mult")
		t.shift = l.need("clocksource", "shift")
	}
	if l.has("init_uts_ns") {
		l.find("uts_namespace", nearFork...)
		t.release = l.need("uts_namespace", "name.release")
		t.version = l.need("uts_namespace", "name.version")
	}
	for _, n := range []string{"SYSTEM_FREEING_INITMEM", "SYSTEM_RUNNING"} {
		if v, ok := l.constant(n, "kernel_init"); ok {
			t.states[n] = v
		}
	}
	return t
}

// HZ returns the number of jiffies a second. It is a macro: the jiffies
// clock source has it as nanoseconds a tick (kernel/time/jiffies.c).
func (k *Kernel) HZ() (int, error) {
	at, ok := k.Addr("clocksource_jiffies")
	if !ok {
		return 0, fmt.Errorf("HZ: %w", ErrUnsupported)
	}
	r := k.at(at)
	mult, shift := r.get(k.lay.time.mult), r.get(k.lay.time.shift)
	if r.err != nil {
		return 0, fmt.Errorf("HZ: %w", r.err)
	}
	if shift > 32 || mult>>shift == 0 {
		return 0, inconsistent("the jiffies clock source has mult %d, shift %d", mult, shift)
	}
	tick := mult >> shift
	hz := (uint64(time.Second) + tick/2) / tick
	if hz == 0 || hz > 100_000 {
		return 0, inconsistent("a tick has %d ns", tick)
	}
	return int(hz), nil
}

// Jiffies returns jiffies_64.
func (k *Kernel) Jiffies() (uint64, error) {
	at, ok := k.Addr("jiffies_64")
	if !ok {
		return 0, fmt.Errorf("jiffies: %w", ErrUnsupported)
	}
	v, err := k.mem.Uint(at, 8)
	if err != nil {
		return 0, fmt.Errorf("jiffies: %w", err)
	}
	return v, nil
}

// Uptime returns how long ago the timer started, in steps of a jiffy.
func (k *Kernel) Uptime() (time.Duration, error) {
	hz, err := k.HZ()
	if err != nil {
		return 0, err
	}
	j, err := k.Jiffies()
	if err != nil {
		return 0, err
	}
	// INITIAL_JIFFIES: five minutes before it wraps in 32 bits
	// (include/linux/jiffies.h).
	ticks := j - uint64(uint32(-300*int32(hz)))
	return time.Duration(ticks/uint64(hz))*time.Second + time.Duration(ticks%uint64(hz))*time.Second/time.Duration(hz), nil
}

// Uname returns the kernel's release ("6.1.0-...", uname -r) and version
// ("#1 SMP ...", uname -v).
func (k *Kernel) Uname() (release, version string, err error) {
	at, ok := k.Addr("init_uts_ns")
	if !ok {
		return "", "", fmt.Errorf("uname: %w", ErrUnsupported)
	}
	r := k.at(at)
	release, version = r.text(k.lay.time.release), r.text(k.lay.time.version)
	if r.err != nil {
		return "", "", fmt.Errorf("uname: %w", r.err)
	}
	return release, version, nil
}

// Banner returns linux_banner, "Linux version ...", without its newline.
func (k *Kernel) Banner() (string, error) {
	at, ok := k.Addr("linux_banner")
	if !ok {
		return "", fmt.Errorf("linux_banner: %w", ErrUnsupported)
	}
	s, err := k.mem.CString(at, 512)
	if err != nil {
		return "", fmt.Errorf("linux_banner: %w", err)
	}
	if n := len(s); n > 0 && s[n-1] == '\n' {
		s = s[:n-1]
	}
	return s, nil
}

// BuildID returns the build ID that is in guest memory, for comparison with
// that of the debug information.
func (k *Kernel) BuildID() ([]byte, error) {
	r, ok := k.span("__start_notes", "__stop_notes")
	if !ok {
		return nil, fmt.Errorf("the kernel's notes: %w", ErrUnsupported)
	}
	if _, err := k.mem.View(r.Start, 1); err != nil {
		return nil, fmt.Errorf("the kernel's notes: %w", err)
	}
	return k.note(guestmem.Range[guestmem.GVA](r))
}
