package guests

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// boot runs a guest in plain QEMU to its end, and returns its console.
func boot(t *testing.T, g *Guest, cpus int, script string, modules ...Built) string {
	t.Helper()
	qemu, err := exec.LookPath(g.Emulator)
	if err != nil {
		Missing(t, g.Emulator, "scripts/setup.sh "+g.Name+" installs it")
	}
	machine := g.Machine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, qemu, "-M", machine.Machine, "-m", "512", "-smp", fmt.Sprint(cpus),
		"-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", g.Kernel, "-initrd", Initramfs(t, g, script, modules...),
		"-append", "console="+machine.Console+" "+machine.Append+" quiet panic=-1")
	if g.DTB != "" {
		command.Args = append(command.Args, "-dtb", g.DTB)
	}
	for range machine.Serial {
		command.Args = append(command.Args, "-serial", "null")
	}
	command.Args = append(command.Args, "-serial", "stdio")
	if machine.CPU != "" {
		command.Args = append(command.Args, "-cpu", machine.CPU)
	}
	console := ended{stay: !g.Stays, end: cancel}
	command.Stdout, command.Stderr = &console, &console
	if err := command.Run(); err != nil && !console.seen {
		t.Fatalf("%s: %v\n%s", g.Name, err, console.text.Bytes())
	}
	return console.text.String()
}

// ended is a console that ends a guest which cannot do so, shortly after it
// said that it would.
type ended struct {
	text       bytes.Buffer
	stay, seen bool
	end        func()
}

func (e *ended) Write(b []byte) (int, error) {
	n, err := e.text.Write(b)
	for _, last := range []string{MarkDown, "Kernel panic", "crash: ", "reboot: "} {
		if !e.stay && !e.seen && bytes.Contains(e.text.Bytes(), []byte(last)) {
			e.seen = true
			time.AfterFunc(2*time.Second, e.end)
		}
	}
	return n, err
}

// The modules load, plant what they say, and do the kernel no harm.
func TestGroundTruth(t *testing.T) {
	Each(t, func(t *testing.T, g *Guest) {
		modules := []Built{Module(t, g, "holder"), Module(t, g, "groundtruth"), Module(t, g, "rmmodleak")}
		for cpus := 1; cpus <= min(2, g.MaxCPUs(t)); cpus++ {
			t.Run(fmt.Sprintf("cpus=%d", cpus), func(t *testing.T) {
				console := boot(t, g, cpus, "insmod /modules/rmmodleak.ko\nrmmod rmmodleak\n"+
					"insmod /modules/holder.ko\ninsmod /modules/groundtruth.ko label=some-label spin=1", modules...)
				for _, bad := range []string{"WARNING:", "BUG:", "Oops", "Call Trace", MarkFailed} {
					if strings.Contains(console, bad) {
						t.Errorf("%q on the console:\n%s", bad, console)
					}
				}
				if !strings.Contains(console, MarkUp) || !strings.Contains(console, MarkDown) {
					t.Fatalf("did not come to its end:\n%s", console)
				}
				plants, err := ReadPlants(strings.NewReader(console))
				if err != nil {
					t.Fatal(err)
				}
				checkPlants(t, plants, cpus)
			})
		}
	})
}

func checkPlants(t *testing.T, plants []Plant, cpus int) {
	t.Helper()
	names := make(map[string]bool)
	var leaks []Plant
	for _, plant := range plants {
		if plant.Leak {
			leaks = append(leaks, plant)
		}
		key := plant.Module + " " + plant.Name
		if kind := fmt.Sprint(key, plant.Leak); names[kind] {
			t.Errorf("%s is there twice", key)
		} else {
			names[key], names[kind] = true, true
		}
	}
	// A leak's address is nothing else's, or no judgement could be right.
	for i, a := range leaks {
		if a.Addr == 0 {
			t.Errorf("leak %s has no address", a.Name)
		}
		for _, b := range leaks[i+1:] {
			if a.Overlaps(b.Addr, b.Size) {
				t.Errorf("leaks %s and %s overlap", a.Name, b.Name)
			}
		}
	}
	want := []string{
		"groundtruth kmalloc", "groundtruth deep_call", "groundtruth in_file", "groundtruth insmod",
		"groundtruth call_srcu.5", "groundtruth freed_elsewhere", "groundtruth nothing.0",
		"groundtruth param", "groundtruth other_module.1", "rmmodleak rmmod_next",
	}
	if cpus > 1 {
		want = append(want, "groundtruth cross_call", "groundtruth running")
	}
	for _, name := range want {
		if !names[name] {
			t.Errorf("%s was not planted", name)
		}
	}
}

// Each way to end a guest does end it.
func TestCrash(t *testing.T) {
	Each(t, func(t *testing.T, g *Guest) {
		module := Module(t, g, "crash")
		for how, want := range map[string]string{
			"panic": "Kernel panic - not syncing: crash: asked to", "restart": "crash: restart", "poweroff": "Power down",
		} {
			t.Run(how, func(t *testing.T) {
				console := boot(t, g, 1, "dmesg -n 8\ninsmod /modules/crash.ko how="+how, module)
				// A console may not have the last words before a power-off.
				said := strings.Contains(console, want) || how != "panic"
				if !said || !strings.Contains(console, MarkUp) || strings.Contains(console, MarkDown) {
					t.Errorf("console:\n%s", console)
				}
			})
		}
	})
}
