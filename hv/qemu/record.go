package qemu

import (
	"errors"
	"unsafe"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

var errRecord = errors.New("qemu: the plugin wrote an impossible record")

// recordMeta is what a record says besides its event.
type recordMeta struct {
	size int    // bytes to the next record
	seq  uint64 // of the vCPU
	sync bool
	hold uint64
}

// parseRecord reads the record at the start of b, which must be 8-byte
// aligned, into ev. ev's slices alias b. Nothing in b is trusted.
func parseRecord(b []byte, ev *hv.Event) (recordMeta, error) {
	if len(b) < recordSize {
		return recordMeta{}, errRecord
	}
	r := (*record)(unsafe.Pointer(&b[0]))
	size := uint64(r.commit & 0xffffffff)
	kind, flags, vcpu := uint8(r.commit>>32), uint8(r.commit>>40), int(r.commit>>48)
	context, stack, array := uint64(r.contextLen), uint64(r.stackLen), uint64(r.arrayLen)
	stackAt := uint64(recordSize) + (context+7)&^7
	arrayAt := stackAt + (stack+7)&^7
	switch {
	case size < uint64(recordSize), size > uint64(len(b)), size%recordAlign != 0,
		kind != kindEntry && kind != kindExit,
		arrayAt+array > size:
		return recordMeta{}, errRecord
	}
	*ev = hv.Event{
		Kind: hv.Entry, Hook: int(r.hook), VCPU: vcpu,
		PC: guestmem.GVA(r.pc), SP: guestmem.GVA(r.sp),
		ArrayShort: flags&flagArrayShort != 0,
	}
	if array > 0 {
		ev.Array = b[arrayAt : arrayAt+array : arrayAt+array]
	}
	if kind == kindEntry {
		ev.Return, ev.FP, ev.Args = guestmem.GVA(r.ret), r.fp, r.args
		ev.Context = b[recordSize : uint64(recordSize)+context : uint64(recordSize)+context]
		ev.Stack = b[stackAt : stackAt+stack : stackAt+stack]
	} else {
		ev.Kind, ev.Result = hv.Exit, r.result
	}
	return recordMeta{size: int(size), seq: r.seq, sync: flags&flagSync != 0, hold: r.hold}, nil
}
