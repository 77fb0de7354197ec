package report

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Bounds of ParseKmemleak.
const (
	MaxRecords = 1 << 20 // records
	maxLine    = 4096    // bytes in a line
	maxFrames  = 64      // frames in a record; the kernel keeps 16
)

// ParseError is a record that is not as the kernel prints it.
type ParseError struct {
	Line int // counted from 1
	Text string
	Want string
}

// Error tells where, what and why.
func (e *ParseError) Error() string {
	return fmt.Sprintf("report: line %d: %.80q is not %s", e.Line, e.Text, e.Want)
}

// ParseKmemleak reads kmemleak's text: what /sys/kernel/debug/kmemleak shows,
// what the kernel's log has of it with kmemleak.verbose=1, or what WriteText
// writes, of any [Style]. Lines outside records are passed over. A record that
// breaks off or is not well-formed is a *ParseError; over MaxRecords records
// are ErrTooLarge.
//
// The text has less than the model: Kind is set for per-CPU and physical
// objects only, AgeMS where the text has it, and the address of a frame where
// it stands before the symbol or for it.
func ParseKmemleak(r io.Reader) ([]Orphan, error) {
	p := parser{lines: bufio.NewScanner(r)}
	p.lines.Buffer(make([]byte, maxLine), maxLine)
	for p.next() {
		if !strings.HasPrefix(p.text, "unreferenced object") {
			p.take()
			continue
		}
		if len(p.orphans) == MaxRecords {
			return nil, fmt.Errorf("%w: over %d records", ErrTooLarge, MaxRecords)
		}
		if err := p.record(); err != nil {
			return nil, err
		}
	}
	if err := p.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("%w: line %d is over %d bytes", ErrTooLarge, p.line+1, maxLine)
		}
		return nil, fmt.Errorf("report: reading kmemleak text: %w", err)
	}
	return p.orphans, nil
}

// The forms of the lines, without what the log puts before them. A task's name
// is all up to the last quote that the rest can follow.
var (
	logRe     = regexp.MustCompile(`^(?:<\d+>)?(?:\[ *\d+\.\d+\](?:\[ *[CT]\d+\])? )?(?:kmemleak: )?`)
	headRe    = regexp.MustCompile(`^unreferenced object(?: \((percpu|phys)\))? 0x([0-9a-f]{1,16}) \(size (\d+)\):$`)
	commRe    = regexp.MustCompile(`^  comm "(.*)", pid (-?\d+), jiffies (\d+)(?: \(age (\d+)\.(\d{3})s\))?$`)
	dumpRe    = regexp.MustCompile(`^  hex dump \(first (\d+) bytes(?: on cpu (\d+))?\):$`)
	rowRe     = regexp.MustCompile(`^    ((?:[0-9a-f]{2} ){1,16})`)
	traceRe   = regexp.MustCompile(`^  backtrace(?: \(crc ([0-9a-f]{1,8})\))?:$`)
	frameRe   = regexp.MustCompile(`^    (?:\[<([0-9a-f]{8,16})>\] )?(.+)$`)
	addressRe = regexp.MustCompile(`^0x([0-9a-f]{1,16})$`)
	symbolRe  = regexp.MustCompile(`^(\S+)\+0x([0-9a-f]{1,16})/0x([0-9a-f]{1,16})(?: \[([^\]\s]+)\])?$`)
)

// parser reads line by line; text is the line looked at, until it is taken.
type parser struct {
	lines   *bufio.Scanner
	line    int // lines taken
	text    string
	have    bool
	orphans []Orphan
}

// next makes text the next line, and tells whether there is one.
func (p *parser) next() bool {
	if !p.have && p.lines.Scan() {
		p.have = true
		p.text = strings.TrimSuffix(p.lines.Text(), "\r")
		p.text = p.text[len(logRe.FindString(p.text)):]
	}
	return p.have
}

func (p *parser) take() {
	p.have = false
	p.line++
}

// match takes the next line where it has the form; nil otherwise.
func (p *parser) match(form *regexp.Regexp) []string {
	if !p.next() {
		return nil
	}
	m := form.FindStringSubmatch(p.text)
	if m != nil {
		p.take()
	}
	return m
}

func (p *parser) fail(want string) error {
	text := ""
	if p.have {
		text = p.text
	}
	return &ParseError{Line: p.line + 1, Text: text, Want: want}
}

// record reads one record.
func (p *parser) record() error {
	var o Orphan
	var n numbers
	m := p.match(headRe)
	if m == nil {
		return p.fail("a record's first line")
	}
	o.Kind, o.Address, o.Size = Kind(m[1]), Hex(n.uint(m[2], 16)), n.uint(m[3], 10)
	if m = p.match(commRe); m == nil {
		return p.fail("a record's line of comm, pid and jiffies")
	}
	o.Comm, o.PID, o.Jiffies = m[1], n.int(m[2]), n.uint(m[3], 10)
	if m[4] != "" {
		o.AgeMS = n.uint(m[4]+m[5], 10)
	}
	if m = p.match(dumpRe); m != nil {
		if m[2] != "" {
			o.Kind, o.DumpCPU = PerCPU, n.int(m[2])
		}
		size := n.uint(m[1], 10)
		if size > maxDump {
			return p.fail("a hex dump of at most 32 bytes")
		}
		if err := p.dump(&o, int(size)); err != nil {
			return err
		}
	}
	if m = p.match(traceRe); m == nil {
		return p.fail("a backtrace's heading")
	}
	if m[1] != "" {
		o.Checksum = uint32(n.uint(m[1], 16))
	}
	for m = p.match(frameRe); m != nil; m = p.match(frameRe) {
		if len(o.Backtrace) == maxFrames {
			return fmt.Errorf("%w: line %d: over %d frames", ErrTooLarge, p.line, maxFrames)
		}
		f, ok := parseFrame(m[1], m[2], &n)
		if !ok {
			return &ParseError{Line: p.line, Text: m[2], Want: "a frame"}
		}
		o.Backtrace = append(o.Backtrace, f)
	}
	if n.err != nil {
		return fmt.Errorf("%w: the record that ends at line %d: %w", ErrInvalid, p.line, n.err)
	}
	p.orphans = append(p.orphans, o)
	return nil
}

// dump reads the rows of a hex dump of size bytes.
func (p *parser) dump(o *Orphan, size int) error {
	for len(o.Dump) < size {
		m := p.match(rowRe)
		if m == nil {
			return p.fail("a row of the hex dump")
		}
		row, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
		if err != nil || len(row) != min(dumpRow, size-len(o.Dump)) {
			return &ParseError{Line: p.line, Text: m[0], Want: "a full row of the hex dump"}
		}
		o.Dump = append(o.Dump, row...)
	}
	return nil
}

// parseFrame reads what %p and %pS print.
func parseFrame(addr, symbol string, n *numbers) (f Frame, ok bool) {
	if addr != "" {
		f.Addr = Hex(n.uint(addr, 16))
	}
	if m := addressRe.FindStringSubmatch(symbol); m != nil {
		f.Addr = Hex(n.uint(m[1], 16))
		return f, true
	}
	m := symbolRe.FindStringSubmatch(symbol)
	if m == nil {
		return f, false
	}
	f.Symbol, f.Offset, f.Size, f.Module = m[1], n.uint(m[2], 16), n.uint(m[3], 16), m[4]
	return f, true
}

// numbers reads numbers and keeps the first error.
type numbers struct{ err error }

func (n *numbers) uint(s string, base int) uint64 {
	v, err := strconv.ParseUint(s, base, 64)
	if err != nil && n.err == nil {
		n.err = err
	}
	return v
}

func (n *numbers) int(s string) int {
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil && n.err == nil {
		n.err = err
	}
	return int(v)
}
