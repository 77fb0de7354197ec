package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/leakvisor/leakvisor/leak"
)

// progress shows what goes on: a live line on a terminal, a line for each
// stage elsewhere.
type progress struct {
	w     *os.File
	quiet bool
	tty   bool
	bar   *progressbar.ProgressBar
	name  string
}

func newProgress(w *os.File, quiet bool) *progress {
	return &progress{w: w, quiet: quiet, tty: term.IsTerminal(int(w.Fd()))}
}

// stage begins a new stage.
func (p *progress) stage(name string) {
	p.finish()
	p.name = name
	switch {
	case p.quiet:
	case p.tty:
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription(name),
			progressbar.OptionSpinnerType(14),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(100*time.Millisecond))
	default:
		fmt.Fprintln(p.w, "leakvisor:", name)
	}
}

// update takes a session's progress.
func (p *progress) update(u leak.Progress) {
	if u.Stage != "" && u.Stage != p.name {
		p.stage(u.Stage)
	}
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("%s: %d events, %d live objects", p.name, u.Events, u.Objects))
		_ = p.bar.Add(1)
	}
}

// finish ends the live line.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
