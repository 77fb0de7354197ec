package guests

import (
	"slices"
	"strings"
	"testing"
)

const console = "[    1.99] groundtruth: leak kmalloc 0xffff8bf6c279b640 64\r\n" +
	"[    1.99] groundtruth: task kmalloc kworker/0:2 83\r\n" +
	"[    2.00] groundtruth: leak cycle2.1 0xffff8bf6c293fb00 64\r\n" +
	"something else: leak here\r\n" +
	"[    2.00] groundtruth: task cycle2.1 hardirq 0\r\n" +
	"[    2.17] groundtruth: live data 0xffff8bf6c293f940 128\r\n" +
	"[    2.50] groundtruth: planted\r\n"

func TestReadPlants(t *testing.T) {
	got, err := ReadPlants(strings.NewReader(console))
	want := []Plant{
		{Module: "groundtruth", Name: "kmalloc", Leak: true, Addr: 0xffff8bf6c279b640, Size: 64, Comm: "kworker/0:2", PID: 83},
		{Module: "groundtruth", Name: "cycle2.1", Leak: true, Addr: 0xffff8bf6c293fb00, Size: 64, Comm: "hardirq"},
		{Module: "groundtruth", Name: "data", Addr: 0xffff8bf6c293f940, Size: 128},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %v, %v", got, err)
	}
	for i, name := range []string{"plant_leak_kmalloc", "plant_leak_cycle2", "plant_live_data"} {
		if f := got[i].Func(); f != name {
			t.Errorf("function %s, want %s", f, name)
		}
	}
}

func TestReadPlantsRefusesHalf(t *testing.T) {
	lines := strings.SplitAfter(console, "\n")
	for name, text := range map[string]string{
		"no end":      strings.Join(lines[:6], ""),
		"no task":     lines[0] + lines[6],
		"huge":        "groundtruth: live x 0x10 99999999999999999999\n",
		"long number": "groundtruth: live x 0xfffffffffffffffff 1\n",
	} {
		if plants, err := ReadPlants(strings.NewReader(text)); err == nil {
			t.Errorf("%s: got %v", name, plants)
		}
	}
}

func TestOverlaps(t *testing.T) {
	plant := Plant{Addr: 1000, Size: 100}
	for _, c := range []struct {
		addr, size uint64
		want       bool
	}{
		{1000, 100, true}, {900, 100, false}, {900, 101, true}, {1099, 1, true},
		{1100, 1, false}, {1050, 0, true}, {1, ^uint64(0), true}, {^uint64(0), 8, false},
	} {
		if got := plant.Overlaps(c.addr, c.size); got != c.want {
			t.Errorf("[%d, +%d): %v", c.addr, c.size, got)
		}
	}
}
