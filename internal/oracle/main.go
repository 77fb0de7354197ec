// Command oracle has a kernel's own kmemleak and Leakvisor judge the same run
// of the same guest, and compares them address by address: see docs/oracle.md.
// It exits with 1 where a goal is missed.
//
//	go run ./internal/oracle DIR
//
// DIR is what scripts/oracle/build.sh made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leakvisor/leakvisor/symbols"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// Goals: how many objects only kmemleak may report, and how long the guest may
// stand still for our scan, as a part of kmemleak's own scan.
const (
	goalMissed = 0
	goalPause  = 0.1
)

func main() {
	cache := flag.String("cache", "", "cache folder (default: leakvisor in the user's cache folder)")
	memory := flag.Uint64("memory", 512, "the guest's RAM in MiB")
	console := flag.Bool("console", false, "show the guest's console")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	o := &oracle{cache: *cache, memory: *memory << 20, console: io.Discard, out: os.Stdout}
	if *console {
		o.console = os.Stderr
	}
	ok, err := o.run(context.Background(), flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// oracle is the kernel and how it is run.
type oracle struct {
	cache   string
	memory  uint64
	console io.Writer
	out     io.Writer

	guest   *guests.Guest
	img     *symbols.Image
	data    *dataSymbols
	samples string // folder with the kernel's own test modules
}

// scenario is what happens in the guest before it is judged.
type scenario struct {
	name    string
	modules []string // of testdata/modules
	samples []string // of the kernel's own, by file name
	script  string
}

func scenarios() []scenario {
	return []scenario{
		{name: "boot"},
		{name: "kmemleak-test", samples: []string{"kmemleak-test"}, script: "insmod /modules/kmemleak-test.ko\n"},
		{name: "kmemleak-test removed", samples: []string{"kmemleak-test"}, script: "insmod /modules/kmemleak-test.ko\nrmmod kmemleak_test\n"},
		{
			name: "ground truth", modules: []string{"holder", "groundtruth", "rmmodleak"},
			script: "insmod /modules/rmmodleak.ko\nrmmod rmmodleak\ninsmod /modules/holder.ko\ninsmod /modules/groundtruth.ko label=some-label spin=1\n",
		},
	}
}

// run does all scenarios and says whether the goals were met.
func (o *oracle) run(ctx context.Context, dir string) (_ bool, err error) {
	if o.guest, err = open(dir); err != nil {
		return false, err
	}
	o.samples = dir
	if o.img, err = symbols.Open(o.guest.VMLinux, &symbols.Options{CacheDir: o.cache}); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, o.img.Close()) }()
	if o.data, err = readDataSymbols(o.guest.VMLinux); err != nil {
		return false, err
	}
	temp, err := os.MkdirTemp("", "leakvisor-oracle-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	var results []*result
	for _, s := range scenarios() {
		fmt.Fprintf(os.Stderr, "oracle: %s\n", s.name)
		r, err := o.judge(ctx, s, temp)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
		r.write(o.out)
		results = append(results, r)
	}
	return summary(o.out, results), nil
}

// open finds the kernel in a folder that build.sh made.
func open(dir string) (*guests.Guest, error) {
	b, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, fmt.Errorf("%w: scripts/oracle/build.sh prints the folder", err)
	}
	release, version, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return &guests.Guest{
		Name: "oracle", Release: release, Version: version,
		Kernel:  filepath.Join(dir, "bzImage"),
		VMLinux: filepath.Join(dir, "vmlinux"),
		Headers: filepath.Join(dir, "build"),
	}, nil
}

// summary prints the figures, each with its goal, and says whether all were
// met.
func summary(w io.Writer, results []*result) bool {
	ok := true
	var ratios []float64
	for _, r := range results {
		for _, c := range r.compared {
			fmt.Fprintf(w, "%s, %s, reported by kmemleak only: %d (goal: %d)\n", r.name, c.how, c.missed(), goalMissed)
			ok = ok && c.missed() <= goalMissed
		}
		ratios = append(ratios, r.ratio())
	}
	// The median: where others use the machine too, any one may be anything.
	slices.Sort(ratios)
	ratio := ratios[len(ratios)/2]
	fmt.Fprintf(w, "our pause over kmemleak's scan, median of %d runs: %.3f (goal: at most %.2f)\n", len(ratios), ratio, goalPause)
	return ok && ratio <= goalPause
}
