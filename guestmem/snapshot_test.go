package guestmem

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestSnapshot(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	low, high := random(40*snapshotPage), random(9*snapshotPage+100)
	live, err := NewRAM(Piece{0x1000, low}, Piece{0x10_0000, high})
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	for range 20 {
		var ranges []Range[GPA]
		kept := map[GPA]bool{}
		for range r.IntN(12) {
			start := GPA(r.IntN(0x12_0000))
			rg := Range[GPA]{start, start + GPA(r.IntN(6*snapshotPage))}
			ranges = append(ranges, rg)
			for at := rg.Start &^ (snapshotPage - 1); at < rg.End; at += snapshotPage {
				kept[at] = true
			}
		}
		s.Take(live, ranges)
		before := [2][]byte{bytes.Clone(low), bytes.Clone(high)}
		low[r.IntN(len(low))]++ // the guest runs on
		high[r.IntN(len(high))]++
		for at := GPA(0); at < 0x12_0000; at += snapshotPage / 2 {
			want, base := before[0], GPA(0x1000)
			if at >= 0x10_0000 {
				want, base = before[1], 0x10_0000
			}
			in := at >= base && at < base+GPA(len(want)) && kept[at&^(snapshotPage-1)]
			got, err := s.ViewPhys(at, 3*snapshotPage)
			if !in {
				if !errors.Is(err, ErrUnreadable) {
					t.Fatalf("%#x was not copied: %d bytes, %v", at, len(got), err)
				}
				continue
			}
			if err != nil || len(got) == 0 || !bytes.HasPrefix(want[at-base:], got) {
				t.Fatalf("%#x: %d bytes, %v", at, len(got), err)
			}
			if end := at + GPA(len(got)); len(got) < 3*snapshotPage && end%snapshotPage == 0 && kept[end] && kept[end-1&^(snapshotPage-1)] && end < base+GPA(len(want)) && len(ranges) == 1 {
				t.Errorf("%#x: the view ends at %#x without need", at, end)
			}
		}
		low, high = before[0], before[1]
		if live, err = NewRAM(Piece{0x1000, low}, Piece{0x10_0000, high}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (&Snapshot{}).ViewPhys(0, 1); !errors.Is(err, ErrUnreadable) {
		t.Errorf("an empty snapshot: %v", err)
	}
}

// What is written to the copy stays there.
func TestSnapshotWrite(t *testing.T) {
	live := make([]byte, 4*snapshotPage)
	ram, err := NewRAM(Piece{0x1000, live})
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	s.Take(ram, []Range[GPA]{{0x3000, 0x4000}, {0x2000, 0x3000}}) // in two pieces
	b := bytes.Repeat([]byte{7}, 200)
	if err := s.Write(0x2f80, b); err != nil {
		t.Fatal(err)
	}
	first, err1 := s.ViewPhys(0x2f80, 128)
	second, err2 := s.ViewPhys(0x3000, 100)
	if err1 != nil || err2 != nil || !bytes.Equal(first, b[:128]) || !bytes.Equal(second[:72], b[:72]) || second[72] != 0 {
		t.Errorf("% x, % x, %v, %v", first, second, err1, err2)
	}
	if !bytes.Equal(live, make([]byte, len(live))) {
		t.Error("the guest's memory was changed")
	}
	if err := s.Write(0x3f80, b); !errors.Is(err, ErrUnreadable) {
		t.Errorf("what was not copied was written: %v", err)
	}
}
