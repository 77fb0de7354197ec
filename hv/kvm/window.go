//go:build linux && amd64

package kvm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// ringGPA is where the tracer's own memory is in guest physical memory: in the
// hole below 4 GiB, where the guest knows of nothing.
const ringGPA = 0xd0000000

// Bits of an entry that maps a large page (Intel SDM volume 3, table 4-18).
const (
	pagePresent = 1 << 0
	pageWrite   = 1 << 1
	pageUsed    = 1<<5 | 1<<6 // accessed and dirty, so that nobody sets them
	pageLarge   = 1 << 7
	pageGlobal  = 1 << 8
	pageNoExec  = 1 << 63
	pageFrame   = 0x000f_ffff_ffff_f000

	largeShift   = 21
	tableEntries = 512

	cr4LA57 = 1 << 12
	eferNXE = 1 << 11
)

var errNoWindow = errors.New("the guest's page tables have no room for the ring near its text")

// tableAt returns the entries of the table that maps the gigabyte around gva
// by pages of 2 MiB.
func (s *state) tableAt(gva uint64) ([]byte, error) {
	table, shift := s.sregs.CR3, uint(39)
	if s.sregs.CR4&cr4LA57 != 0 {
		shift = 48
	}
	for ; shift > largeShift; shift -= 9 {
		b := s.ram.at(guestmem.GPA(table&pageFrame+8*(gva>>shift&(tableEntries-1))), 8)
		if b == nil {
			return nil, errNoWindow
		}
		e := binary.LittleEndian.Uint64(b)
		if e&pagePresent == 0 || e&pageLarge != 0 {
			return nil, errNoWindow
		}
		table = e
	}
	if t := s.ram.at(guestmem.GPA(table&pageFrame), pageSize); t != nil {
		return t, nil
	}
	return nil, errNoWindow
}

// mapRing maps the tracer's memory into the kernel's half of the guest's
// address space, in the same gigabyte as its text, which all page tables
// share. Entries that were not present are in no TLB.
func (s *state) mapRing(text uint64, pages int) (ringLayout, error) {
	table, err := s.tableAt(text)
	if err != nil {
		return ringLayout{}, err
	}
	first, err := freeRun(table, int(text>>largeShift&(tableEntries-1)), mappedPages(pages))
	if err != nil {
		return ringLayout{}, err
	}
	noExec := uint64(0)
	if s.sregs.EFER&eferNXE != 0 {
		noExec = pageNoExec
	}
	for i := range mappedPages(pages) {
		e := uint64(pagePresent | pageUsed | pageLarge | pageGlobal)
		page := i
		switch {
		case i == 0: // the code
		case i <= pages:
			e |= pageWrite | noExec
		case i == pages+1: // the ring's first page once more
			e |= pageWrite | noExec
			page = 1
		default:
			e |= pageWrite | noExec
			page = pages + 1
		}
		binary.LittleEndian.PutUint64(table[8*(first+i):], e|(ringGPA+uint64(page)*largePage))
	}
	return newLayout(text&^(1<<30-1)+uint64(first)*largePage, pages), nil
}

// freeRun finds n entries in a row that map nothing, below text's entry or
// else above it.
func freeRun(table []byte, text, n int) (int, error) {
	free := func(from int) bool {
		for i := from; i < from+n; i++ {
			if binary.LittleEndian.Uint64(table[8*i:])&pagePresent != 0 {
				return false
			}
		}
		return true
	}
	for i := min(text, tableEntries) - n; i >= 0; i-- {
		if free(i) {
			return i, nil
		}
	}
	for i := text + 1; i+n <= tableEntries; i++ {
		if free(i) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: %d MiB", errNoWindow, n*largePage>>20)
}
