package leak

import (
	"bytes"
	"testing"

	"github.com/leakvisor/leakvisor/arch/sparc"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// What CPUs have yet to write gets into the copy of the memory, across pages,
// but nowhere else than to stacks.
func TestComplete(t *testing.T) {
	const direct = 0xffff_f800_0000_0000
	live := make([]byte, 0x1_0000)
	ram, err := guestmem.NewRAM(guestmem.Piece{Data: live})
	if err != nil {
		t.Fatal(err)
	}
	f := &frozen{memory: new(guestmem.Snapshot)}
	f.memory.Take(ram, ram.RAM())
	mem, err := guestmem.NewAddressSpace(f.memory, sparc.SPARC64(), 0x8000)
	if err != nil {
		t.Fatal(err)
	}
	window := bytes.Repeat([]byte{0xa5}, 128)
	f.hidden = []hv.Hidden{{}, {Frames: []hv.Unwritten{
		{Addr: direct + 0x3fc0, Bytes: window}, // to the next page
		{Addr: direct + 0x5fc0, Bytes: window}, // over the stack's end
		{Addr: direct + 0x9000, Bytes: window}, // no stack
		{Addr: 0x7fe_0000_0000, Bytes: window}, // a process's
		{Addr: ^guestmem.GVA(0) - 63, Bytes: window},
	}}}
	if err := f.complete(mem, spans(direct+0x2000, direct+0x6000, 0x1_0000_0000, 0x1_0000_4000)); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, len(live))
	copy(want[0x3fc0:], window)
	got := make([]byte, len(want))
	if err := guestmem.Read(mem, direct, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy is not as it should be (%v)", err)
	}
	if !bytes.Equal(live, make([]byte, len(live))) {
		t.Error("the guest's memory was changed")
	}
	f.hidden[0].Frames = []hv.Unwritten{{Addr: 0x1_0000_0000, Bytes: window}}
	if err := f.complete(mem, spans(0x1_0000_0000, 0x1_0000_4000)); err == nil {
		t.Error("a stack that is not mapped was written")
	}
}
