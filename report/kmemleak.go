package report

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Style says how a version of the kernel prints kmemleak's records. The zero
// value is the newest. The facts are from print_unreferenced and
// hex_dump_object in mm/kmemleak.c, read in Linux 6.1.192, 6.12.117 and the
// development tree of 2026. Stable kernels took some of the changes too, so
// no version number tells the style of a kernel.
type Style struct {
	// NoType leaves " (percpu)" and " (phys)" out of the first line, as
	// before 2026.
	NoType bool
	// Age adds " (age 12.345s)" to the second line, as before "kmemleak: drop
	// (age <increasing>) from leak record" of 2023.
	Age bool
	// NoCRC leaves " (crc 89abcdef)" out of the backtrace's heading, as
	// before "kmemleak: add checksum to backtrace report" of 2023.
	NoCRC bool
	// Pointers is the number of hexadecimal digits, 8 or 16, of the address
	// that stands as "[<address>] " before each frame, as before "mm: kmemleak:
	// fix sleeping function called from invalid context at print message" of
	// 2024; 0 for none.
	Pointers int
}

const (
	dumpRow  = 16 // bytes in a row of the hex dump: HEX_ROW_SIZE
	dumpRows = 2  // HEX_MAX_LINES
	maxDump  = dumpRow * dumpRows
	// asciiColumn is where the text of a row begins, after two digits and a
	// space for each byte and one more space: lib/hexdump.c.
	asciiColumn = 3*dumpRow + 1
)

// appendRecord appends the record of o to b.
func (s Style) appendRecord(b []byte, o *Orphan) []byte {
	kind := ""
	if !s.NoType && (o.Kind == PerCPU || o.Kind == Phys) {
		kind = " (" + string(o.Kind) + ")"
	}
	b = fmt.Appendf(b, "unreferenced object%s 0x%08x (size %d):\n", kind, uint64(o.Address), o.Size)
	b = fmt.Appendf(b, "  comm \"%s\", pid %d, jiffies %d", printable(o.Comm), o.PID, o.Jiffies)
	if s.Age {
		b = fmt.Appendf(b, " (age %d.%03ds)", o.AgeMS/1000, o.AgeMS%1000)
	}
	b = append(b, '\n')
	b = appendDump(b, o)
	if s.NoCRC {
		b = append(b, "  backtrace:\n"...)
	} else {
		b = fmt.Appendf(b, "  backtrace (crc %x):\n", o.Checksum)
	}
	for i := range o.Backtrace {
		f := &o.Backtrace[i]
		b = append(b, "    "...)
		if s.Pointers != 0 {
			b = fmt.Appendf(b, "[<%0*x>] ", s.Pointers, uint64(f.Addr))
		}
		b = append(b, f.String()...)
		b = append(b, '\n')
	}
	return b
}

// appendDump appends the hex dump in the layout of print_hex_dump with rows of
// 16 bytes in groups of 1 and the text (lib/hexdump.c). Nothing is appended
// where no content is known.
func appendDump(b []byte, o *Orphan) []byte {
	dump := o.Dump[:min(len(o.Dump), maxDump)]
	if len(dump) == 0 {
		return b
	}
	b = fmt.Appendf(b, "  hex dump (first %d bytes", len(dump))
	if o.Kind == PerCPU {
		b = fmt.Appendf(b, " on cpu %d", o.DumpCPU)
	}
	b = append(b, "):\n"...)
	for len(dump) > 0 {
		row := dump[:min(len(dump), dumpRow)]
		dump = dump[len(row):]
		b = append(b, "    "...)
		for _, c := range row {
			b = fmt.Appendf(b, "%02x ", c)
		}
		b = append(b, bytes.Repeat([]byte{' '}, asciiColumn-3*len(row))...)
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			b = append(b, c)
		}
		b = append(b, '\n')
	}
	return b
}

// String returns f as the kernel's %pS does: symbol+0xoffset/0xsize, with
// " [module]" where it is in one, or the address where no symbol is known.
func (f *Frame) String() string {
	if f.Symbol == "" {
		return f.Addr.String()
	}
	s := printable(f.Symbol) + "+" + Hex(f.Offset).String() + "/" + Hex(f.Size).String()
	if f.Module != "" {
		s += " [" + printable(f.Module) + "]"
	}
	return s
}

// printable returns s with control characters as \ooo, the octal form in
// which the kernel itself escapes (seq_escape): a newline in a task's name
// would else begin a line of the guest's choice.
func printable(s string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == 0x7f {
			b.WriteString(`\` + strconv.FormatUint(0o1000|uint64(c), 8)[1:])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
