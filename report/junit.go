package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// JUnitOptions changes what WriteJUnit writes. Nil is the zero value.
type JUnitOptions struct {
	// Name is the suite's; "leakvisor" where empty.
	Name string
	// Allocators are as in TextOptions.
	Allocators []string
}

// WriteJUnit writes r as JUnit XML: one suite, with the proof of liveness as
// properties; a test case "verdict", which is an error where the verdict is
// unknown; and for each caller that leaked a failed one, named after it, with
// kmemleak's records as its text.
func WriteJUnit(w io.Writer, r *Report, opts *JUnitOptions) error {
	var o JUnitOptions
	if opts != nil {
		o = *opts
	}
	if o.Name == "" {
		o.Name = "leakvisor"
	}
	r = r.normalized()
	suite := junit.Testsuite{Name: o.Name, Time: seconds(r.Scan.PausedMS)}
	property := func(name, value string) { suite.AddProperty(name, printable(value)) }
	count := func(name string, n uint64) { property(name, strconv.FormatUint(n, 10)) }
	property("schema", r.Schema)
	property("verdict", string(r.Verdict))
	property("guest.release", r.Guest.Release)
	property("guest.build_id", r.Guest.BuildID)
	property("guest.arch", r.Guest.Arch)
	property("guest.hv", r.Guest.HV)
	property("guest.hook_mechanism", r.Guest.Mechanism)
	count("liveness.entries", r.Liveness.Entries)
	count("liveness.exits", r.Liveness.Exits)
	count("liveness.in_flight", r.Liveness.InFlight)
	count("liveness.lost", r.Liveness.Lost)
	for _, h := range r.Liveness.Hooks {
		count("hook."+printable(h.Symbol), h.Hits)
	}
	count("scan.objects", r.Scan.Objects)
	count("scan.bytes", r.Scan.Bytes)
	count("scan.unknown_objects", r.Scan.Unknown)

	verdict := junit.Testcase{Name: "verdict", Classname: o.Name}
	if r.Verdict == Unknown {
		verdict.Error = &junit.Result{Message: "the verdict is unknown", Type: "unknown", Data: cdata(strings.Join(r.Reasons, "\n"))}
	}
	suite.AddTestcase(verdict)
	skip := r.skip(o.Allocators)
	for _, g := range r.groups(skip) {
		var text []byte
		for _, i := range g.orphans {
			text = Style{}.appendRecord(text, &r.Orphans[i])
		}
		suite.AddTestcase(junit.Testcase{
			Name:      "leak in " + g.caller,
			Classname: o.Name,
			Failure: &junit.Result{
				Message: fmt.Sprintf("%d objects of %d bytes leaked", len(g.orphans), g.bytes),
				Type:    "leak",
				Data:    cdata(string(text)),
			},
		})
	}
	var suites junit.Testsuites
	suites.AddSuite(suite)
	if err := suites.WriteXML(w); err != nil {
		return fmt.Errorf("report: writing JUnit XML: %w", err)
	}
	return nil
}

// seconds returns milliseconds as JUnit wants them.
func seconds(ms float64) string { return strconv.FormatFloat(ms/1000, 'f', 3, 64) }

// cdata returns text that a CDATA section can hold: encoding/xml writes it
// unchecked, and XML has no place for control characters (but newlines), for
// U+FFFE and U+FFFF, or for what is not UTF-8.
func cdata(s string) string {
	lines := strings.Split(strings.ToValidUTF8(s, "\uFFFD"), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.NewReplacer("\uFFFE", "\uFFFD", "\uFFFF", "\uFFFD").Replace(strings.Join(lines, "\n"))
}
