package qemu

import (
	"fmt"
	"strings"
)

// descriptors are the numbers of what QEMU inherits.
type descriptors struct {
	qmp, console, gdb, bell, ram, shared, log int
}

// arguments returns QEMU's command line.
func arguments(cfg Config, plugin string, fds descriptors) []string {
	q := cfg.Arch.QEMU
	args := []string{
		"-no-user-config", "-nodefaults", "-display", "none",
		"-machine", q.Machine,
		"-accel", "tcg",
		"-smp", fmt.Sprint(cfg.SMP),
		"-m", fmt.Sprintf("%dM", cfg.MemoryBytes>>20),
		"-kernel", cfg.Kernel,
		// The guest's end stops the machine and keeps its memory.
		"-action", "reboot=shutdown,shutdown=pause,panic=pause",
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", fds.qmp),
		"-mon", "chardev=qmp,mode=control",
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d", fds.console),
		"-chardev", fmt.Sprintf("socket,id=gdb,fd=%d", fds.gdb),
		"-gdb", "chardev:gdb",
		"-plugin", fmt.Sprintf("file=%s,shared=%d", escape(plugin), fds.shared),
		"-S",
	}
	if q.TripleFaults {
		args = append(args, "-d", "cpu_reset", "-D", fmt.Sprintf("/proc/self/fd/%d", fds.log))
	}
	for range q.Serial {
		args = append(args, "-serial", "null")
	}
	args = append(args, "-serial", "chardev:console")
	if q.RAM == "" {
		args = append(args, "-machine", "memory-backend="+ramID, "-object",
			fmt.Sprintf("memory-backend-file,id=%s,size=%d,mem-path=/proc/self/fd/%d,share=on", ramID, cfg.MemoryBytes, fds.ram))
	}
	if q.CPU != "" {
		args = append(args, "-cpu", q.CPU)
	}
	if cfg.Initrd != "" {
		args = append(args, "-initrd", cfg.Initrd)
	}
	if cfg.DTB != "" {
		args = append(args, "-dtb", cfg.DTB)
	}
	if cfg.Append != "" {
		args = append(args, "-append", cfg.Append)
	}
	return append(args, cfg.Extra...)
}

// escape doubles the commas of a value in one of QEMU's option lists.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }
