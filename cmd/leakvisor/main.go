// Command leakvisor judges a kernel's memory from outside the guest.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	exitClean   = 0 // no leak
	exitLeaks   = 1 // leaks found
	exitUsage   = 2 // usage or input error
	exitGuest   = 3 // the guest failed
	exitUnknown = 4 // the run was not proven live: no verdict
)

type cli struct {
	Run     runCmd     `cmd:"" help:"Run a guest kernel and judge its memory."`
	Demo    demoCmd    `cmd:"" help:"Judge a guest that comes with this program; needs nothing else."`
	Explain explainCmd `cmd:"" help:"Say what a report has about an object."`
	Doctor  doctorCmd  `cmd:"" help:"Say what this host can do and how to get what is missing."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// statusError carries the exit status of an error.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	status := -1
	var c cli
	parser, err := kong.New(&c,
		kong.Name("leakvisor"),
		kong.Description("A leak detector for kernels that looks from outside the guest.\n\nExit status: 0 no leak, 1 leaks found, 2 usage or input error, 3 the guest failed, 4 verdict unknown."),
		kong.UsageOnError(),
		kong.Exit(func(int) { status = exitClean }),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "leakvisor:", err)
		return exitUsage
	}
	kctx, err := parser.Parse(args)
	if status >= 0 { // --help was printed
		return status
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "leakvisor:", err)
		fmt.Fprintln(os.Stderr, "Try 'leakvisor --help'.")
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	kctx.BindTo(ctx, (*context.Context)(nil))
	status = exitClean
	kctx.Bind(&status)
	if err := kctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "leakvisor:", err)
		var s *statusError
		if errors.As(err, &s) {
			return s.status
		}
		return exitUsage
	}
	return status
}
