package leak

import (
	"testing"

	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/kernel"
)

func TestCoveredSince(t *testing.T) {
	// Each block has log2 of its pages as its size.
	blocks := map[kernel.PFN]hooks.Object{
		0x100: {Size: 2, Seq: 10},
		0x101: {Seq: 4},           // before the block that it is in now
		0x102: {Size: 1, Seq: 12}, // a part of it that was given back since
		0x103: {Seq: 3},           // in both
		0x104: {Seq: 1},           // behind it
		0x0ff: {Seq: 1},
		0x200: {Seq: 20}, // was larger once
		0x201: {Seq: 5},
		0x000: {Size: maxOrder, Seq: 2},
	}
	for f, want := range map[kernel.PFN]uint64{
		0x100: 2, 0x101: 10, 0x102: 10, 0x103: 12, 0x104: 2, 0x0ff: 2, 0x200: 2, 0x201: 2, 0: 0, 1 << maxOrder: 0,
	} {
		if got := coveredSince(blocks, f); got != want {
			t.Errorf("frame %#x: covered since %d, want %d", f, got, want)
		}
	}
}
