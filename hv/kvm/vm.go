//go:build linux && amd64

package kvm

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	gokvm "github.com/bobuhiro11/gokvm/kvm"
	"golang.org/x/sys/unix"

	"github.com/leakvisor/leakvisor/guestmem"
)

// vm is a virtual machine's file descriptors and memory.
type vm struct {
	dev     *os.File
	fd      uintptr
	ram     *ram
	maps    [][]byte
	slots   []gokvm.UserspaceMemoryRegion
	vcpus   []*vcpu
	runSize int
	sync    uint64 // KVM_SYNC_X86 bits to ask for at each exit, zero for none
}

// openDevice opens the KVM device and says what is wrong in the user's terms.
func openDevice(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("kvm: %w: there is no %s: is the kvm module loaded, and virtualization enabled?", ErrUnsupported, path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("kvm: %w: no permission to open %s: join the group that owns it (often kvm)", ErrUnsupported, path)
	case err != nil:
		return nil, fmt.Errorf("kvm: %w: %w", ErrUnsupported, err)
	}
	v, err := gokvm.GetAPIVersion(f.Fd())
	if err != nil || v != apiVersion {
		_ = f.Close()
		return nil, fmt.Errorf("kvm: %w: %s has API version %d, not %d (%v)", ErrUnsupported, path, v, apiVersion, err)
	}
	return f, nil
}

// newVM makes a machine with RAM of size bytes and n vCPUs. clock says whether
// it has interrupt controllers and a timer. noSync does without synchronised
// registers even where the host has them.
func newVM(path string, size uint64, n int, clock, noSync bool) (m *vm, err error) {
	m = &vm{}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.dev, err = openDevice(path); err != nil {
		return m, err
	}
	fail := func(what string, err error) (*vm, error) { return m, fmt.Errorf("kvm: %s: %w", what, err) }
	if err = again(func() (err error) { m.fd, err = gokvm.CreateVM(m.dev.Fd()); return err }); err != nil {
		m.fd = 0
		return fail("creating a virtual machine", err)
	}
	unix.CloseOnExec(int(m.fd))
	for cap, what := range map[gokvm.Capability]string{gokvm.CapUserMemory: "user memory", gokvm.CapSetGuestDebug: "guest debugging", gokvm.CapImmediateExit: "immediate exits"} {
		if ok, err := gokvm.CheckExtension(m.dev.Fd(), cap); err != nil || ok == 0 {
			return m, fmt.Errorf("kvm: %w: this host's KVM has no %s", ErrUnsupported, what)
		}
	}
	if have, err := gokvm.CheckExtension(m.dev.Fd(), gokvm.CapSyncRegs); err == nil && !noSync && have&(syncRegs|syncSregs) == syncRegs|syncSregs {
		m.sync = syncRegs | syncSregs
	}
	if clock {
		if err = gokvm.SetTSSAddr(m.fd, taskStateAddr); err != nil {
			return fail("placing the task state segment", err)
		}
		if err = setIdentityMap(m.fd); err != nil {
			return fail("placing the identity map", err)
		}
		if err = again(func() error { return gokvm.CreateIRQChip(m.fd) }); err != nil {
			return fail("creating interrupt controllers", err)
		}
		if err = again(func() error { return createPIT2(m.fd) }); err != nil {
			return fail("creating the timer", err)
		}
	}
	var pieces []guestmem.Piece
	for _, r := range layout(size) {
		b, err := m.addMemory(r.Start, int(r.Size()))
		if err != nil {
			return m, err
		}
		pieces = append(pieces, guestmem.Piece{GPA: r.Start, Data: b})
	}
	if m.ram, err = newRAM(pieces...); err != nil {
		return m, err
	}
	runSize, err := gokvm.GetVCPUMMmapSize(m.dev.Fd())
	if err != nil || runSize < unsafe.Sizeof(runHeader{}) {
		return fail(fmt.Sprintf("vCPU state of %d bytes", runSize), errors.Join(ErrUnsupported, err))
	}
	m.runSize = int(runSize)
	for i := range n {
		v, err := m.newVCPU(i)
		if err != nil {
			return m, err
		}
		m.vcpus = append(m.vcpus, v)
	}
	return m, nil
}

// addMemory maps size bytes of new memory at gpa. Pages are taken when first
// touched, large ones if the host gives them: the guest has fewer faults then.
func (m *vm) addMemory(gpa guestmem.GPA, size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size+largePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("kvm: %d bytes of guest memory: %w", size, err)
	}
	m.maps = append(m.maps, b)
	b = b[-uintptr(unsafe.Pointer(&b[0]))%largePage:][:size:size]
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	slot := gokvm.UserspaceMemoryRegion{
		Slot: uint32(len(m.slots)), GuestPhysAddr: uint64(gpa), MemorySize: uint64(size),
		UserspaceAddr: uint64(uintptr(unsafe.Pointer(&b[0]))),
	}
	if err := again(func() error { return gokvm.SetUserMemoryRegion(m.fd, &slot) }); err != nil {
		return nil, fmt.Errorf("kvm: giving the guest %d bytes of memory at %#x: %w", size, uint64(gpa), err)
	}
	m.slots = append(m.slots, slot)
	return b, nil
}

// addOwn is addMemory for memory of the tracer's, which is none of the guest's
// RAM.
func (m *vm) addOwn(gpa guestmem.GPA, size int) ([]byte, error) {
	b, err := m.addMemory(gpa, size)
	if err == nil {
		m.slots = m.slots[:len(m.slots)-1]
	}
	return b, err
}

// logDirty turns the log of written pages on or off.
func (m *vm) logDirty(on bool) error {
	for i := range m.slots {
		m.slots[i].Flags &^= dirtyLogPages
		if on {
			m.slots[i].Flags |= dirtyLogPages
		}
		if err := again(func() error { return gokvm.SetUserMemoryRegion(m.fd, &m.slots[i]) }); err != nil {
			return fmt.Errorf("kvm: logging written pages: %w", err)
		}
	}
	return nil
}

// dirtyPages returns the pages that the guest has written since logging was
// turned on or they were last asked for.
func (m *vm) dirtyPages() ([]guestmem.GPA, error) {
	var out []guestmem.GPA
	for i := range m.slots {
		s := &m.slots[i]
		bitmap := make([]uint64, (s.MemorySize/pageSize+63)/64)
		log := gokvm.DirtyLog{Slot: s.Slot, BitMap: uint64(uintptr(unsafe.Pointer(&bitmap[0])))}
		if err := gokvm.GetDirtyLog(m.fd, &log); err != nil {
			return nil, fmt.Errorf("kvm: reading the log of written pages: %w", err)
		}
		for w, bits := range bitmap {
			for b := range 64 {
				if bits>>b&1 != 0 {
					out = append(out, guestmem.GPA(s.GuestPhysAddr)+guestmem.GPA(w*64+b)*pageSize)
				}
			}
		}
	}
	return out, nil
}

// close releases everything; no vCPU may run.
func (m *vm) close() {
	for _, v := range m.vcpus {
		v.close()
	}
	m.vcpus = nil
	if m.fd != 0 {
		_ = unix.Close(int(m.fd))
		m.fd = 0
	}
	for _, b := range m.maps {
		_ = unix.Munmap(b)
	}
	m.maps = nil
	if m.dev != nil {
		_ = m.dev.Close()
		m.dev = nil
	}
}
