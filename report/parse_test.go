package report

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseKmemleak(t *testing.T) {
	want := []Orphan{{
		Address: 0xffff888003692380, Size: 128, Comm: `a", pid 1, jiffies 2`, PID: 762, Jiffies: 4294831244, Checksum: 0x2128895f,
		Dump:      append(make(HexBytes, 17), 0xff),
		Backtrace: []Frame{frame("a.isra.0", 0, 0x236, 0x290, ""), frame("b", 0, 0, 0x10, "mod"), frame("", 0xffffffffc0005052, 0, 0, "")},
	}, {
		Address: 0x607ee4e5f948, Size: 8, Kind: PerCPU, DumpCPU: 3, AgeMS: 841975, Comm: "", PID: -1, Jiffies: 1, Dump: HexBytes("abcdefgh"),
		Backtrace: []Frame{frame("x", 0xffffffffb2131db6, 1, 2, ""), frame("", 0x1234, 0, 0, "")},
	}, {
		Address: 0x1000, Size: 4096, Kind: Phys, Comm: "swapper", Jiffies: 0,
	}}
	for name, in := range map[string]string{
		"file": `unreferenced object 0xffff888003692380 (size 128):
  comm "a", pid 1, jiffies 2", pid 762, jiffies 4294831244
  hex dump (first 18 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
    00 ff                                            ..
  backtrace (crc 2128895f):
    a.isra.0+0x236/0x290
    b+0x0/0x10 [mod]
    0xffffffffc0005052
unreferenced object (percpu) 0x607ee4e5f948 (size 8):
  comm "", pid -1, jiffies 1 (age 841.975s)
  hex dump (first 8 bytes on cpu 3):
    61 62 63 64 65 66 67 68                          abcdefgh
  backtrace:
    [<ffffffffb2131db6>] x+0x1/0x2
    [<00001234>] 0x1234
unreferenced object (phys) 0x00001000 (size 4096):
  comm "swapper", pid 0, jiffies 0
  backtrace (crc 0):
`,
		"log": "<6>[    0.000000] Linux\r\n" +
			"[   12.345678][  T123] kmemleak: unreferenced object 0xffff888003692380 (size 128):\r\n" +
			"[   12.345678][  T123] kmemleak:   comm \"a\", pid 1, jiffies 2\", pid 762, jiffies 4294831244\r\n" +
			"[   12.345678][  T123] kmemleak:   hex dump (first 18 bytes):\r\n" +
			"[   12.345678][  T123] kmemleak:     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................\r\n" +
			"[   12.345678][  T123] kmemleak:     00 ff                                            ..\r\n" +
			"[   12.345678][  T123] kmemleak:   backtrace (crc 2128895f):\r\n" +
			"[   12.345678][  T123] kmemleak:     a.isra.0+0x236/0x290\r\n" +
			"[   12.345678][  T123] kmemleak:     b+0x0/0x10 [mod]\r\n" +
			"[   12.345678][  T123] kmemleak:     0xffffffffc0005052\r\n" +
			"leakvisor: something\n\nBUG: memory leak\n" +
			"unreferenced object (percpu) 0x607ee4e5f948 (size 8):\n" +
			"  comm \"\", pid -1, jiffies 1 (age 841.975s)\n" +
			"  hex dump (first 8 bytes on cpu 3):\n" +
			"    61 62 63 64 65 66 67 68                          abcdefgh\n" +
			"  backtrace:\n" +
			"    [<ffffffffb2131db6>] x+0x1/0x2\n" +
			"    [<00001234>] 0x1234\n" +
			"more\n" +
			"unreferenced object (phys) 0x00001000 (size 4096):\n" +
			"  comm \"swapper\", pid 0, jiffies 0\n" +
			"  backtrace (crc 0):",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseKmemleak(strings.NewReader(in))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

const record = `unreferenced object 0xffff888003692380 (size 128):
  comm "insmod", pid 762, jiffies 4294831244
  hex dump (first 20 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
    00 00 00 00                                      ....
  backtrace (crc 2128895f):
    a+0x236/0x290
`

func TestParseKmemleakRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		line     int
	}{
		"address":       {"0xffff888003692380", "ffff888003692380", 1},
		"long address":  {"0xffff888003692380", "0x0ffff888003692380", 1},
		"size":          {"(size 128)", "(size x)", 1},
		"comm":          {`comm "insmod"`, `comm insmod`, 2},
		"dump too long": {"first 20 bytes", "first 33 bytes", 4},
		"row missing":   {"    00 00 00 00    ", "   ", 5},
		"row too short": {"    00 00 00 00    ", "    00 00 00       ", 5},
		"row too long":  {"    00 00 00 00    ", "    00 00 00 00 00 ", 5},
		"no backtrace":  {"  backtrace (crc 2128895f):\n", "", 6},
		"frame":         {"a+0x236/0x290", "a+236/290", 7},
		"module":        {"a+0x236/0x290", "a+0x236/0x290 mod", 7},
	} {
		in := "\n" + strings.Replace(record, c.old, c.new, 1)
		_, err := ParseKmemleak(strings.NewReader(in))
		var p *ParseError
		if !errors.As(err, &p) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Line != c.line+1 {
			t.Errorf("%s: %v, want line %d", name, err, c.line+1)
		}
	}
	for n := range strings.Count(record, "\n") - 1 {
		cut := strings.Join(strings.SplitAfter(record, "\n")[:n+1], "")
		if got, err := ParseKmemleak(strings.NewReader(cut)); err == nil && len(got[0].Backtrace) != 0 {
			t.Errorf("%d lines: took %+v", n+1, got)
		}
	}
	big := strings.Replace(record, "size 128", "size 99999999999999999999", 1)
	if _, err := ParseKmemleak(strings.NewReader(big)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a size over 64 bits: %v", err)
	}
	for name, in := range map[string]string{
		"frames": record + strings.Repeat("    a+0x236/0x290\n", maxFrames),
		"line":   "\n" + strings.Repeat("x", maxLine+1),
	} {
		if _, err := ParseKmemleak(strings.NewReader(in)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseKmemleakReadsItsOwn(t *testing.T) {
	r := sampleLeaks()
	for name, opts := range map[string]*TextOptions{
		"newest": nil,
		"oldest": {Style: Style{NoType: true, Age: true, NoCRC: true, Pointers: 16}},
	} {
		got, err := ParseKmemleak(strings.NewReader(text(t, r, opts)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := r.normalized().Orphans
		if len(got) != len(want) {
			t.Fatalf("%s: %d records, want %d", name, len(got), len(want))
		}
		for i := range got {
			if got[i].Address != want[i].Address || got[i].Size != want[i].Size || !bytes.Equal(got[i].Dump, want[i].Dump) ||
				len(got[i].Backtrace) != len(want[i].Backtrace) {
				t.Errorf("%s: got %+v, want %+v", name, got[i], want[i])
			}
		}
	}
}

// After one pass through the parser and the writer, a text does not change any
// more.
func FuzzParseKmemleak(f *testing.F) {
	paths, err := filepath.Glob(oracleFiles)
	if err != nil || len(paths) == 0 {
		f.Fatalf("no %s: %v", oracleFiles, err)
	}
	for _, path := range append(paths, "testdata/leaks.txt", "testdata/style-2022.txt") {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(record))
	f.Fuzz(func(t *testing.T, in []byte) {
		first, err := ParseKmemleak(bytes.NewReader(in))
		if err != nil {
			return
		}
		opts := &TextOptions{RecordsOnly: true, Style: Style{Age: true, Pointers: 16}}
		var one, two bytes.Buffer
		if err := WriteText(&one, &Report{Orphans: first}, opts); err != nil {
			t.Fatal(err)
		}
		second, err := ParseKmemleak(bytes.NewReader(one.Bytes()))
		if err != nil {
			if errors.Is(err, ErrTooLarge) {
				return // escapes made a line longer
			}
			t.Fatalf("its own text: %v\n%s", err, one.Bytes())
		}
		if err := WriteText(&two, &Report{Orphans: second}, opts); err != nil {
			t.Fatal(err)
		}
		if len(first) != len(second) || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Errorf("first\n%s\nthen\n%s", one.Bytes(), two.Bytes())
		}
	})
}
