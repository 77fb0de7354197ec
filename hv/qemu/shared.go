package qemu

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/leakvisor/leakvisor/arch"
)

// The structures that are shared with the plugin: plugin/shared.h says what
// the fields mean. Both sides run on one host, in its byte order.

const (
	sharedMagic   = 0x6c76706c7567696e
	maxVCPUs      = 256
	maxRegs       = 64
	maxReads      = 40
	maxContext    = 1024
	maxSpan       = 1024
	maxStack      = 64 << 10
	maxArrayWords = 4096
	noRead        = 0xff
	zeroRead      = 0xfe
	recordAlign   = 64
	maxLevels     = 6
	maxPieces     = 16
	maxLinear     = 16
	maxWindows    = 32

	planBytes = 8 << 20  // untouched pages of it cost nothing
	ringBytes = 32 << 20 // a boot's rate fills it in several seconds
)

const (
	phaseBoot    = 0 // 1 is the plugin's own
	phaseEntered = 2
	phaseArmed   = 3
)

type vcpuState struct {
	produced, hold, done, broken, dropped, filtered atomic.Uint64
	_                                               [2]uint64
}

type control struct {
	magic                             uint64
	controlSize, recordSize, planSize uint32
	wordSize, bigEndian, parent       uint32
	text, textEnd                     uint64
	planOffset, planBytes             uint64
	ringOffset, ringBytes             uint64
	bell, nregs                       uint32
	ramBytes                          uint64
	ram, npieces                      uint32
	missing                           atomic.Uint64
	enteredPC                         uint64
	codeLen, enteredVCPU              uint32
	code                              [64]byte
	rowSizes                          uint32
	byNumber                          uint32
	phase, pausing, wakes, refused    atomic.Uint32
	adopt                             atomic.Uint32
	_                                 [11]uint32
	head                              atomic.Uint64
	_                                 [7]uint64
	tail, wakeAt                      atomic.Uint64
	room, waiters                     atomic.Uint32
	_                                 [5]uint64
	overflow                          atomic.Uint64
	_                                 [7]uint64
	pieces                            [maxPieces]ramRange
	hosts                             [maxPieces]uint64
	regs                              [maxRegs][16]byte
	numbers                           [maxRegs]int16
	vcpu                              [maxVCPUs]vcpuState
	bias                              uint64
	windows                           windowsRow
}

type windowsRow struct {
	state, file, count, current, callers [32]byte
	spare, clean                         [32]byte
	level, traps, trapState, globals     [32]byte
	take                                 arch.Match
	ask                                  atomic.Uint32
	vcpu                                 uint32
	found                                uint32
	wrong                                atomic.Uint32
	nframes                              uint64
	others, passed                       [8]uint64
	frames                               [maxWindows]frameRow
}

type frameRow struct {
	addr  uint64
	saved [128]byte
}

type pagingRow struct {
	levels                            uint32
	entrySize, canonical, root, extra uint8
	high                              uint64
	frame                             uint64
	extraMask                         uint64
	level                             [maxLevels]levelRow
	linear                            uint32
	_                                 uint32
	segment                           [maxLinear]arch.Segment
}

type levelRow struct {
	leaf, absent arch.Match
	frame        uint64
	shift, bits  uint32
}

type planHeader struct {
	sites, hooks, groups, members             uint32 // counts
	siteAt, hookAt, groupAt, memberAt, hashAt uint32 // offsets
	hashBits, contextBytes, nreads            uint32
	stackAlign, low, high                     uint64
	reads                                     [maxReads]uint8
	sp, fp, link                              uint8
	args                                      [6]uint8
	exitSP, exitResult                        uint8
	user                                      uint8
	stackArgs                                 uint8
	_                                         [3]uint8
	userIf                                    arch.Match
	paging                                    pagingRow
	nlinear                                   uint64
	linear                                    [maxLinear]arch.Segment
}

type siteRow struct {
	addr         uint64
	entry, exit  int32
	pop          uint32
	taken        uint16
	flags, shift uint8
	sp, result   uint8
	bits, with   uint8
	_            [4]uint8
	add          uint64
}

const (
	exitShared = -1
	exitNone   = -2
)

type hookRow struct {
	stackBytes                               uint32
	exits, sync, when, pointer, count, nargs uint8
	_                                        [2]uint8
}

const (
	baseZero = iota
	baseReg
	basePrev
)

type groupRow struct {
	offset             uint64
	span, first, count uint32
	base, from         uint16
}

type memberRow struct {
	at, size uint16
	to       uint32
}

const (
	kindEntry = 1
	kindExit  = 2

	flagArrayShort = 1
	flagSync       = 2
)

type record struct {
	commit                         uint64
	hook                           int32
	contextLen, stackLen, arrayLen uint32
	seq, hold                      uint64
	pc, sp, ret, fp, result        uint64
	args                           [6]uint64
}

const recordSize = int(unsafe.Sizeof(record{}))

// shared is the memory that the plugin and this process have in common.
type shared struct {
	file *os.File
	ctl  *control
	plan []byte // planBytes
	ring []byte // ringBytes, mapped twice in a row
	maps [][]byte
}

// newShared makes the memory for a guest of architecture a. bell is the
// eventfd's number in QEMU, ramFD that of the memory file of guest RAM.
func newShared(a *arch.Arch, bell, ramFD int, ramBytes uint64) (*shared, error) {
	if len(a.Regs) > maxRegs {
		return nil, fmt.Errorf("qemu: %s has %d registers, at most %d are supported", a.Name, len(a.Regs), maxRegs)
	}
	page := os.Getpagesize()
	round := func(n int) int { return (n + page - 1) &^ (page - 1) }
	planAt := round(int(unsafe.Sizeof(control{})))
	ringAt := round(planAt + planBytes)

	s := &shared{}
	var err error
	if s.file, err = newMemfd("leakvisor-ring", int64(ringAt+ringBytes)); err != nil {
		return nil, err
	}
	front, err := unix.Mmap(int(s.file.Fd()), 0, ringAt, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("qemu: mapping the control memory: %w", err)
	}
	s.maps = append(s.maps, front)
	if s.ring, err = mapTwice(int(s.file.Fd()), int64(ringAt), ringBytes); err != nil {
		s.Close()
		return nil, err
	}
	s.plan = front[planAt : planAt+planBytes]
	s.ctl = (*control)(unsafe.Pointer(&front[0]))

	c := s.ctl
	c.magic = sharedMagic
	c.controlSize = uint32(unsafe.Sizeof(control{}))
	c.recordSize = uint32(recordSize)
	c.planSize = uint32(unsafe.Sizeof(planHeader{}))
	c.rowSizes = uint32(unsafe.Sizeof(siteRow{})<<24 | unsafe.Sizeof(hookRow{})<<16 | unsafe.Sizeof(groupRow{})<<8 | unsafe.Sizeof(memberRow{}))
	c.wordSize = uint32(a.WordSize)
	if a.Order.Uint16([]byte{0, 1}) == 1 {
		c.bigEndian = 1
	}
	c.parent = uint32(os.Getpid())
	c.text, c.textEnd = a.Linux.Text, a.Linux.TextEnd
	if c.textEnd == 0 {
		c.textEnd = math.MaxUint64
	}
	c.planOffset, c.planBytes = uint64(planAt), planBytes
	c.ringOffset, c.ringBytes = uint64(ringAt), ringBytes
	c.bias = a.Call.Bias
	c.bell = uint32(bell)
	c.nregs = uint32(len(a.Regs))
	c.ram, c.ramBytes = uint32(ramFD), ramBytes
	for i, r := range a.Regs {
		if len(r.Name) >= len(c.regs[i]) {
			s.Close()
			return nil, fmt.Errorf("qemu: register name %q is too long", r.Name)
		}
		copy(c.regs[i][:], r.Name)
		c.numbers[i] = int16(r.GDB)
	}
	if err := c.windows.describe(a.QEMU.Windows); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// produced is the number of records that the plugin has begun, plus the
// events that it could not tell of.
func (s *shared) produced() (n uint64) {
	for i := range s.ctl.vcpu {
		n += s.ctl.vcpu[i].produced.Load() + s.ctl.vcpu[i].dropped.Load()
	}
	return n
}

// setPieces tells the plugin where guest RAM is. Without it, memory is read
// through QEMU.
func (s *shared) setPieces(ranges []ramRange) {
	if len(ranges) > maxPieces {
		return
	}
	copy(s.ctl.pieces[:], ranges)
	s.ctl.npieces = uint32(len(ranges))
}

// wake makes all vCPUs that wait look again.
func (s *shared) wake() {
	s.ctl.wakes.Add(1)
	futexWake(&s.ctl.wakes)
}

// brokenHolds says whether a vCPU left a Sync hold for a pause before its
// event was handled.
func (s *shared) brokenHolds() bool {
	for i := range s.ctl.vcpu {
		v := &s.ctl.vcpu[i]
		if v.broken.Load() > v.done.Load() {
			return true
		}
	}
	return false
}

// Close unmaps everything; the plugin keeps its own mapping.
func (s *shared) Close() {
	if s.ring != nil {
		unmapTwice(s.ring)
	}
	for _, m := range s.maps {
		_ = unix.Munmap(m)
	}
	_ = s.file.Close()
	s.ring, s.maps, s.plan, s.ctl = nil, nil, nil, nil
}

func futexWake(word *atomic.Uint32) {
	const futexWake, all = 1, 1<<31 - 1
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, all, 0, 0, 0)
}

// newMemfd makes a memory file whose size nobody can change any more, so that
// no access to a mapping of it can fault.
func newMemfd(name string, size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("qemu: memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(size); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("qemu: memory file of %d bytes: %w", size, err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("qemu: sealing a memory file: %w", err)
	}
	return f, nil
}

// mapTwice maps size bytes at offset of fd two times in a row, so that what
// wraps around the end can be read in one piece.
func mapTwice(fd int, offset int64, size int) ([]byte, error) {
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(2*size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("qemu: reserving the ring: %w", err)
	}
	for i := range 2 {
		_, err := unix.MmapPtr(fd, offset, unsafe.Add(base, i*size), uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
		if err != nil {
			_ = unix.MunmapPtr(base, uintptr(2*size))
			return nil, fmt.Errorf("qemu: mapping the ring: %w", err)
		}
	}
	return unsafe.Slice((*byte)(base), 2*size), nil
}

func unmapTwice(ring []byte) {
	_ = unix.MunmapPtr(unsafe.Pointer(&ring[0]), uintptr(len(ring)))
}
