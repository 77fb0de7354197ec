package qemu

import (
	"strings"
	"testing"
)

// TestAdopt runs the test guest in memory that QEMU allocated, as a PC has it
// that is given none.
func TestAdopt(t *testing.T) {
	g := needGuest(t)
	const rounds = 500
	cfg := g.config(t, 2, "p2500")
	row, machine := *cfg.Arch, *cfg.Arch.QEMU
	machine.RAM = "pc.ram"
	row.QEMU, cfg.Arch = &machine, &row
	m := start(t, cfg)
	c := newChecker(t, g)
	if err := m.Run(limited(t), &handler{plan: planOf(g.plan(false)), event: c.event}); err != nil {
		t.Fatal(err)
	}
	c.done(m, 2, rounds)
	if got := word(phys(t, m, g.syms["counters"], 8)); got != rounds {
		t.Errorf("counter of vCPU 0 is %d", got)
	}

	machine.RAM = "no.ram"
	if m, err := Start(limited(t), cfg); err == nil {
		_ = m.Close()
		t.Error("memory was found that the machine does not have")
	}
	machine.RAM = "pc.ram"
	cfg.MemoryBytes, cfg.Extra = 32<<20, []string{"-m", "64M"}
	if m, err := Start(limited(t), cfg); err == nil || !strings.Contains(err.Error(), "at least as much") {
		t.Errorf("a machine with more memory: %v", err)
		if m != nil {
			_ = m.Close()
		}
	}
}

func TestParseHostAddress(t *testing.T) {
	host, err := parseHostAddress("Host virtual address for 0x90000000 (board.ram) is 0x7f2d4be00000\r\n")
	if err != nil || host != 0x7f2d4be00000 {
		t.Errorf("%#x, %v", host, err)
	}
	for _, bad := range []string{
		"", "No memory is mapped at address 0x90000000", "Memory at address 0x0 is not RAM",
		"Host virtual address for 0x0 (x) is 0x0", "Host virtual address for 0x0 (x) is 0xzz",
	} {
		if host, err := parseHostAddress(bad); err == nil {
			t.Errorf("%q: %#x", bad, host)
		}
	}
}
