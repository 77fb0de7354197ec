package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/liveset"
	"github.com/leakvisor/leakvisor/scanner"
)

// scans measures one heap: for 1, 2 and all CPUs the index, a plain read of its
// memory and a scan, interleaved.
func scans(ctx context.Context, r *report, s shape, runs int) error {
	h := newHeap(s)
	workers := []int{1}
	for _, n := range []int{2, runtime.GOMAXPROCS(0)} {
		if n <= runtime.GOMAXPROCS(0) && n > workers[len(workers)-1] {
			workers = append(workers, n)
		}
	}
	reads := make([][]float64, len(workers))
	indexes, times := make([][]float64, len(workers)), make([][]float64, len(workers))
	var err error
	peak := uint64(0)
	for range runs {
		for i, n := range workers {
			runtime.GC()
			before := allocated()
			start := time.Now()
			h.input.Index, err = scanner.NewIndex(h.input.Objects, s.word, n)
			if err != nil {
				return err
			}
			indexes[i] = append(indexes[i], time.Since(start).Seconds())
			start = time.Now()
			h.sum += readAll(h.mem, n)
			reads[i] = append(reads[i], time.Since(start).Seconds())
			start = time.Now()
			res, err := scanner.Scan(ctx, h.input, &scanner.Options{Workers: n})
			if err != nil {
				return err
			}
			times[i] = append(times[i], time.Since(start).Seconds())
			peak = max(peak, allocated()-before)
			if err := h.check(res); err != nil {
				return err
			}
		}
	}
	size := float64(len(h.mem)) / 1e9
	for i, n := range workers {
		r.figure(fmt.Sprintf("%s, plain read on %d CPUs", s, n), fmt.Sprintf("%.2f GB/s, %.2f times one",
			size/median(reads[i]), ratio(reads[0], reads[i])), "", true)
		t := median(times[i])
		name := fmt.Sprintf("%s, scan on %d CPUs", s, n)
		index := median(indexes[i])
		r.figure(fmt.Sprintf("%s, index on %d CPUs, made once for all scans of the same objects", s, n),
			fmt.Sprintf("%.0f ms, %.0f ns an object; with it a scan has %.0f %% of the read", 1000*index, 1e9*index/float64(s.objects),
				100*median(reads[0])/(t+index)), "", true)
		share := ratio(reads[0], times[i])
		value := fmt.Sprintf("%.2f GB/s, %.0f %% of the read, %.0f ms", size/t, 100*share, 1000*t)
		switch {
		case n == 1 && s.dense < 0.1:
			r.figure(name, value, "at least 60 % of the read", share >= 0.6)
		case n == 2:
			gain := ratio(times[0], times[i])
			read := ratio(reads[0], reads[i])
			value = fmt.Sprintf("%s, %.2f times one; only reading gains %.2f, with which, and all else twice as fast, it would be %.2f",
				value, gain, read, ideal(ratio(reads[0], times[0]), read, 2))
			r.figure(name, value, "at least 1.7 times one", gain >= 1.7)
		default:
			r.figure(name, value, "", true)
		}
	}
	per := float64(peak) / float64(s.objects)
	r.figure(s.String()+", memory for the scan, all that it allocates", fmt.Sprintf("%.1f bytes an object", per), "at most 64", per <= 64)
	return nil
}

// ideal returns how much a scan gains on n CPUs, when reading memory gains so much,
// takes that share of the time on one, and the rest gains n.
func ideal(share, read, n float64) float64 {
	share = min(share, 1)
	return 1 / (share/read + (1-share)/n)
}

// allocated returns how much has been allocated since the start, in bytes.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// ratio is that of a to b, measured in turn: the median of each run's, since what
// else is going on differs less within one.
func ratio(a, b []float64) float64 {
	v := make([]float64, len(a))
	for i := range v {
		v[i] = a[i] / b[i]
	}
	return median(v)
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// readAll reads b on so many CPUs.
func readAll(b []byte, workers int) uint64 {
	sums := make([]uint64, workers)
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() { sums[i] = read(b[i*len(b)/workers : (i+1)*len(b)/workers]) })
	}
	wg.Wait()
	sum := uint64(0)
	for _, s := range sums {
		sum += s
	}
	return sum
}

// read adds up all words of b: as fast as one CPU gets memory.
func read(b []byte) uint64 {
	var s0, s1, s2, s3 uint64
	for ; len(b) >= 64; b = b[64:] {
		s0 += binary.LittleEndian.Uint64(b) + binary.LittleEndian.Uint64(b[32:])
		s1 += binary.LittleEndian.Uint64(b[8:]) + binary.LittleEndian.Uint64(b[40:])
		s2 += binary.LittleEndian.Uint64(b[16:]) + binary.LittleEndian.Uint64(b[48:])
		s3 += binary.LittleEndian.Uint64(b[24:]) + binary.LittleEndian.Uint64(b[56:])
	}
	return s0 + s1 + s2 + s3
}

// events measures the live set with n objects: each step is one allocation
// and one free of an old object at another place.
func events(r *report, n, runs int) {
	// A permutation of the slots, so that neighbours in time are not in space.
	at := func(i int) guestmem.GVA { return 0xffff888100000000 + guestmem.GVA(i*2654435761%(2*n))*64 }
	var rates, bytes []float64
	for range runs {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		set := liveset.New(func(o *hooks.Object) (guestmem.GVA, uint64) { return o.Addr, o.Size })
		for i := range n {
			set.Put(hooks.Object{Addr: at(i), Seq: uint64(i)})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		bytes = append(bytes, float64(after.HeapAlloc-before.HeapAlloc)/float64(n))
		start := time.Now()
		for i := n; i < 2*n; i++ {
			set.Put(hooks.Object{Addr: at(i), Seq: uint64(i)})
			set.Remove(at(i - n))
		}
		rates = append(rates, 2*float64(n)/time.Since(start).Seconds())
	}
	name := fmt.Sprintf("live set, %d objects", n)
	rate, per := median(rates), median(bytes)
	r.figure(name+", inserts and removals on one CPU", fmt.Sprintf("%.2f million a second", rate/1e6), "at least 2 million", rate >= 2e6)
	r.figure(name+", memory", fmt.Sprintf("%.1f bytes an object", per), "at most 64", per <= 64)
}
