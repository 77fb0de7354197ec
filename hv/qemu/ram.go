package qemu

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/leakvisor/leakvisor/guestmem"
)

// ramID is the name of the memory backend that holds guest RAM.
const ramID = "leakvisor-ram"

// ram is guest RAM, a memory file that QEMU maps too.
type ram struct {
	file *os.File
	data []byte // read only
}

func newRAM(size uint64) (*ram, error) {
	f, err := newMemfd("leakvisor-ram", int64(size))
	if err != nil {
		return nil, err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("qemu: mapping guest RAM of %d bytes: %w", size, err)
	}
	return &ram{f, data}, nil
}

// Close unmaps the memory; nobody may look at it any more.
func (r *ram) Close() {
	_ = unix.Munmap(r.data)
	_ = r.file.Close()
}

// ramRange says that the guest has size bytes of the memory file, from
// offset, at gpa.
type ramRange struct{ gpa, size, offset uint64 }

// parseMemoryTree finds the ranges of the memory region named id in the
// output of the monitor's `info mtree -f`, in the flat view that CPUs and
// devices see. QMP has no command for it. Ranges of the same displacement
// are joined, also across firmware that lies over the RAM between them: the
// guest uncovers it later (the BIOS area below 1 MiB of a PC).
func parseMemoryTree(text, id string) ([]ramRange, error) {
	var ranges []ramRange
	inSystem := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "FlatView"):
			inSystem = false
			continue
		case strings.HasPrefix(line, ` AS "memory"`):
			inSystem = true
			continue
		}
		r, name, ok := parseFlatRange(line)
		if !inSystem || !ok || name != id {
			continue
		}
		if n := len(ranges); n > 0 {
			last := &ranges[n-1]
			if r.gpa-r.offset == last.gpa-last.offset && r.gpa >= last.gpa+last.size {
				last.size = r.gpa + r.size - last.gpa
				continue
			}
		}
		ranges = append(ranges, r)
	}
	if len(ranges) == 0 {
		return nil, fmt.Errorf("qemu: this machine does not use the memory that it was given (no region %q)", id)
	}
	return ranges, nil
}

// parseFlatRange reads a line like
//
//	0000000000100000-00000000bfffffff (prio 0, ram): name @0000000000100000
//
// where the offset is left out if it is zero.
func parseFlatRange(line string) (r ramRange, name string, ok bool) {
	span, rest, ok1 := strings.Cut(strings.TrimSpace(line), " (prio ")
	kind, rest, ok2 := strings.Cut(rest, "): ")
	low, high, ok3 := strings.Cut(span, "-")
	if !ok1 || !ok2 || !ok3 || !strings.HasSuffix(kind, ", ram") {
		return r, "", false
	}
	name, offset, hasOffset := strings.Cut(rest, " @")
	start, err1 := strconv.ParseUint(low, 16, 64)
	end, err2 := strconv.ParseUint(high, 16, 64)
	if err1 != nil || err2 != nil || end < start || end-start == ^uint64(0) {
		return r, "", false
	}
	r = ramRange{gpa: start, size: end - start + 1}
	if hasOffset {
		offset, _, _ = strings.Cut(offset, " ")
		var err error
		if r.offset, err = strconv.ParseUint(offset, 16, 64); err != nil {
			return r, "", false
		}
	}
	return r, name, true
}

// physical makes guest physical memory of ranges.
func (r *ram) physical(ranges []ramRange) (*guestmem.RAM, error) {
	size := uint64(len(r.data))
	var pieces []guestmem.Piece
	for _, x := range ranges {
		if x.offset > size || x.size > size-x.offset {
			return nil, fmt.Errorf("qemu: RAM at %#x lies outside the memory file", x.gpa)
		}
		pieces = append(pieces, guestmem.Piece{GPA: guestmem.GPA(x.gpa), Data: r.data[x.offset : x.offset+x.size]})
	}
	return guestmem.NewRAM(pieces...)
}

// checkLive proves that mem is what the guest sees: it writes to both ends
// of each piece through QEMU and looks for that here. The guest must not have
// run yet; what was there is restored.
func checkLive(ctx context.Context, g *gdb, mem guestmem.Physical) error {
	const n = 16
	for _, piece := range mem.RAM() {
		if piece.Size() < n {
			continue
		}
		for _, at := range []guestmem.GPA{piece.Start, piece.End - n} {
			var old, mark [n]byte
			if _, err := rand.Read(mark[:]); err != nil {
				return fmt.Errorf("qemu: %w", err)
			}
			if err := g.readPhysical(ctx, uint64(at), old[:]); err != nil {
				return err
			}
			if err := g.writePhysical(ctx, uint64(at), mark[:]); err != nil {
				return err
			}
			seen, err := mem.ViewPhys(at, n)
			if err != nil {
				return err
			}
			live := bytes.Equal(seen, mark[:])
			if err := g.writePhysical(ctx, uint64(at), old[:]); err != nil {
				return err
			}
			if !live {
				return fmt.Errorf("qemu: guest RAM at %#x is not shared with this process: the machine type does not support it", uint64(at))
			}
		}
	}
	return nil
}
