package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
)

const (
	tailLines = 20   // of console output kept for error messages
	maxLine   = 4096 // bytes of a console line that are looked at
)

// consoleWatch passes the guest's console on, keeps its last lines, and
// tells of lines that match. Writes come from the backend's goroutine.
type consoleWatch struct {
	w       io.Writer
	match   *regexp.Regexp
	matched chan string // the line; nil without a pattern

	mu   sync.Mutex
	line []byte
	last []string
}

func newConsoleWatch(w io.Writer, match *regexp.Regexp) *consoleWatch {
	c := &consoleWatch{w: w, match: match}
	if match != nil {
		c.matched = make(chan string, 16)
	}
	return c
}

// Write implements io.Writer. What cannot be passed on is dropped: a full
// disk must not stop the guest's console.
func (c *consoleWatch) Write(p []byte) (int, error) {
	_, _ = c.w.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte{'\n'})
		if room := maxLine - len(c.line); len(part) > room {
			part = part[:room]
		}
		c.line = append(c.line, part...)
		if whole {
			c.endLine()
		}
		rest = after
	}
	return len(p), nil
}

func (c *consoleWatch) endLine() {
	line := strings.TrimRight(string(c.line), "\r")
	c.line = c.line[:0]
	c.last = append(c.last, line)
	if len(c.last) > tailLines {
		c.last = c.last[1:]
	}
	if c.match != nil && c.match.MatchString(line) {
		select {
		case c.matched <- line:
		default: // a scan for earlier lines is still due; one is enough
		}
	}
}

// tail returns the last lines for an error message.
func (c *consoleWatch) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.last) == 0 {
		return "; the console printed nothing"
	}
	return "; the console's last lines:\n  " + strings.Join(c.last, "\n  ")
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func openConsole(name string) (io.WriteCloser, error) {
	switch name {
	case "":
		return nopCloser{io.Discard}, nil
	case "-":
		return nopCloser{os.Stderr}, nil
	}
	return os.Create(name)
}
