package report

import (
	"bytes"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// oracleFiles are reports that kernels printed themselves, with kmemleak-test
// loaded or unloaded again: see scripts/oracle/capture.sh.
const oracleFiles = "../testdata/oracle/kmemleak-*.txt"

// TestOracle writes what kernels printed as they did, byte for byte.
func TestOracle(t *testing.T) {
	paths, err := filepath.Glob(oracleFiles)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", oracleFiles, err)
	}
	styles := map[string]Style{
		"kmemleak-6.1":  {NoType: true, NoCRC: true, Pointers: 16},
		"kmemleak-6.12": {NoType: true},
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			style, ok := styles[strings.TrimSuffix(name, "-unloaded")]
			if !ok {
				t.Fatalf("no style for %s", name)
			}
			orphans, err := ParseKmemleak(bytes.NewReader(want))
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(want, []byte("unreferenced object")); len(orphans) != n || n < 11 {
				t.Fatalf("%d orphans of %d records", len(orphans), n)
			}
			got := text(t, &Report{Orphans: orphans}, &TextOptions{RecordsOnly: true, Style: style})
			if got != string(want) {
				t.Errorf("got\n%s", got)
			}
			var b []byte
			for i := range orphans {
				b = style.appendRecord(b[:0], &orphans[i])
				if !bytes.Contains(want, b) {
					t.Errorf("record %d is not in the file:\n%s", i, b)
				}
			}
		})
	}
}

// Of objects that the dump shows whole, the kernel's checksum proves that the
// dump was read right. Its crc32 starts at 0 (in 2026 it became ~0) and has
// neither the inversion before nor the one after, unlike hash/crc32.
func TestOracleChecksums(t *testing.T) {
	b, err := os.ReadFile("../testdata/oracle/kmemleak-6.12.txt")
	if err != nil {
		t.Fatal(err)
	}
	orphans, err := ParseKmemleak(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, o := range orphans {
		if uint64(len(o.Dump)) != o.Size {
			continue
		}
		checked++
		if crc := ^crc32.Update(^uint32(0), crc32.IEEETable, o.Dump); crc != o.Checksum {
			t.Errorf("%v: %08x, the kernel says %08x", o.Address, crc, o.Checksum)
		}
	}
	if checked == 0 {
		t.Error("no object is small enough")
	}
}
