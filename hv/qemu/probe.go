package qemu

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Check is one thing that this host must have.
type Check struct {
	Name   string // for example "plugin API"
	OK     bool
	Detail string // what was found, or why it is not there
	Fix    string // how to get it, if it is not there
}

// pluginAPI is the least version of QEMU's plugin API that serves: it reads
// registers and memory.
const pluginAPI = 4

var apiLine = regexp.MustCompile(`leakvisor plugin: api (\d+) to (\d+)(, registers by number)?(, CPU state)?`)

// ProbeHost says whether this host has what guests of every architecture
// need; only config.CC matters.
func ProbeHost(ctx context.Context, config Config) []Check {
	cc, version, err := compiler(ctx, config.CC)
	checks := []Check{outcomeOf("C compiler", fmt.Sprintf("%s (%s)", cc, version), err)}
	f, err := newMemfd("leakvisor-probe", 4096)
	if err == nil {
		_ = f.Close()
	}
	return append(checks, outcomeOf("memory files (memfd)", "with seals", err))
}

// ProbeEmulator says whether this host has an emulator for guests of
// config.Arch; Binary, CC and CacheDir matter too. It runs QEMU and the
// compiler for a moment, and no guest.
func ProbeEmulator(ctx context.Context, config Config) []Check {
	if config.Arch == nil || config.Arch.QEMU == nil {
		return []Check{{Name: "QEMU", Detail: "QEMU runs no guests of this architecture"}}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	binary := config.Binary
	if binary == "" {
		binary = config.Arch.QEMU.Binary
	}
	path, err := findQEMU(binary, config.Arch.QEMU.Package)
	checks := []Check{checkQEMU(ctx, binary, path, err)}
	if err == nil {
		detail, err := probePlugin(ctx, path, config)
		checks = append(checks, outcomeOf("plugin API", detail, err))
	}
	return checks
}

// outcomeOf makes a Check of an error, or of its absence.
func outcomeOf(name, detail string, err error) Check {
	if err == nil {
		return Check{Name: name, OK: true, Detail: detail}
	}
	c := Check{Name: name, Detail: err.Error()}
	var missing *MissingError
	if errors.As(err, &missing) {
		c.Detail, c.Fix = "missing: "+missing.What, missing.Fix
		if missing.Reason != nil {
			c.Detail += " (" + missing.Reason.Error() + ")"
		}
	}
	return c
}

func checkQEMU(ctx context.Context, name, path string, err error) Check {
	if err != nil {
		return outcomeOf(name, "", err)
	}
	out, err := exec.CommandContext(ctx, path, "-version").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	return outcomeOf(name, strings.TrimSpace(first), err)
}

// probePlugin lets QEMU load the plugin, which says what API it was offered
// and refuses to go on.
func probePlugin(ctx context.Context, qemu string, config Config) (string, error) {
	dir, err := cacheDir(config.CacheDir)
	if err != nil {
		return "", err
	}
	plugin, err := buildPlugin(ctx, dir, config.CC)
	if err != nil {
		return "", err
	}
	windows, state := config.Arch.QEMU.Windows, "on"
	if windows != nil {
		state = windows.State
	}
	// "none" is a machine without anything, which every QEMU has.
	out, err := exec.CommandContext(ctx, qemu, "-no-user-config", "-nodefaults", "-display", "none",
		"-machine", "none", "-plugin", "file="+escape(plugin)+",probe="+state).CombinedOutput()
	if m := apiLine.FindSubmatch(out); m != nil {
		if newest, _ := strconv.Atoi(string(m[2])); newest >= pluginAPI {
			detail := fmt.Sprintf("versions %s to %s, %d is used", m[1], m[2], pluginAPI)
			for _, need := range []struct {
				it           bool
				has          []byte
				name, detail string
			}{
				{config.Arch.QEMU.ByNumber, m[3], "gdb_read_register", ", registers are read by number"},
				{windows != nil, m[4], state, ", register windows by the description of the CPU's state"},
			} {
				switch {
				case !need.it:
				case len(need.has) == 0:
					return "", &MissingError{
						What:   "a QEMU that exports " + need.name,
						Fix:    "take Debian's QEMU: other builds may hide what is not in the plugin API, which does not give all registers of this target",
						Reason: errors.New(detail),
					}
				default:
					detail += need.detail
				}
			}
			return detail, nil
		}
	}
	reason := errors.New(tailOf(string(out), 3))
	if len(out) == 0 && err != nil {
		reason = err
	}
	return "", &MissingError{What: "a QEMU with plugin API 4", Fix: fixQEMU(config.Arch.QEMU.Package), Reason: reason}
}
