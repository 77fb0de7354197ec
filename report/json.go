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
func ReadJSON(r io.Reader) (*Report, error) {
	all, err := readJSON(r, MaxJSON)
	if err == nil && len(all) > 1 {
		return nil, fmt.Errorf("%w: text after the report", ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// ReadAllJSON reads the reports of a run with several scans, which stand one
// after the other: at least one, and otherwise as ReadJSON does it.
func ReadAllJSON(r io.Reader) ([]*Report, error) { return readJSON(r, MaxJSON) }

func readJSON(r io.Reader, limit int64) ([]*Report, error) {
	l := &io.LimitedReader{R: r, N: limit + 1}
	d := json.NewDecoder(l)
	var all []*Report
	for {
		rep := new(Report)
		err := d.Decode(rep)
		switch {
		case l.N <= 0:
			return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, limit)
		case errors.Is(err, io.EOF) && len(all) > 0:
			return all, nil
		case errors.Is(err, ErrInvalid):
			return nil, err
		case len(all) > 0 && (err != nil || rep.Schema != Schema):
			return nil, fmt.Errorf("%w: text after the report", ErrInvalid)
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		case rep.Schema != Schema:
			return nil, fmt.Errorf("%w %.40q, want %q", ErrSchema, rep.Schema, Schema)
		}
		if err := rep.validate(); err != nil {
			return nil, err
		}
		all = append(all, rep.normalized())
	}
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
