package guests

import (
	"compress/gzip"
	"debug/elf"
	_ "embed" // init.sh
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/u-root/u-root/pkg/cpio"
)

//go:embed init.sh
var initScript string

// Markers that the guest's first process prints on the console.
const (
	MarkUp     = "guest: up"
	MarkFailed = "guest: script failed"
	MarkDown   = "guest: down"
)

// InitramfsOptions says what is in an initramfs besides busybox.
type InitramfsOptions struct {
	// Script is what the guest runs, by busybox's sh, as root; a command that
	// fails ends it. Then the guest powers off.
	Script string
	// Modules are .ko files on this machine. The guest has them as
	// /modules/NAME.ko.
	Modules []string
	// Busybox is a static busybox for the guest; empty for this machine's.
	Busybox string
	// Init is a program that runs Script in the place of busybox; empty for
	// none.
	Init string
	// Files are further files on this machine, by their path in the guest.
	Files map[string]string
}

// Initramfs writes an initramfs for a test into a folder that goes when the
// test ends, and returns its path. It skips, or fails, the test when there is
// no static busybox.
func Initramfs(t testing.TB, g *Guest, script string, modules ...Built) string {
	t.Helper()
	options := InitramfsOptions{Script: script, Busybox: g.Busybox, Init: g.Init}
	for _, module := range modules {
		options.Modules = append(options.Modules, module.Stripped)
	}
	file := filepath.Join(t.TempDir(), "initramfs.cpio.gz")
	check(t, WriteInitramfsFile(file, options))
	return file
}

// WriteInitramfsFile writes an initramfs to a file that is gzipped, and
// complete or not there.
func WriteInitramfsFile(file string, options InitramfsOptions) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(file), ".initramfs-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	zipped, err := gzip.NewWriterLevel(temp, gzip.BestSpeed)
	if err == nil {
		err = WriteInitramfs(zipped, options)
		err = errors.Join(err, zipped.Close())
	}
	if err := errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}

// WriteInitramfs writes an archive that is the same for the same options.
func WriteInitramfs(w io.Writer, options InitramfsOptions) error {
	busybox := options.Busybox
	if busybox == "" && options.Init == "" {
		var err error
		if busybox, err = staticBusybox(); err != nil {
			return err
		}
	}
	records := []cpio.Record{
		cpio.Directory("bin", 0o755),
		cpio.Directory("dev", 0o755),
		cpio.Directory("proc", 0o755),
		cpio.Directory("sys", 0o755),
		cpio.Directory("tmp", 0o1777),
		cpio.Directory("modules", 0o755),
		cpio.CharDev("dev/console", 0o600, 5, 1),
		cpio.CharDev("dev/null", 0o666, 1, 3),
		cpio.CharDev("dev/ttyS0", 0o600, 4, 64),
		cpio.CharDev("dev/kmsg", 0o600, 1, 11),
		cpio.StaticFile("script", options.Script+"\n", 0o755),
	}
	add := func(name, file string, mode uint64) error {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		records = append(records, cpio.StaticFile(name, string(content), mode))
		return nil
	}
	if options.Init != "" {
		if err := add("init", options.Init, 0o755); err != nil {
			return err
		}
	} else {
		records = append(records, cpio.StaticFile("init", initScript, 0o755))
		if err := add("bin/busybox", busybox, 0o755); err != nil {
			return err
		}
	}
	for _, file := range options.Modules {
		if err := add(path.Join("modules", filepath.Base(file)), file, 0o644); err != nil {
			return err
		}
	}
	for name, file := range options.Files {
		if err := add(cpio.Normalize(name), file, 0o755); err != nil {
			return err
		}
	}
	cpio.MakeAllReproducible(records)
	out := cpio.Newc.Writer(w)
	if err := cpio.WriteRecordsAndDirs(out, records); err != nil {
		return err
	}
	return cpio.WriteTrailer(out)
}

// staticBusybox finds a busybox that runs without a dynamic linker:
// $LEAKVISOR_BUSYBOX, or that of the package busybox-static.
func staticBusybox() (string, error) {
	file := os.Getenv("LEAKVISOR_BUSYBOX")
	if file == "" {
		file = "/bin/busybox"
	}
	missing := &MissingError{Thing: "static busybox", Hint: "scripts/setup.sh installs busybox-static, or set LEAKVISOR_BUSYBOX"}
	program, err := elf.Open(file)
	if err != nil {
		return "", missing
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return "", errors.Join(missing, program.Close())
		}
	}
	if err := program.Close(); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return file, nil
}
