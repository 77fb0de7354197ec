//go:build linux && amd64

package kvm

import (
	"errors"
	"runtime"
	"unsafe"

	gokvm "github.com/bobuhiro11/gokvm/kvm"
	"golang.org/x/sys/unix"
)

// What gokvm's ioctl layer lacks or gets wrong. Numbers and structures are
// from include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h, Linux
// 6.1.

// runHeader is the start of struct kvm_run. gokvm's RunData ends before the
// synchronised registers.
type runHeader struct {
	requestInterruptWindow uint8
	immediateExit          uint8
	_                      [6]uint8
	exitReason             uint32
	readyForInterrupt      uint8
	ifFlag                 uint8
	flags                  uint16
	cr8                    uint64
	apicBase               uint64
	data                   [256]byte
	validRegs              uint64
	dirtyRegs              uint64
	regs                   gokvm.Regs
	sregs                  gokvm.Sregs
}

const (
	syncRegs  = 1 << 0
	syncSregs = 1 << 1
)

// debugExit is what data holds at a debug exit.
type debugExit struct {
	exception uint32
	_         uint32
	pc        uint64
	dr6, dr7  uint64
}

// mmioExit is what data holds at an MMIO exit.
type mmioExit struct {
	addr  uint64
	data  [8]byte
	len   uint32
	write uint8
}

// ioExit is what data holds at an I/O exit.
type ioExit struct {
	direction, size uint8
	port            uint16
	count           uint32
	offset          uint64
}

// internalError is what data holds at an internal error.
type internalError struct {
	suberror, count uint32
	data            [16]uint64
}

// guestDebug is struct kvm_guest_debug. gokvm's SingleStep sets the hardware
// breakpoint bit too and knows no other.
type guestDebug struct {
	control uint32
	_       uint32
	reg     [8]uint64
}

const (
	debugEnable   = 1 << 0
	debugStep     = 1 << 1
	debugSoftware = 1 << 16
	debugHardware = 1 << 17
	debugBlockIRQ = 1 << 20 // since 5.15
)

const (
	nrCreatePIT2      = 0x77
	nrSetIdentityMap  = 0x48
	nrRun             = 0x80
	nrGetMSRs         = 0x88
	nrSetGuestDebug   = 0x9b
	pitSpeakerDummy   = 1
	identityMapAddr   = 0xfffbc000
	taskStateAddr     = 0xfffbd000
	msrKernelGSBase   = 0xc0000102
	exceptionDebug    = 1
	exceptionBreak    = 3
	apiVersion        = 12
	dirtyLogPages     = 1 << 0
	mpStateHalted     = 3
	tscDeadlineBit    = 1 << 24
	hypervisorBit     = 1 << 31
	hyperThreadingBit = 1 << 28
	umipBit           = 1 << 2
)

// runOnce is one KVM_RUN. gokvm's Run drops EINTR and EAGAIN.
func runOnce(fd uintptr) error {
	_, err := gokvm.Ioctl(fd, gokvm.IIO(nrRun), 0)
	return err
}

// again calls f until no signal interrupts it: the Go runtime sends some, and
// calls that make things in the kernel do not restart by themselves.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func setGuestDebug(fd uintptr, d *guestDebug) error {
	_, err := gokvm.Ioctl(fd, gokvm.IIOW(nrSetGuestDebug, unsafe.Sizeof(*d)), uintptr(unsafe.Pointer(d)))
	runtime.KeepAlive(d)
	return err
}

// createPIT2 asks for the timer with port 0x61, by which kernels measure the
// TSC; gokvm leaves that out.
func createPIT2(vm uintptr) error {
	config := struct {
		flags uint32
		_     [15]uint32
	}{flags: pitSpeakerDummy}
	_, err := gokvm.Ioctl(vm, gokvm.IIOW(nrCreatePIT2, unsafe.Sizeof(config)), uintptr(unsafe.Pointer(&config)))
	runtime.KeepAlive(&config)
	return err
}

// setIdentityMap hands over 8 bytes, as the ioctl reads; gokvm's has 4.
func setIdentityMap(vm uintptr) error {
	addr := uint64(identityMapAddr)
	_, err := gokvm.Ioctl(vm, gokvm.IIOW(nrSetIdentityMap, unsafe.Sizeof(addr)), uintptr(unsafe.Pointer(&addr)))
	runtime.KeepAlive(&addr)
	return err
}

// getMSR reads one model-specific register.
func getMSR(vcpu uintptr, index uint32) (uint64, error) {
	m := struct {
		n, _     uint32
		index, _ uint32
		value    uint64
	}{n: 1, index: index}
	n, err := gokvm.Ioctl(vcpu, gokvm.IIOWR(nrGetMSRs, 8), uintptr(unsafe.Pointer(&m)))
	runtime.KeepAlive(&m)
	if err == nil && n != 1 {
		err = unix.EINVAL
	}
	return m.value, err
}
