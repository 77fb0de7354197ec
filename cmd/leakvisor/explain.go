package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/leakvisor/leakvisor/report"
)

type explainCmd struct {
	Address string `arg:"" help:"An address in the object, in hexadecimal."`
	Report  string `arg:"" type:"existingfile" help:"A report in JSON; of a run with several scans the last that has the object counts."`
}

// Run says what a report has about an object: the explanations that were asked
// for when the guest ran, and the leak that an orphan belongs to.
func (c *explainCmd) Run(_ context.Context, status *int) error {
	address, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(c.Address), "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("%s is no hexadecimal address", c.Address)
	}
	f, err := os.Open(c.Report)
	if err != nil {
		return err
	}
	defer f.Close()
	reports, err := report.ReadAllJSON(f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Report, err)
	}
	out := bufio.NewWriter(os.Stdout)
	found := false
	for i := len(reports) - 1; i >= 0 && !found; i-- { // the newest that has it
		found = report.WriteObject(out, reports[i], address)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if !found {
		*status = exitUnknown
		return &statusError{exitUnknown, fmt.Errorf("the report says nothing about %#x: run the guest again with --explain %#x, or function:, module:, cache: or type: with a name, where addresses change from run to run", address, address)}
	}
	return nil
}
