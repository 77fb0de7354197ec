package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// output is where reports go. A file appears under its name only when it is
// complete; a device, a pipe or a terminal is written to as it is.
type output struct {
	f    *os.File
	name string // of the file to be; empty for what is there already
}

func openOutput(name string) (*output, error) {
	if name == "" || name == "-" {
		return &output{f: os.Stdout}, nil
	}
	if info, err := os.Stat(name); err == nil {
		if info.IsDir() {
			return nil, fmt.Errorf("%s: is a directory", name)
		}
		if !info.Mode().IsRegular() {
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				return nil, err
			}
			return &output{f: f}, nil
		}
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return nil, err
		}
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
	if o.f == os.Stdout {
		return nil
	}
	if o.name == "" {
		return o.f.Close()
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
