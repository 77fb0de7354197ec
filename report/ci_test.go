package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

func TestJUnitGolden(t *testing.T) {
	for name, r := range map[string]*Report{"leaks.xml": sampleLeaks(), "clean.xml": sampleClean(), "unknown.xml": sampleUnknown()} {
		t.Run(name, func(t *testing.T) {
			b := golden(t, name, func(w io.Writer) error { return WriteJUnit(w, r, &JUnitOptions{Allocators: allocators()}) })
			var suites junit.Testsuites
			if err := xml.Unmarshal(b, &suites); err != nil {
				t.Fatal(err)
			}
			failed, unknown := len(r.groups(r.skip(allocators()))), 0
			if r.Verdict == Unknown {
				unknown = 1
			}
			if suites.Failures != failed || suites.Errors != unknown || suites.Tests != failed+1 {
				t.Errorf("%d of %d tests failed, %d with errors; want %d, %d", suites.Failures, suites.Tests, suites.Errors, failed, unknown)
			}
		})
	}
}

// XML can not carry all that a guest can put into a name.
func TestJUnitOfHostileNames(t *testing.T) {
	r := sampleLeaks()
	r.Orphans[0].Comm = "]]>\x00\x01\xff\uFFFE<&\"'"
	r.Orphans[0].Backtrace = []Frame{frame("]]>\x00\xff\uFFFF<a b=\"", 1, 2, 3, "\x0c")}
	r.Guest.Release = "\x00\xff]]>"
	var b bytes.Buffer
	if err := WriteJUnit(&b, r, nil); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&b)
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSARIFGolden(t *testing.T) {
	for name, r := range map[string]*Report{"leaks.sarif": sampleLeaks(), "clean.sarif": sampleClean(), "unknown.sarif": sampleUnknown()} {
		t.Run(name, func(t *testing.T) {
			b := golden(t, name, func(w io.Writer) error { return WriteSARIF(w, r, &SARIFOptions{Allocators: allocators()}) })
			s, err := sarif.FromBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
			run := s.Runs[0]
			if n := len(r.groups(r.skip(allocators()))); len(run.Results) != n {
				t.Errorf("%d results, want %d", len(run.Results), n)
			}
			if ok := *run.Invocations[0].ExecutionSuccessful; ok != (r.Verdict != Unknown) {
				t.Errorf("successful: %v", ok)
			}
			if strings.Contains(string(b), `evil\n`) {
				t.Error("a newline of the guest's got through")
			}
		})
	}
}
