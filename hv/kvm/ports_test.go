package kvm

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

func testPorts() (*ports, *bytes.Buffer, *bool) {
	var out bytes.Buffer
	irq := new(bool)
	p := newPorts(serial{out: &out, irq: func(level bool) { *irq = level }})
	return p, &out, irq
}

func in(p *ports, port uint16, n int) uint64 {
	var b [8]byte
	p.in(port, b[:n])
	return binary.LittleEndian.Uint64(b[:])
}

func TestSerial(t *testing.T) {
	p, out, irq := testPorts()
	for _, b := range []byte("hello\n") {
		p.out(comBase, []byte{b})
	}
	p.out(comBase, []byte("x"))
	if out.String() != "hello\n" {
		t.Errorf("sent %q", out)
	}
	p.flush()
	if out.String() != "hello\nx" {
		t.Errorf("sent %q", out)
	}
	if *irq {
		t.Error("an interrupt that was not asked for")
	}
	p.out(comBase+1, []byte{ierSent})
	if !*irq || in(p, comBase+2, 1) != iirSent || *irq || in(p, comBase+2, 1) != iirNone {
		t.Error("the transmitter's interrupt")
	}
	p.out(comBase+3, []byte{lcrDLAB})
	p.out(comBase, []byte{12})
	if in(p, comBase, 1) != 12 || out.String() != "hello\nx" {
		t.Error("the divisor")
	}
	p.out(comBase+3, []byte{3})
	p.out(comBase+4, []byte{mcrLoop | 0xf})
	p.out(comBase, []byte{'y'})
	if in(p, comBase+6, 1) != 0xf0 {
		t.Errorf("loop: modem status %#x", in(p, comBase+6, 1))
	}
	if p.flush(); out.String() != "hello\nx" {
		t.Error("sent in loop mode")
	}
	for i := range 1000 {
		p.out(comBase+4, []byte{0})
		p.out(comBase, []byte{byte('a' + i%26)})
	}
	if out.Len() < 1000-comBuffer {
		t.Error("a long line is kept back")
	}
}

func TestEndingPorts(t *testing.T) {
	p, _, _ := testPorts()
	for _, c := range []struct {
		port uint16
		b    []byte
		want ending
	}{
		{portPM1Control, []byte{0, sleepTypeOff<<2 | 1<<5}, poweredOff},
		{portPM1Control, []byte{0, 1 << 5}, goOn},
		{portReset, []byte{resetValue}, wantsReset},
		{portReset, []byte{2}, goOn},
		{0x64, []byte{0xfe}, wantsReset},
		{0x92, []byte{1}, wantsReset},
		{0x80, []byte{1}, goOn},
	} {
		if got := p.out(c.port, c.b); got != c.want {
			t.Errorf("port %#x, % x: %v", c.port, c.b, got)
		}
	}
	if in(p, 0x1234, 4) != 0xffffffff {
		t.Error("nothing there must read as ones")
	}
}

func TestClock(t *testing.T) {
	p, _, _ := testPorts()
	p.now = func() time.Time { return time.Date(2029, 12, 31, 23, 58, 49, 0, time.FixedZone("", 3600)) }
	for reg, want := range map[byte]uint64{0: 0x49, 2: 0x58, 4: 0x22, 6: 2, 7: 0x31, 8: 0x12, 9: 0x29, 0x32: 0x20, 0x0d: 0x80} {
		p.out(0x70, []byte{reg | 0x80})
		if got := in(p, 0x71, 1); got != want {
			t.Errorf("register %#x is %#x, not %#x", reg, got, want)
		}
	}
	p.start = p.now().Add(-2 * time.Second)
	if got := in(p, portPMTimer, 4); got != 2*pmTimerHz {
		t.Errorf("the timer stands at %d", got)
	}
}

// TestACPITables walks the tables as a guest does.
func TestACPITables(t *testing.T) {
	b := acpiTables(3)
	if len(b) > acpiEnd-acpiBase {
		t.Fatalf("%d bytes", len(b))
	}
	le := binary.LittleEndian
	if string(b[:8]) != "RSD PTR " || sum(b[:20]) != 0 || sum(b[:36]) != 0 {
		t.Error("the root pointer is wrong")
	}
	table := func(addr uint64, signature string) []byte {
		t.Helper()
		at := addr - acpiBase
		if at >= uint64(len(b)) || string(b[at:at+4]) != signature {
			t.Fatalf("no %s at %#x", signature, addr)
		}
		out := b[at : at+uint64(le.Uint32(b[at+4:]))]
		if sum(out) != 0 {
			t.Errorf("the checksum of %s is wrong", signature)
		}
		return out
	}
	xsdt := table(le.Uint64(b[24:]), "XSDT")
	fadt := table(le.Uint64(xsdt[36:]), "FACP")
	table(le.Uint64(fadt[140:]), "DSDT")
	madt := table(le.Uint64(xsdt[44:]), "APIC")
	cpus := 0
	for at := 44; at < len(madt); at += int(madt[at+1]) {
		if madt[at] == 0 {
			cpus++
		}
	}
	if cpus != 3 {
		t.Errorf("%d processors", cpus)
	}
}
