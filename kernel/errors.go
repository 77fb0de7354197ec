package kernel

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInconsistent is wrapped by errors about guest data which cannot be
// true: a list that does not end, a count out of all bounds.
var ErrInconsistent = errors.New("the guest's data are inconsistent")

// ErrUnsupported is wrapped by errors about something that this kernel does
// not have.
var ErrUnsupported = errors.New("not in this kernel")

// MissingError names the symbols, types and members that a reader needs and
// the kernel's debug information lacks.
type MissingError struct{ Names []string }

func (e *MissingError) Error() string {
	return "the kernel's debug information lacks " + strings.Join(e.Names, ", ")
}

func inconsistent(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrInconsistent)
}
