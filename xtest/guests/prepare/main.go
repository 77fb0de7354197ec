// Prepare makes what a demonstration run needs, without a test: it builds test
// modules against a guest of the cache, and writes an initramfs that has them.
//
//	go run ./xtest/guests/prepare -guest x86_64-6.1-cloud -script CMDS -o DIR MODULE...
//
// DIR then has vmlinuz and vmlinux (links into the cache), initramfs.cpio.gz,
// and the modules with their debug information in debug; board.dtb where the
// guest needs one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

func main() {
	name := flag.String("guest", guests.Default, "the guest, by its `name` in the cache")
	script := flag.String("script", "", "`commands` that the guest runs before it powers off")
	out := flag.String("o", "", "the `folder` to write to")
	flag.Parse()
	if *out == "" {
		fmt.Fprintln(os.Stderr, "prepare: -o is needed")
		os.Exit(2)
	}
	if err := prepare(*name, *script, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

func prepare(name, script, out string, modules []string) error {
	guest, err := guests.Open(name)
	if err != nil {
		return err
	}
	debug := filepath.Join(out, "debug")
	if err := os.MkdirAll(debug, 0o755); err != nil {
		return err
	}
	if err := link(guest.Kernel, filepath.Join(out, "vmlinuz")); err != nil {
		return err
	}
	if err := link(guest.VMLinux, filepath.Join(out, "vmlinux")); err != nil {
		return err
	}
	if guest.DTB != "" {
		if err := link(guest.DTB, filepath.Join(out, "board.dtb")); err != nil {
			return err
		}
	}
	options := guests.InitramfsOptions{Script: script, Busybox: guest.Busybox, Init: guest.Init}
	for _, module := range modules {
		built, err := guests.Build(guest, module)
		if err != nil {
			return err
		}
		if err := copyFile(built.Debug, filepath.Join(debug, filepath.Base(built.Debug))); err != nil {
			return err
		}
		options.Modules = append(options.Modules, built.Stripped)
	}
	return guests.WriteInitramfsFile(filepath.Join(out, "initramfs.cpio.gz"), options)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// link replaces an older link, but no file.
func link(target, name string) error {
	if info, err := os.Lstat(name); err == nil && info.Mode().Type() == fs.ModeSymlink {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Symlink(target, name)
}
