package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv/qemu"
	"github.com/leakvisor/leakvisor/leak"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// script is what the guest runs behind a scenario's own: two scans, the first
// of which only takes note of what objects hold, each 6 s after what it is
// about, since kmemleak passes over what is younger than 5 s. The kernel's log
// has microseconds. We are to see what kmemleak saw last: until we have, the
// guest does nothing, and does not even start a program for that.
const script = `
leaks=/sys/kernel/debug/kmemleak
for i in 1 2; do
	sleep 6
	echo "oracle: scan $i begins" > /dev/kmsg
	echo scan > $leaks
	echo "oracle: scan $i ends" > /dev/kmsg
done
echo "` + pauseNow + `"
read -t 5 nothing < /dev/console || true
dmesg | grep 'oracle: scan'
echo "oracle: report begins"
cat $leaks
echo "oracle: report ends"
`

// pauseNow is what the guest says when it wants to be judged.
const pauseNow = "oracle: pause now"

// watcher asks for a scan when the guest wants one.
type watcher struct {
	line []byte
	now  chan string
}

func (w *watcher) Write(b []byte) (int, error) {
	for _, c := range b {
		if c != '\n' {
			w.line = append(w.line, c)
			continue
		}
		if bytes.Contains(w.line, []byte(pauseNow)) {
			select {
			case w.now <- pauseNow:
			default: // it was asked for already
			}
		}
		w.line = w.line[:0]
	}
	return len(b), nil
}

// timeout bounds a guest's run.
const timeout = 5 * time.Minute

// judge runs a scenario and compares.
func (o *oracle) judge(ctx context.Context, s scenario, temp string) (_ *result, err error) {
	initrd := filepath.Join(temp, "initramfs.cpio.gz")
	if err := o.initramfs(s, initrd, temp); err != nil {
		return nil, err
	}
	var console bytes.Buffer
	watch := &watcher{now: make(chan string, 1)}
	m, err := qemu.Start(ctx, qemu.Config{
		Arch: o.img.Arch(), Kernel: o.guest.Kernel, Initrd: initrd,
		Append:      "console=" + o.img.Arch().QEMU.Console + " quiet panic=-1 kmemleak=on no_hash_pointers printk.time=1",
		MemoryBytes: o.memory, Console: io.MultiWriter(&console, watch, o.console), CacheDir: o.cache,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var scans []*scan
	session, err := leak.New(o.img, m, &leak.Options{
		Track:    []hooks.Class{hooks.Slab, hooks.Vmalloc, hooks.PerCPU},
		ScanNow:  watch.now,
		Timeout:  timeout,
		Roots:    []leak.Roots{{WholeStacks: true, Kmemleak: true}, {}},
		CacheDir: o.cache,
		HV:       "qemu",
		Judged:   func(j *leak.Judgement) error { scans = append(scans, &scan{j: j}); return nil },
		Report:   func(r *report.Report) error { scans[len(scans)-1].report = r; return nil },
	})
	if err != nil {
		return nil, err
	}
	if err := session.Run(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, tail(console.Bytes()))
	}
	if err := m.Close(); err != nil { // the console is complete then
		return nil, err
	}
	return o.compare(ctx, s.name, console.Bytes(), scans)
}

// initramfs writes what the guest boots with.
func (o *oracle) initramfs(s scenario, file, temp string) error {
	options := guests.InitramfsOptions{Script: s.script + script}
	for _, name := range s.modules {
		built, err := guests.Build(o.guest, name)
		if err != nil {
			return err
		}
		options.Modules = append(options.Modules, built.Stripped)
	}
	for _, name := range s.samples {
		stripped := filepath.Join(temp, name+".ko")
		out, err := exec.Command("strip", "--strip-debug", "-o", stripped, filepath.Join(o.samples, name+".ko")).CombinedOutput()
		if err != nil {
			return fmt.Errorf("strip: %w: %s", err, out)
		}
		options.Modules = append(options.Modules, stripped)
	}
	return guests.WriteInitramfsFile(file, options)
}

func tail(b []byte) []byte {
	const most = 2000
	return b[max(0, len(b)-most):]
}

var (
	scanLine   = regexp.MustCompile(`(?m)^\[ *(\d+\.\d+)\] oracle: scan (\d) (begins|ends)\r?$`)
	reportText = regexp.MustCompile(`(?s)oracle: report begins\r?\n(.*)oracle: report ends`)
)

// readConsole takes from a guest's console what kmemleak reported, and how
// long its scans took.
func readConsole(console []byte) (theirs []report.Orphan, took []time.Duration, err error) {
	text := reportText.FindSubmatch(console)
	if text == nil {
		return nil, nil, fmt.Errorf("the guest did not come to its end:\n%s", tail(console))
	}
	if theirs, err = report.ParseKmemleak(bytes.NewReader(text[1])); err != nil {
		return nil, nil, err
	}
	begun := map[string]float64{}
	for _, m := range scanLine.FindAllSubmatch(console, -1) {
		at, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return nil, nil, err
		}
		if string(m[3]) == "begins" {
			begun[string(m[2])] = at
		} else if b, ok := begun[string(m[2])]; ok {
			took = append(took, time.Duration((at-b)*float64(time.Second)))
		}
	}
	if len(took) != 2 {
		return nil, nil, fmt.Errorf("%d of kmemleak's two scans were timed", len(took))
	}
	return theirs, took, nil
}
