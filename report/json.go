package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxJSON is the size in bytes of the largest report that ReadJSON takes.
const MaxJSON = 256 << 20

// Errors of ReadJSON and of the text forms of Hex and HexBytes.
var (
	ErrSchema   = errors.New("report: unknown schema")
	ErrTooLarge = errors.New("report: too large")
	ErrInvalid  = errors.New("report: invalid")
)

// WriteJSON writes r as one indented JSON object and a newline. Absent lists
// are written as empty ones.
func WriteJSON(w io.Writer, r *Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r.normalized()); err != nil {
		return fmt.Errorf("report: writing JSON: %w", err)
	}
	return nil
}

// ReadJSON reads what WriteJSON writes, at most MaxJSON bytes of it. It
// ignores fields it does not know, for newer writers may add some, but refuses
// another schema (ErrSchema), text after the object, and a verdict that the
// rest contradicts (ErrInvalid).
func ReadJSON(r io.Reader) (*Report, error) { return readJSON(r, MaxJSON) }

func readJSON(r io.Reader, limit int64) (*Report, error) {
	l := &io.LimitedReader{R: r, N: limit + 1}
	d := json.NewDecoder(l)
	var rep Report
	if err := d.Decode(&rep); err != nil {
		if l.N <= 0 {
			return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, limit)
		}
		if errors.Is(err, ErrInvalid) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || l.N <= 0 {
		return nil, fmt.Errorf("%w: text after the report", ErrInvalid)
	}
	if rep.Schema != Schema {
		return nil, fmt.Errorf("%w %.40q, want %q", ErrSchema, rep.Schema, Schema)
	}
	if err := rep.validate(); err != nil {
		return nil, err
	}
	return rep.normalized(), nil
}

// validate tells whether the verdict fits the rest.
func (r *Report) validate() error {
	switch r.Verdict {
	case Clean:
		if len(r.Orphans) != 0 || len(r.Reasons) != 0 {
			return fmt.Errorf("%w: clean, but with orphans or reasons for doubt", ErrInvalid)
		}
	case Leaks:
		if len(r.Orphans) == 0 {
			return fmt.Errorf("%w: leaks, but no orphans", ErrInvalid)
		}
	case Unknown:
		if len(r.Reasons) == 0 {
			return fmt.Errorf("%w: unknown, but no reason", ErrInvalid)
		}
	default:
		return fmt.Errorf("%w: verdict %.20q", ErrInvalid, r.Verdict)
	}
	return nil
}
