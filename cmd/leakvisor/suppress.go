package main

import (
	"fmt"
	"io"
	"os"

	"github.com/leakvisor/leakvisor/annotations"
	"github.com/leakvisor/leakvisor/report"
)

// readRules reads files of suppressions.
func readRules(files []string) ([]annotations.Rule, error) {
	var out []annotations.Rule
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--suppress: %w", err)
		}
		rules, err := annotations.Parse(name, f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("--suppress: %w", err)
		}
		out = append(out, rules...)
	}
	return out, nil
}

// unusedRules watches for suppressions that hide nothing in any scan of a
// run: they are out of date or misspelt.
type unusedRules struct{ rules []report.Rule }

func (u *unusedRules) take(r *report.Report) {
	if u.rules == nil {
		u.rules = append(u.rules, r.Suppressed...)
		return
	}
	for i := range min(len(u.rules), len(r.Suppressed)) {
		u.rules[i].Objects += r.Suppressed[i].Objects
	}
}

func (u *unusedRules) warn(w io.Writer) {
	for i := range u.rules {
		if r := &u.rules[i]; r.Objects == 0 {
			fmt.Fprintf(w, "leakvisor: warning: %s:%d: this rule hid nothing: %s\n", r.File, r.Line, r.Rule)
		}
	}
}
