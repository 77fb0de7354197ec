package guests

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Plant is one object that a test module planted in a guest: see
// testdata/modules/groundtruth/groundtruth.h.
type Plant struct {
	// Module planted it, and Name is its name there, with ".N" behind it where
	// one function planted several.
	Module, Name string
	// Leak says that it must be reported; else that nothing that overlaps it
	// may be.
	Leak bool
	// Addr is its address in the guest; of per-CPU memory, its per-CPU
	// address. Size is in bytes, 0 where it is not to be checked.
	Addr, Size uint64
	// Comm and PID are those of the task that allocated a leak: "hardirq" or
	// "softirq" and 0 outside task context.
	Comm string
	PID  int
}

// Func is the function of the module that must be in a leak's backtrace.
func (p Plant) Func() string {
	name, _, _ := strings.Cut(p.Name, ".")
	if p.Leak {
		return "plant_leak_" + name
	}
	return "plant_live_" + name
}

// Overlaps says whether [addr, addr+size) has a byte in common with the plant.
func (p Plant) Overlaps(addr, size uint64) bool {
	return addr-p.Addr < max(p.Size, 1) || p.Addr-addr < max(size, 1)
}

var (
	plantLine = regexp.MustCompile(`(\w+): (leak|live) (\S+) 0x([0-9a-f]+) (\d+)\s*$`)
	taskLine  = regexp.MustCompile(`(\w+): task (\S+) (.*) (\d+)\s*$`)
	doneLine  = regexp.MustCompile(`(\w+): planted\s*$`)
)

// ReadPlants reads what test modules planted from a guest's console. It is an
// error if a module did not come to its end.
func ReadPlants(console io.Reader) ([]Plant, error) {
	var plants []Plant
	index := make(map[string]int)
	open := make(map[string]bool)
	lines := bufio.NewScanner(console)
	for lines.Scan() {
		if m := plantLine.FindStringSubmatch(lines.Text()); m != nil {
			plant := Plant{Module: m[1], Name: m[3], Leak: m[2] == "leak"}
			var err error
			if plant.Addr, err = strconv.ParseUint(m[4], 16, 64); err != nil {
				return nil, fmt.Errorf("%s %s: %w", plant.Module, plant.Name, err)
			}
			if plant.Size, err = strconv.ParseUint(m[5], 10, 64); err != nil {
				return nil, fmt.Errorf("%s %s: %w", plant.Module, plant.Name, err)
			}
			open[plant.Module] = true
			if plant.Leak {
				index[plant.Module+" "+plant.Name] = len(plants)
			}
			plants = append(plants, plant)
		} else if m := taskLine.FindStringSubmatch(lines.Text()); m != nil {
			i, ok := index[m[1]+" "+m[2]]
			if !ok {
				continue
			}
			pid, err := strconv.Atoi(m[4])
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", m[1], m[2], err)
			}
			plants[i].Comm, plants[i].PID = m[3], pid
		} else if m := doneLine.FindStringSubmatch(lines.Text()); m != nil {
			open[m[1]] = false
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for module, unfinished := range open {
		if unfinished {
			return nil, fmt.Errorf("module %s did not plant all", module)
		}
	}
	for _, plant := range plants {
		if plant.Leak && plant.Comm == "" {
			return nil, fmt.Errorf("%s: leak %s without a task", plant.Module, plant.Name)
		}
	}
	return plants, nil
}
