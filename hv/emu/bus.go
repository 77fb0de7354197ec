package emu

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// pageShift is log2 of what TLBs and the marks of code work with: a part of a
// page, or one, on all architectures.
const pageShift = 12

const pageSize = 1 << pageShift

// DeviceBase is the physical address of the devices; see the package comment.
const DeviceBase guestmem.GPA = 0xf000_0000

// Registers of the devices, in bytes from DeviceBase; see the package comment.
const (
	DeviceConsole = 0x00
	DeviceClock   = 0x08
	DeviceEnd     = 0x18
	DeviceVCPUs   = 0x20
	DeviceStart   = 0x28
	DeviceStartPC = 0x30
	DeviceStartSP = 0x38

	devicesSize = 0x1000
)

// Codes with which a guest ends itself in good order.
const (
	EndPowerOff = 0
	EndReset    = 1
)

// endError is that of the access that ends the guest.
type endError struct{ code uint64 }

func (e *endError) Error() string { return fmt.Sprintf("the guest ended itself with code %d", e.code) }

// Bus is a guest's physical memory: RAM and devices. It belongs to the
// goroutine that runs the guest.
type Bus struct {
	// Instructions counts what all vCPUs have executed: CPUs add to it.
	Instructions uint64

	order    binary.ByteOrder
	ram      *guestmem.RAM
	base     guestmem.GPA
	data     []byte
	code     []bool // by page of RAM: decoded code is cached
	epoch    uint64
	tlbs     []*TLB
	console  io.Writer
	line     []byte // not yet written to console
	vcpus    int
	start    [2]uint64 // PC and SP
	starting []starting
}

type starting struct {
	vcpu   int
	pc, sp uint64
}

func newBus(a *arch.Arch, base guestmem.GPA, size uint64, vcpus int, console io.Writer) (*Bus, error) {
	size = (size + pageSize - 1) &^ (pageSize - 1)
	if size == 0 || base%pageSize != 0 {
		return nil, fmt.Errorf("emu: RAM of %d bytes at %#x is not made of pages", size, uint64(base))
	}
	if end := base + guestmem.GPA(size); end < base || base < DeviceBase+devicesSize && end > DeviceBase {
		return nil, fmt.Errorf("emu: RAM of %d bytes at %#x has no room below the devices at %#x", size, uint64(base), uint64(DeviceBase))
	}
	b := &Bus{order: a.Order, base: base, data: make([]byte, size), code: make([]bool, size>>pageShift), console: console, vcpus: vcpus}
	var err error
	b.ram, err = guestmem.NewRAM(guestmem.Piece{GPA: base, Data: b.data})
	return b, err
}

// Order is the guest's byte order.
func (b *Bus) Order() binary.ByteOrder { return b.order }

// Physical is the RAM.
func (b *Bus) Physical() guestmem.Physical { return b.ram }

// bytes returns n bytes of RAM.
func (b *Bus) bytes(gpa guestmem.GPA, n int) ([]byte, bool) {
	off := uint64(gpa - b.base)
	if gpa < b.base || off >= uint64(len(b.data)) || uint64(len(b.data))-off < uint64(n) {
		return nil, false
	}
	return b.data[off : off+uint64(n) : off+uint64(n)], true
}

// Load reads size bytes (1, 2, 4 or 8) at a physical address.
func (b *Bus) Load(gpa guestmem.GPA, size int) (uint64, error) {
	if m, ok := b.bytes(gpa, size); ok {
		return load(b.order, m), nil
	}
	switch gpa - DeviceBase {
	case DeviceClock:
		return b.Instructions, nil
	case DeviceVCPUs:
		return uint64(b.vcpus), nil
	}
	return 0, &guestmem.AddressError{Addr: uint64(gpa), Phys: true, Reason: "a load from what is neither memory nor a device"}
}

// Store writes size bytes (1, 2, 4 or 8) at a physical address.
func (b *Bus) Store(gpa guestmem.GPA, size int, v uint64) error {
	if m, ok := b.bytes(gpa, size); ok {
		if page := uint64(gpa-b.base) >> pageShift; b.code[page] {
			b.code[page] = false
			b.epoch++
		}
		store(b.order, m, v)
		return nil
	}
	switch gpa - DeviceBase {
	case DeviceConsole:
		if b.line = append(b.line, byte(v)); v == '\n' || len(b.line) >= maxLine {
			return b.flushConsole()
		}
	case DeviceEnd:
		return &endError{v}
	case DeviceStartPC:
		b.start[0] = v
	case DeviceStartSP:
		b.start[1] = v
	case DeviceStart:
		if v == 0 || v >= uint64(b.vcpus) {
			return fmt.Errorf("the guest starts vCPU %d of %d", v, b.vcpus)
		}
		b.starting = append(b.starting, starting{int(v), b.start[0], b.start[1]})
	default:
		return &guestmem.AddressError{Addr: uint64(gpa), Phys: true, Reason: "a store to what is neither memory nor a device"}
	}
	return nil
}

// maxLine is how much the guest prints before it is written, in bytes.
const maxLine = 256

func (b *Bus) flushConsole() error {
	if len(b.line) == 0 {
		return nil
	}
	_, err := b.console.Write(b.line)
	b.line = b.line[:0]
	if err != nil {
		return fmt.Errorf("emu: console: %w", err)
	}
	return nil
}

// Flush makes all CPUs forget their translations, and the code that they have
// decoded.
func (b *Bus) Flush() {
	b.epoch++
	for _, t := range b.tlbs {
		t.Flush()
	}
}

// MarkCode says that code at a physical address is cached: from now on a write
// to its page changes Epoch.
func (b *Bus) MarkCode(gpa guestmem.GPA) {
	page := uint64(gpa-b.base) >> pageShift
	if gpa < b.base || page >= uint64(len(b.code)) || b.code[page] {
		return
	}
	b.code[page] = true
	for _, t := range b.tlbs {
		t.write = [tlbSize]tlbEntry{}
	}
}

// Epoch changes when cached code is overwritten: all that is cached is void.
func (b *Bus) Epoch() uint64 { return b.epoch }

func load(order binary.ByteOrder, b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(order.Uint16(b))
	case 4:
		return uint64(order.Uint32(b))
	}
	return order.Uint64(b)
}

func store(order binary.ByteOrder, b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		order.PutUint16(b, uint16(v))
	case 4:
		order.PutUint32(b, uint32(v))
	default:
		order.PutUint64(b, v)
	}
}
