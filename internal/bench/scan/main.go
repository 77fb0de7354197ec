// Command scan measures the scanner and the live set, each beside its limit
// and in one run, and exits 1 when a goal is missed.
//
// The heaps are synthetic: slab pages of objects in random order of age, root
// pages, and pointers of which half lead to a neighbour (within 64 KiB, as
// what was allocated together does) and half anywhere. All but one object in
// a thousand are reachable, one in a hundred only as a link of a list.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	size := flag.String("size", "full", "small, or full: up to 5 million objects, which takes 9 GB of memory and minutes")
	runs := flag.Int("runs", 5, "runs of each, of which the median counts")
	flag.Parse()
	objects := []int{200_000, 1_000_000, 5_000_000}
	switch *size {
	case "full":
	case "small":
		objects = []int{50_000}
	default:
		fmt.Fprintf(os.Stderr, "-size %s: it is small or full\n", *size)
		os.Exit(2)
	}
	r := &report{out: os.Stdout}
	if err := measure(context.Background(), r, objects, max(*runs, 1)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if r.missed > 0 {
		fmt.Printf("%d goals missed\n", r.missed)
		os.Exit(1)
	}
}

func measure(ctx context.Context, r *report, objects []int, runs int) error {
	fmt.Fprintf(r.out, "%d CPUs, %s/%s, medians of %d runs\n", runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runs)
	events(r, objects[len(objects)-1], runs)
	for _, n := range objects {
		for _, dense := range []float64{0.01, 0.3} {
			for _, word := range []int{8, 4} {
				for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
					if err := scans(ctx, r, shape{n, word, order, dense}, runs); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// report prints figures and counts missed goals.
type report struct {
	out    io.Writer
	missed int
}

// figure prints one figure. With a goal, ok says whether it is met.
func (r *report) figure(name, value, goal string, ok bool) {
	if goal == "" {
		fmt.Fprintf(r.out, "%s: %s\n", name, value)
		return
	}
	if !ok {
		r.missed++
		goal += ", MISSED"
	}
	fmt.Fprintf(r.out, "%s: %s (goal: %s)\n", name, value, goal)
}
