package main

import (
	"os"
	"path/filepath"
)

// output is where reports go. A file appears under its name only when it is
// complete.
type output struct {
	f    *os.File
	name string // empty for standard output
}

func openOutput(name string) (*output, error) {
	if name == "" || name == "-" {
		return &output{f: os.Stdout}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return nil, err
	}
	return &output{f, name}, nil
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) { return o.f.Write(p) }

// commit gives the file its name; one that nothing was written to goes.
func (o *output) commit() error {
	if o.name == "" {
		return nil
	}
	info, err := o.f.Stat()
	if err == nil && info.Size() > 0 {
		err = o.f.Chmod(0o644)
	}
	if cerr := o.f.Close(); err == nil {
		err = cerr
	}
	if err == nil && info.Size() > 0 {
		return os.Rename(o.f.Name(), o.name)
	}
	_ = os.Remove(o.f.Name())
	return err
}
