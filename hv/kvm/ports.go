package kvm

import (
	"encoding/binary"
	"sync"
	"time"
)

// ending is a guest's wish to end.
type ending uint8

const (
	goOn ending = iota
	poweredOff
	wantsReset
)

func (e ending) String() string {
	return [...]string{"running", "powered off", "reset"}[e]
}

// ports are the machine's I/O ports beside those that KVM itself has.
type ports struct {
	mu     sync.Mutex
	serial serial
	cmos   byte // index
	start  time.Time
	enable uint16 // PM1 event enable bits
	now    func() time.Time
}

// pmTimerHz is the ACPI timer's frequency.
const pmTimerHz = 3579545

func newPorts(s serial) *ports {
	p := &ports{serial: s, now: time.Now}
	p.start = p.now()
	return p
}

// in reads len(b) bytes from a port; nothing there reads as ones.
func (p *ports) in(port uint16, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var v uint64
	switch {
	case port >= comBase && port < comBase+8:
		v = uint64(p.serial.read(port - comBase))
	case port == 0x71:
		v = uint64(cmosByte(p.cmos, p.now()))
	case port == 0x61 || port == 0x64 || port == portPM1Event || port == portReset:
		v = 0 // 0x64: no keyboard, and no command pending
	case port == portPM1Event+2:
		v = uint64(p.enable)
	case port == portPM1Control:
		v = 1 // SCI_EN: ACPI mode from the start
	case port == portPMTimer:
		v = uint64(p.now().Sub(p.start).Seconds() * pmTimerHz)
	default:
		for i := range b {
			b[i] = 0xff
		}
		return
	}
	var full [8]byte
	binary.LittleEndian.PutUint64(full[:], v)
	clear(b[copy(b, full[:]):])
}

// out writes b to a port.
func (p *ports) out(port uint16, b []byte) ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	var full [8]byte
	copy(full[:], b)
	v := binary.LittleEndian.Uint64(full[:])
	switch {
	case port >= comBase && port < comBase+8:
		p.serial.write(port-comBase, byte(v))
	case port == 0x70:
		p.cmos = byte(v) & 0x7f
	case port == portPM1Event+2:
		p.enable = uint16(v)
	case port == portPM1Control:
		const sleepEnable, typeShift = 1 << 13, 10
		if v&sleepEnable != 0 && v>>typeShift&7 == sleepTypeOff {
			return poweredOff
		}
	case port == portReset && v&4 != 0, port == 0x64 && byte(v) == 0xfe:
		return wantsReset
	case port == 0x92 && v&1 != 0:
		return wantsReset
	}
	return goOn
}

func (p *ports) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial.flush()
}

// cmosByte is one register of an MC146818 that runs in UTC, binary-coded
// decimal and 24 hours. gokvm's converts to decimal wrongly.
func cmosByte(index byte, t time.Time) byte {
	t = t.UTC()
	bcd := func(v int) byte { return byte(v/10%10<<4 | v%10) }
	switch index {
	case 0x00:
		return bcd(t.Second())
	case 0x02:
		return bcd(t.Minute())
	case 0x04:
		return bcd(t.Hour())
	case 0x06:
		return bcd(int(t.Weekday()) + 1)
	case 0x07:
		return bcd(t.Day())
	case 0x08:
		return bcd(int(t.Month()))
	case 0x09:
		return bcd(t.Year() % 100)
	case 0x0a:
		return 0x26 // 32.768 kHz, no update in progress
	case 0x0b:
		return 0x02 // 24 hours
	case 0x0d:
		return 0x80 // battery is good
	case 0x32:
		return bcd(t.Year() / 100)
	}
	return 0
}
