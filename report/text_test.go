package report

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func text(t *testing.T, r *Report, opts *TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteText(&b, r, opts); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteTextGolden(t *testing.T) {
	for name, c := range map[string]struct {
		report *Report
		opts   *TextOptions
	}{
		"leaks.txt":   {sampleLeaks(), &TextOptions{Allocators: allocators()}},
		"clean.txt":   {sampleClean(), nil},
		"unknown.txt": {sampleUnknown(), nil},
		"records.txt": {sampleLeaks(), &TextOptions{RecordsOnly: true}},
		"style-2022.txt": {sampleLeaks(), &TextOptions{
			RecordsOnly: true, Style: Style{NoType: true, Age: true, NoCRC: true, Pointers: 16},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, func(w io.Writer) error { return WriteText(w, c.report, c.opts) })
		})
	}
}

func TestWriteTextLeavesTheReportAlone(t *testing.T) {
	r := sampleLeaks()
	first := r.Orphans[0].Address
	text(t, r, nil)
	if r.Schema != "" || r.Orphans[0].Address != first {
		t.Error("the report was changed")
	}
}

func TestWriteTextCleanRecordsAreNothing(t *testing.T) {
	if got := text(t, sampleClean(), &TextOptions{RecordsOnly: true}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestWriteTextLargestFirst(t *testing.T) {
	got := text(t, sampleLeaks(), nil)
	at := -1
	for _, address := range []string{"0xffff888004000000", "0xffffc90000025000", "0xffff888002553300", "0xffff888003692388", "0x607ee4e5f948"} {
		i := strings.Index(got, " "+address+" (size")
		if i <= at {
			t.Errorf("%s is at %d, behind %d", address, i, at)
		}
		at = i
	}
}

// No line may be of the guest's making, whatever it calls its tasks.
func TestWriteTextCannotBeForged(t *testing.T) {
	for _, r := range []*Report{sampleLeaks(), sampleUnknown()} {
		got := text(t, r, nil)
		if n := strings.Count("\n"+got, "\nunreferenced object"); n != len(r.Orphans) {
			t.Errorf("%d lines begin a record, of %d orphans", n, len(r.Orphans))
		}
		if strings.ContainsAny(got, "\x1b\r\t") {
			t.Error("control characters got through")
		}
		for line := range strings.Lines(got) {
			if len(line) > 200 {
				t.Errorf("a line of %d characters", len(line))
			}
		}
	}
}

type full struct{ left int }

var errFull = errors.New("no space")

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWritersReturnErrors(t *testing.T) {
	r := sampleLeaks()
	for range 100 {
		r.Orphans = append(r.Orphans, r.Orphans[0])
	}
	for _, left := range []int{0, 5000} {
		for name, write := range map[string]func(io.Writer) error{
			"text":  func(w io.Writer) error { return WriteText(w, r, nil) },
			"json":  func(w io.Writer) error { return WriteJSON(w, r) },
			"junit": func(w io.Writer) error { return WriteJUnit(w, r, nil) },
			"sarif": func(w io.Writer) error { return WriteSARIF(w, r, nil) },
		} {
			if err := write(&full{left: left}); !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d: %v", name, left, err)
			}
		}
	}
}

func TestCaller(t *testing.T) {
	r := sampleLeaks()
	for i, want := range []string{"leaky_open.isra.0+0x52/0x110 [leaky]", "leaky_open.isra.0+0x60/0x110 [leaky]", "0xffffffffc0205275"} {
		f := r.Orphans[i].Caller(r.skip(allocators()))
		if f.String() != want {
			t.Errorf("orphan %d: %s, want %s", i, f.String(), want)
		}
	}
	// Where all is skipped the outermost is the best there is.
	o := Orphan{Backtrace: []Frame{frame("kfree", 1, 0, 0, ""), frame("kvfree.part.0", 2, 0, 0, "")}}
	if f := o.Caller(Skip{"kfree": true, "kvfree": true}); f.Addr != 2 {
		t.Errorf("got %s", f.String())
	}
	if f := new(Orphan).Caller(nil); f != (Frame{}) {
		t.Errorf("got %s", f.String())
	}
}
