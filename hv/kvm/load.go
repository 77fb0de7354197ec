package kvm

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/bobuhiro11/gokvm/bootparam"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
)

// Where things are put in low memory.
const (
	gdtAddr     = 0x500
	tablesAddr  = 0x1000 // identity page tables: 1 + 1 + 4 pages
	zeroPage    = 0x10000
	commandLine = 0x20000
	maxCommand  = 0x10000
	kernelAddr  = 0x100000
)

// start is how the first vCPU begins.
type start struct {
	rip   uint64
	long  bool // 64-bit mode with identity page tables, else 32-bit flat
	jump  uint64
	jumpN int // bytes of the instruction at jump
}

// errNoJump says that the place where a compressed kernel enters the
// decompressed one was not recognised.
var errNoJump = errors.New("its decompressor's jump into the kernel was not recognised; give the uncompressed vmlinux as the kernel instead")

// loadKernel puts a kernel, its command line and initrd (nil for none) into
// memory, by the 64-bit boot protocol.
func loadKernel(r *ram, kernel io.ReaderAt, size int64, initrd []byte, command string, vcpus int) (*start, error) {
	if len(command) >= maxCommand {
		return nil, fmt.Errorf("the kernel command line has %d bytes, more than %d", len(command), maxCommand-1)
	}
	var magic [4]byte
	if _, err := kernel.ReadAt(magic[:], 0); err != nil {
		return nil, fmt.Errorf("reading the kernel: %w", err)
	}
	var (
		s      *start
		params *bootparam.BootParam
		used   guestmem.Range[guestmem.GPA]
		err    error
	)
	if string(magic[:]) == elf.ELFMAG {
		s, params, used, err = loadELF(r, kernel)
	} else {
		s, params, used, err = loadBzImage(r, kernel, size, len(command))
	}
	if err != nil {
		return nil, err
	}
	h := &params.Hdr
	h.TypeOfLoader = 0xff
	h.VidMode = 0xffff
	h.CmdlinePtr = commandLine
	if err := r.put(commandLine, append([]byte(command), 0)); err != nil {
		return nil, err
	}
	if len(initrd) > 0 {
		at, err := placeInitrd(r, uint64(len(initrd)), uint64(h.InitrdAddrMax), used)
		if err != nil {
			return nil, err
		}
		if err := r.put(at, initrd); err != nil {
			return nil, err
		}
		h.RamdiskImage, h.RamdiskSize = uint32(at), uint32(len(initrd))
	}
	params.AddE820Entry(0, bootparam.EBDAStart, bootparam.E820Ram)
	params.AddE820Entry(bootparam.EBDAStart, bootparam.VGARAMBegin-bootparam.EBDAStart, bootparam.E820Reserved)
	params.AddE820Entry(acpiBase, 0x100000-acpiBase, bootparam.E820Reserved)
	for i, p := range r.pieces {
		from := uint64(p.GPA)
		if i == 0 {
			from = kernelAddr
		}
		params.AddE820Entry(from, uint64(p.GPA)+uint64(len(p.Data))-from, bootparam.E820Ram)
	}
	b, err := params.Bytes()
	if err != nil {
		return nil, fmt.Errorf("boot parameters: %w", err)
	}
	if err := r.put(zeroPage, b[:min(len(b), pageSize)]); err != nil {
		return nil, err
	}
	if err := r.put(acpiBase, acpiTables(vcpus)); err != nil {
		return nil, err
	}
	return s, writeTables(r)
}

// placeInitrd returns the highest place for size bytes that the boot protocol
// allows and that is not the kernel's.
func placeInitrd(r *ram, size, limit uint64, used guestmem.Range[guestmem.GPA]) (guestmem.GPA, error) {
	top := r.low()
	if limit != 0 {
		top = min(top, limit+1)
	}
	if size < top {
		if at := guestmem.GPA((top - size) &^ (pageSize - 1)); at >= used.End {
			return at, nil
		}
	}
	return 0, fmt.Errorf("the initrd of %d bytes does not fit between the kernel's end at %#x and %#x: give the guest more memory", size, uint64(used.End), top)
}

func loadELF(r *ram, kernel io.ReaderAt) (*start, *bootparam.BootParam, guestmem.Range[guestmem.GPA], error) {
	var used guestmem.Range[guestmem.GPA]
	f, err := elf.NewFile(kernel)
	if err != nil {
		return nil, nil, used, fmt.Errorf("reading the kernel's ELF file: %w", err)
	}
	if arch.ELFOf(f.FileHeader) != x86.AMD64().ELF {
		return nil, nil, used, fmt.Errorf("the kernel is for %v %v %v, not for x86-64", f.Machine, f.Class, f.Data)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Memsz == 0 {
			continue
		}
		if p.Filesz > p.Memsz || p.Paddr < kernelAddr {
			return nil, nil, used, fmt.Errorf("the kernel's ELF segment at physical address %#x is out of bounds", p.Paddr)
		}
		dst := r.at(guestmem.GPA(p.Paddr), int(min(p.Memsz, 1<<40)))
		if dst == nil {
			return nil, nil, used, fmt.Errorf("the kernel's %d bytes at physical address %#x do not fit in the guest's RAM: give it more memory", p.Memsz, p.Paddr)
		}
		if _, err := io.ReadFull(p.Open(), dst[:p.Filesz]); err != nil {
			return nil, nil, used, fmt.Errorf("reading the kernel's ELF file: %w", err)
		}
		used.End = max(used.End, guestmem.GPA(p.Paddr+p.Memsz))
	}
	params := &bootparam.BootParam{}
	h := &params.Hdr
	h.BootFlag, h.Header, h.Version = 0xaa55, bootparam.MagicSignature, 0x20f
	h.LoadFlags = bootparam.LoadedHigh
	h.KernelAlignment = 0x200000
	h.InitrdAddrMax = 0x7fffffff
	return &start{rip: f.Entry, long: true}, params, used, nil
}

// Bits of the setup header's xloadflags (boot.rst).
const xlfKernel64 = 1 << 0

func loadBzImage(r *ram, kernel io.ReaderAt, size int64, commandLen int) (*start, *bootparam.BootParam, guestmem.Range[guestmem.GPA], error) {
	var used guestmem.Range[guestmem.GPA]
	fail := func(err error) (*start, *bootparam.BootParam, guestmem.Range[guestmem.GPA], error) {
		return nil, nil, used, fmt.Errorf("the kernel is neither an x86-64 ELF file nor a bzImage that can be booted: %w", err)
	}
	params, err := bootparam.New(kernel)
	if err != nil {
		return fail(err)
	}
	h := &params.Hdr
	if h.Version < 0x20c || h.XloadFlags&xlfKernel64 == 0 {
		return fail(errors.New("it has no 64-bit entry point"))
	}
	if uint32(commandLen) > h.CmdlineSize {
		return fail(fmt.Errorf("its command line has at most %d bytes, not %d", h.CmdlineSize, commandLen))
	}
	setup := (int64(h.SetupSects) + 1) * 512
	if h.SetupSects == 0 {
		setup = 5 * 512
	}
	if setup >= size {
		return fail(io.ErrUnexpectedEOF)
	}
	dst := r.at(kernelAddr, int(size-setup))
	if dst == nil {
		return nil, nil, used, fmt.Errorf("the kernel's %d bytes do not fit in the guest's RAM: give it more memory", size-setup)
	}
	if _, err := io.ReadFull(io.NewSectionReader(kernel, setup, size-setup), dst); err != nil {
		return fail(err)
	}
	used.End = guestmem.GPA(max(kernelAddr+uint64(len(dst)), h.PrefAddress+uint64(h.InitSize)))
	if uint64(used.End) > r.low() {
		return nil, nil, used, fmt.Errorf("the kernel unpacks itself up to %#x, beyond the guest's RAM: give it more memory", uint64(used.End))
	}
	at, n, err := finalJump(dst, h.PayloadOffset, h.PayloadLength)
	if err != nil {
		return nil, nil, used, err
	}
	return &start{rip: kernelAddr + 0x200, long: true, jump: kernelAddr + uint64(at), jumpN: n}, params, used, nil
}

// finalJump finds the decompressor's jump into the kernel in the protected
// mode part of a bzImage: "jmp *%rax" behind the call of extract_kernel, which
// returns the address, with the pointer to the boot parameters put back into
// rsi between (.Lrelocated in arch/x86/boot/compressed/head_64.S, Linux 4.19
// to 6.18). The decompressor copies itself before it runs; a trap set here is
// copied along.
func finalJump(code []byte, payload, length uint32) (at, n int, err error) {
	if uint64(payload)+uint64(length) > uint64(len(code)) {
		return 0, 0, errNoJump
	}
	found := -1
	for _, set := range [][]byte{
		{0x4c, 0x89, 0xfe, 0xff, 0xe0}, // mov %r15, %rsi; jmp *%rax
		{0x5e, 0xff, 0xe0},             // pop %rsi; jmp *%rax
	} {
		for _, part := range []struct{ from, to uint32 }{{payload + length, uint32(len(code))}, {0, payload}} {
			for from := part.from; ; {
				i := bytes.Index(code[from:part.to], set)
				if i < 0 {
					break
				}
				at := int(from) + i
				from = uint32(at + 1)
				if at < 5 || code[at-5] != 0xe8 { // behind a call
					continue
				}
				if found >= 0 {
					return 0, 0, fmt.Errorf("more than one candidate: %w", errNoJump)
				}
				found = at + len(set) - 2
			}
		}
	}
	if found < 0 {
		return 0, 0, errNoJump
	}
	return found, 2, nil
}

// writeTables writes the descriptor table that the boot protocol wants and
// identity page tables for the first 4 GiB.
func writeTables(r *ram) error {
	gdt := []uint64{0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff}
	le := binary.LittleEndian
	b := make([]byte, 6*pageSize)
	le.PutUint64(b, tablesAddr+pageSize|7)
	for i := range uint64(4) {
		le.PutUint64(b[pageSize+8*i:], tablesAddr+(2+i)*pageSize|7)
	}
	for i := range uint64(2048) {
		le.PutUint64(b[2*pageSize+8*i:], i<<21|0xe7)
	}
	if err := r.put(tablesAddr, b); err != nil {
		return err
	}
	var g []byte
	for _, d := range gdt {
		g = le.AppendUint64(g, d)
	}
	return r.put(gdtAddr, g)
}
