package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// file is the name of a file that must be there and folder that of a folder.
// Of several the last counts, as with all flags; of kong's own types of this
// kind it is the first.
type (
	file   string
	folder string
)

// UnmarshalText implements encoding.TextUnmarshaler for flags.
func (f *file) UnmarshalText(text []byte) error {
	name, isDir, err := stat(text)
	if err == nil && isDir {
		err = fmt.Errorf("%s is a folder", name)
	}
	*f = file(name)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler for flags.
func (f *folder) UnmarshalText(text []byte) error {
	name, isDir, err := stat(text)
	if err == nil && !isDir {
		err = fmt.Errorf("%s is no folder", name)
	}
	*f = folder(name)
	return err
}

func stat(text []byte) (name string, isDir bool, err error) {
	name = kong.ExpandPath(string(text))
	info, err := os.Stat(name)
	return name, err == nil && info.IsDir(), err
}
