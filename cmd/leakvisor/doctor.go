package main

import (
	"context"
	"fmt"
)

type doctorCmd struct{}

// Run prints what was found, one line each.
func (doctorCmd) Run(ctx context.Context) error {
	fmt.Println("leakvisor", version())
	return nil
}
