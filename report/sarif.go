package report

import (
	"fmt"
	"io"
	"net/url"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

// SARIFOptions changes what WriteSARIF writes. Nil is the zero value.
type SARIFOptions struct {
	// Allocators are as in TextOptions.
	Allocators []string
}

// sarifRule is the one rule that results refer to.
const sarifRule = "kernel-memory-leak"

// WriteSARIF writes r as SARIF 2.1.0: one run, with a result for each caller
// that leaked, that has the backtrace of the largest of its leaks. Locations
// are functions and modules, and lines of source as the debug information has
// them. An unknown verdict is an invocation that was not successful, with the
// reasons as its notifications.
func WriteSARIF(w io.Writer, r *Report, opts *SARIFOptions) error {
	var o SARIFOptions
	if opts != nil {
		o = *opts
	}
	r = r.normalized()
	run := sarif.NewRunWithInformationURI("leakvisor", "https://github.com/leakvisor/leakvisor")
	run.AddRule(sarifRule).WithDescription("Kernel memory that was allocated and not freed, and to which nothing points any more.")
	run.AddInvocation(sarifInvocation(r))
	run.WithProperties(sarif.NewPropertyBag().
		Add("schema", r.Schema).
		Add("guest", r.Guest).
		Add("liveness", r.Liveness).
		Add("scan", r.Scan))
	for _, g := range r.groups(r.skip(o.Allocators)) {
		result := run.CreateResultForRule(sarifRule).
			WithLevel("error").
			WithMessage(sarif.NewTextMessage(fmt.Sprintf("%d objects of %d bytes leaked, with %d allocated in %s that nothing else refers to.", len(g.orphans), g.bytes, g.leaks, g.caller))).
			WithOccurrenceCount(len(g.orphans)).
			WithPartialFingerprints(map[string]string{"caller/v1": g.caller}).
			AddLocation(sarifLocation(&g.frame))
		if backtrace := r.Orphans[g.orphans[0]].Backtrace; len(backtrace) != 0 {
			result.AddStack(sarifStack(backtrace))
		}
	}
	report := sarif.NewReport()
	report.AddRun(run)
	if err := report.PrettyWrite(w); err != nil {
		return fmt.Errorf("report: writing SARIF: %w", err)
	}
	return nil
}

// sarifStack is a backtrace of at least one frame.
func sarifStack(backtrace []Frame) *sarif.Stack {
	stack := sarif.NewStack().WithMessage(sarif.NewTextMessage("allocated at"))
	for i := range backtrace {
		f := &backtrace[i]
		s := sarif.NewStackFrame().WithLocation(sarifLocation(f))
		if f.Module != "" {
			s.WithModule(printable(f.Module))
		}
		stack.AddFrame(s)
	}
	return stack
}

// sarifInvocation tells whether the run came to a verdict.
func sarifInvocation(r *Report) *sarif.Invocation {
	v := sarif.NewInvocation().WithExecutionSuccessful(r.Verdict != Unknown)
	for _, reason := range r.Reasons {
		v.AddToolExecutionNotification(sarif.NewNotification().
			WithLevel("error").
			WithMessage(sarif.NewTextMessage(printable(reason))))
	}
	return v
}

// sarifLocation is the function of a frame, with the offset as the message, and
// its line.
func sarifLocation(f *Frame) *sarif.Location {
	l := sarif.NewLocation().
		AddLogicalLocation(sarif.NewLogicalLocation().
			WithFullyQualifiedName(callerName(f)).
			WithKind("function")).
		WithMessage(sarif.NewTextMessage(f.String()))
	if f.File != "" {
		uri := url.URL{Path: printable(f.File)}
		place := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(uri.String()))
		if f.Line > 0 {
			place.WithRegion(sarif.NewSimpleRegion(f.Line, f.Line))
		}
		l.WithPhysicalLocation(place)
	}
	return l
}
