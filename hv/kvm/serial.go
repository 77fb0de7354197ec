package kvm

import "io"

// serial is a 16550A at COM1 that only sends: the receiver stays silent.
// Registers: National Semiconductor PC16550D data sheet. gokvm's serial
// package prints to standard output and always identifies its interrupt as a
// change of the modem lines, which stops interrupt-driven output.
type serial struct {
	out io.Writer
	irq func(level bool)
	buf []byte

	ier, lcr, mcr, scr byte
	divisor            [2]byte
	fifo               bool
	empty              bool // the transmitter's interrupt is due
}

const (
	comBase = 0x3f8
	comIRQ  = 4
	// comBuffer is how many bytes are kept back at most for the end of a line.
	comBuffer = 256
)

const (
	lcrDLAB     = 1 << 7
	ierSent     = 1 << 1
	mcrLoop     = 1 << 4
	lsrSent     = 1<<5 | 1<<6
	iirNone     = 1
	iirSent     = 2
	iirFIFO     = 3 << 6
	msrAttached = 1<<4 | 1<<5 | 1<<7 // CTS, DSR, DCD
)

func (s *serial) read(reg uint16) byte {
	dlab := s.lcr&lcrDLAB != 0
	switch {
	case reg <= 1 && dlab:
		return s.divisor[reg]
	case reg == 1:
		return s.ier
	case reg == 2:
		id := byte(iirNone)
		if s.ier&ierSent != 0 && s.empty {
			id = iirSent
			s.empty = false
			s.update()
		}
		if s.fifo {
			id |= iirFIFO
		}
		return id
	case reg == 3:
		return s.lcr
	case reg == 4:
		return s.mcr
	case reg == 5:
		return lsrSent
	case reg == 6 && s.mcr&mcrLoop != 0:
		// DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD.
		return s.mcr&1<<5 | s.mcr&2<<3 | s.mcr&4<<4 | s.mcr&8<<4
	case reg == 6:
		return msrAttached
	case reg == 7:
		return s.scr
	}
	return 0
}

func (s *serial) write(reg uint16, v byte) {
	dlab := s.lcr&lcrDLAB != 0
	switch {
	case reg <= 1 && dlab:
		s.divisor[reg] = v
	case reg == 0:
		if s.mcr&mcrLoop == 0 {
			s.send(v)
		}
		s.empty = true
		s.update()
	case reg == 1:
		if v&ierSent != 0 && s.ier&ierSent == 0 {
			s.empty = true
		}
		s.ier = v & 0xf
		s.update()
	case reg == 2:
		s.fifo = v&1 != 0
	case reg == 3:
		s.lcr = v
	case reg == 4:
		s.mcr = v & 0x1f
	case reg == 7:
		s.scr = v
	}
}

func (s *serial) update() { s.irq(s.ier&ierSent != 0 && s.empty) }

func (s *serial) send(v byte) {
	s.buf = append(s.buf, v)
	if v == '\n' || len(s.buf) >= comBuffer {
		s.flush()
	}
}

// flush passes on what the guest has sent. A console that cannot be written
// is no reason to end the guest.
func (s *serial) flush() {
	if len(s.buf) > 0 && s.out != nil {
		_, _ = s.out.Write(s.buf)
	}
	s.buf = s.buf[:0]
}
