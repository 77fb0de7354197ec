package kvm

import "encoding/binary"

// ACPI tables of the machine, version 2 of the root table (ACPI 6.4, chapter
// 5): processors and interrupt controllers, and fixed hardware for power-off
// and reset. Without them a stock kernel neither finds a second CPU nor can
// end by itself.

const (
	acpiBase = 0xe0000 // where firmware's tables are looked for (5.2.5.1)
	acpiEnd  = 0xf0000

	// I/O ports, and the fixed hardware's interrupt.
	portPM1Event   = 0x600 // 2 bytes status, 2 bytes enable
	portPM1Control = 0x604 // 2 bytes
	portPMTimer    = 0x608 // 4 bytes
	portReset      = 0xcf9
	resetValue     = 6
	sciInterrupt   = 9

	sleepTypeOff = 5 // SLP_TYP of S5 in the DSDT

	apicAddress   = 0xfee00000
	ioapicAddress = 0xfec00000
)

// acpiTables returns the bytes that belong at acpiBase.
func acpiTables(vcpus int) []byte {
	const headerSize = 36
	var out []byte
	place := func(t []byte) uint64 {
		for len(out)%16 != 0 {
			out = append(out, 0)
		}
		at := uint64(acpiBase + len(out))
		out = append(out, t...)
		return at
	}
	table := func(signature string, revision byte, body []byte) uint64 {
		t := make([]byte, headerSize, headerSize+len(body))
		copy(t, signature)
		binary.LittleEndian.PutUint32(t[4:], uint32(headerSize+len(body)))
		t[8] = revision
		copy(t[10:], "LEAKVSLEAKVISO")
		binary.LittleEndian.PutUint32(t[24:], 1)
		copy(t[28:], "LKVS")
		binary.LittleEndian.PutUint32(t[32:], 1)
		t = append(t, body...)
		t[9] = -sum(t)
		return place(t)
	}

	place(make([]byte, headerSize)) // the root pointer, filled last
	dsdt := table("DSDT", 2, dsdtAML())
	fadt := table("FACP", 6, fadtBody(dsdt))
	madt := table("APIC", 4, madtBody(vcpus))
	xsdt := table("XSDT", 1, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, fadt), madt))

	root := out[:headerSize]
	copy(root, "RSD PTR ")
	copy(root[9:], "LEAKVS")
	root[15] = 2
	binary.LittleEndian.PutUint32(root[20:], headerSize)
	binary.LittleEndian.PutUint64(root[24:], xsdt)
	root[8] = -sum(root[:20])
	root[32] = -sum(root)
	return out
}

func sum(b []byte) (s byte) {
	for _, v := range b {
		s += v
	}
	return s
}

// dsdtAML is Name(_S5, Package(){sleepTypeOff, sleepTypeOff, 0, 0}).
func dsdtAML() []byte {
	return []byte{0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, sleepTypeOff, 0x0a, sleepTypeOff, 0x00, 0x00}
}

// fadtBody is the FADT behind its header (5.2.9).
func fadtBody(dsdt uint64) []byte {
	const headerSize = 36
	t := make([]byte, 276)
	le := binary.LittleEndian
	le.PutUint32(t[40:], uint32(dsdt))
	le.PutUint16(t[46:], sciInterrupt)
	le.PutUint32(t[56:], portPM1Event)
	le.PutUint32(t[64:], portPM1Control)
	le.PutUint32(t[76:], portPMTimer)
	t[88], t[89], t[91] = 4, 2, 4 // lengths of the three blocks
	le.PutUint16(t[96:], 0xfff)   // no C2
	le.PutUint16(t[98:], 0xfff)   // no C3
	t[108] = 0x32                 // century in the RTC
	le.PutUint16(t[109:], 1)      // legacy devices, no 8042
	const (
		wbinvd     = 1 << 0
		c1         = 1 << 2
		noPowerKey = 1 << 4
		noSleepKey = 1 << 5
		timer32    = 1 << 8
		canReset   = 1 << 10
	)
	le.PutUint32(t[112:], wbinvd|c1|noPowerKey|noSleepKey|timer32|canReset)
	port := func(at int, addr uint64, bits byte) {
		t[at], t[at+1], t[at+3] = 1, bits, bits/16+1 // I/O space, width, access size
		le.PutUint64(t[at+4:], addr)
	}
	port(116, portReset, 8)
	t[128] = resetValue
	le.PutUint64(t[140:], dsdt)
	port(148, portPM1Event, 32)
	port(172, portPM1Control, 16)
	port(208, portPMTimer, 32)
	return t[headerSize:]
}

// madtBody is the MADT behind its header (5.2.12).
func madtBody(vcpus int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, apicAddress)
	b = le.AppendUint32(b, 1) // a PC's two 8259s are there too
	for i := range vcpus {
		b = append(b, 0, 8, byte(i), byte(i))
		b = le.AppendUint32(b, 1)
	}
	b = append(b, 1, 12, byte(vcpus), 0)
	b = le.AppendUint32(b, ioapicAddress)
	b = le.AppendUint32(b, 0)
	// ISA interrupt i is pin i, the timer included: KVM's default routing
	// (arch/x86/kvm/irq_comm.c). The SCI is level-triggered, active high.
	b = append(b, 2, 10, 0, sciInterrupt)
	b = le.AppendUint32(b, sciInterrupt)
	b = le.AppendUint16(b, 0xd)
	// The NMI arrives at LINT1 of all processors.
	return append(b, 4, 6, 0xff, 0, 0, 1)
}
