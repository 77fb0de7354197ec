package symbols

import (
	"encoding/binary"
	"testing"

	"github.com/go-delve/delve/pkg/dwarf/frame"

	"github.com/leakvisor/leakvisor/arch/tile"
)

// What GNU as writes for TILE-Gx: the initial rules begin with
// DW_CFA_def_cfa_register alone, and the return address lies at the CFA.
func TestCFIWithoutDefCFA(t *testing.T) {
	const sp, lr, r30 = 54, 55, 30
	le := binary.LittleEndian
	cie := []byte{0xff, 0xff, 0xff, 0xff, 1, 0, 8, 0x78, lr, 0x0d, sp, 0x80 | lr, 0}
	fde := le.AppendUint64(le.AppendUint64([]byte{0, 0, 0, 0}, 0x1000), 0x80)
	fde = append(fde, 0x40|2, 0x0e, 32, 0x80|r30, 1) // behind 16 bytes: CFA at 32, r30 8 below it
	var section []byte
	for _, entry := range [][]byte{cie, fde} {
		for len(entry)%8 != 4 {
			entry = append(entry, 0)
		}
		section = append(le.AppendUint32(section, uint32(len(entry))), entry...)
	}
	fdes, err := frame.Parse(section, le, 0, 8, 0)
	if err != nil || len(fdes) != 1 {
		t.Fatalf("%d entries, %v", len(fdes), err)
	}
	u := &cfiUnwinder{sp: sp}
	stack := make([]byte, 64)
	le.PutUint64(stack[24:], 0x30)
	le.PutUint64(stack[32:], 0x2008)
	for at, want := range map[uint64][3]uint64{0x1004: {0x8000, 0, 7}, 0x1010: {0x8020, 0x2008, 0x30}} {
		row, err := fdes[0].EstablishFrame(at)
		if err != nil || row == nil {
			t.Fatalf("row of %#x: %v", at, err)
		}
		next, ret, end, ok := u.step(row, map[uint64]uint64{sp: 0x8000, r30: 7}, copied{tile.GX(), 0x8000, stack})
		if !ok || end || next[sp] != want[0] || ret != want[1] || next[r30] != want[2] {
			t.Errorf("at %#x: %#x, return address %#x, r30 %#x, %v %v; want %#x", at, next[sp], ret, next[r30], end, ok, want)
		}
	}
}
