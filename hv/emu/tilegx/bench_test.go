package tilegx

import (
	"debug/elf"
	"encoding/binary"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/xtest/programs"
)

// BenchmarkRun says how many bundles, and how many instructions that are no
// padding, are executed a second.
func BenchmarkRun(b *testing.B) {
	c := newCompiler(b)
	file := c.build(b, "bench", "-O2", "testdata/bench.c")
	density := density(b, file)
	var bundles uint64
	for b.Loop() {
		_, n := programs.Run(b, ISA(), file, 5*time.Minute)
		bundles += n
	}
	rate := float64(bundles) / b.Elapsed().Seconds() / 1e6
	b.ReportMetric(rate, "Mbundles/s")
	b.ReportMetric(rate*density, "Minstructions/s")
	b.ReportMetric(0, "ns/op")
}

// density is the number of instructions in a bundle of a program's text, on
// average.
func density(b *testing.B, file string) float64 {
	f, err := elf.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	text, err := f.Section(".text").Data()
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for at := 0; at+bundleSize <= len(text); at += bundleSize {
		for _, in := range Decode(binary.LittleEndian.Uint64(text[at:])) {
			if in.Op != opNop && in.Op != opFnop {
				n++
			}
		}
	}
	return float64(n) / float64(len(text)/bundleSize)
}
