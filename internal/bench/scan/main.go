// Command scan measures the scanner beside a plain read of the same memory.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/leakvisor/leakvisor/scanner"
)

func main() {
	n := flag.Int("n", 1000000, "")
	word := flag.Int("word", 8, "")
	dense := flag.Float64("dense", 0.01, "")
	flag.Parse()
	h := newHeap(shape{"x", *n, *word, binary.LittleEndian, *dense})
	fmt.Println("heap", len(h.mem)>>20, "MiB")
	var rd, s1, s2 []float64
	for range 5 {
		t := time.Now()
		read(h.mem)
		rd = append(rd, time.Since(t).Seconds())
		for _, w := range []int{1, 2} {
			t = time.Now()
			r, err := scanner.Scan(context.Background(), h.input, &scanner.Options{Workers: w})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			d := time.Since(t).Seconds()
			if w == 1 {
				s1 = append(s1, d)
			} else {
				s2 = append(s2, d)
			}
			o := 0
			for _, s := range r.States {
				if s == scanner.Orphan {
					o++
				}
			}
			_ = o
			if w == 1 && len(s1) == 1 {
				fmt.Println("orphans", o, "bytes", r.Bytes>>20)
			}
		}
	}
	for _, x := range [][]float64{rd, s1, s2} {
		slices.Sort(x)
		fmt.Printf("%.3f s  %.2f GB/s\n", x[2], float64(len(h.mem))/x[2]/1e9)
	}
}

var sink uint64

func read(b []byte) {
	var s0, s1, s2, s3 uint64
	for len(b) >= 64 {
		s0 += binary.LittleEndian.Uint64(b) + binary.LittleEndian.Uint64(b[32:])
		s1 += binary.LittleEndian.Uint64(b[8:]) + binary.LittleEndian.Uint64(b[40:])
		s2 += binary.LittleEndian.Uint64(b[16:]) + binary.LittleEndian.Uint64(b[48:])
		s3 += binary.LittleEndian.Uint64(b[24:]) + binary.LittleEndian.Uint64(b[56:])
		b = b[64:]
	}
	sink += s0 + s1 + s2 + s3
}
