package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what write gives with testdata/name.
func golden(t *testing.T, name string, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is not as before (go test -update writes it anew):\n%s", path, b.Bytes())
	}
	return b.Bytes()
}

func at(f Frame, file string, line int) Frame {
	f.File, f.Line = file, line
	return f
}

func frame(symbol string, addr, offset, size uint64, module string) Frame {
	return Frame{Addr: Hex(addr), Symbol: symbol, Offset: offset, Size: size, Module: module}
}

// allocators are functions the sample's backtraces pass through that are not
// themselves hooked.
func allocators() []string { return []string{"kmemdup", "__vmalloc_node_range"} }

// sampleLeaks is a report with an orphan of each shape, not in order.
func sampleLeaks() *Report {
	syscall := []Frame{
		frame("do_syscall_64", 0xffffffff8138444c, 0x3c, 0x90, ""),
		frame("entry_SYSCALL_64_after_hwframe", 0xffffffff81400126, 0x6e, 0xd8, ""),
	}
	counting := make(HexBytes, 32)
	for i := range counting {
		counting[i] = byte('0' + i)
	}
	return &Report{
		Verdict: Leaks,
		Guest: Guest{
			Release: "6.1.0-56-cloud-amd64", BuildID: "0123456789abcdef0123456789abcdef01234567",
			Arch: "x86_64", HV: "qemu", Mechanism: "tcg-plugin", VCPUs: 2, Slide: "0x1c000000",
		},
		Liveness: Liveness{
			Entries: 137301, Exits: 137300, InFlight: 1,
			Hooks: []Hook{
				{"__kmalloc", "alloc", 21034}, {"kmalloc_trace", "alloc", 17002}, {"kmem_cache_alloc", "alloc", 60021},
				{"kfree", "free", 30123}, {"kmem_cache_free", "free", 8800}, {"__alloc_percpu", "alloc", 301},
				{"vmalloc", "alloc", 20}, {"kvfree", "free", 0}, {"kmem_cache_alloc_bulk", "alloc", 0},
			},
		},
		Scan: Scan{At: "poweroff", Objects: 33012, Bytes: 41943040, PausedMS: 183.25, Precise: true, Typed: 21000},
		Orphans: []Orphan{
			{
				Address: 0xffff888002553300, Size: 96, Kind: Slab, Cache: "kmalloc-96", AgeMS: 9120, Jiffies: 4294895574,
				Comm: "insmod", PID: 32, Checksum: 0x2128895f, Dump: counting, Cycle: true, RetainedObjects: 2, RetainedBytes: 106,
				Type: "struct leaky_request", PreciseOnly: true,
				RefCounts: []RefCount{{"ref.refcount", 24, 1}, {"users", 28, -3}},
				HiddenBy:  &Reference{Class: "object", From: "0xffff888002553000", Offset: 16, Type: "struct keeper", Member: "cookie", Address: 0xffff888002553010, Value: 0xffff888002553300, To: 0xffff888002553300, NoPointer: true},
				Backtrace: append([]Frame{
					frame("kmalloc_trace", 0xffffffff810fe5a1, 0x11, 0x20, ""),
					at(frame("leaky_open.isra.0", 0xffffffffc0005052, 0x52, 0x110, "leaky"), "drivers/leaky/a file.c", 42),
				}, syscall...),
			},
			{
				Address: 0xffff888003692388, Size: 10, Kind: Slab, Cache: "kmalloc-16", AgeMS: 9300, Jiffies: 4294895500,
				Comm: "insmod", PID: 32, Checksum: 0, Dump: HexBytes("a\x00\x1f\x7f\xff~ <!\xe9"),
				Root: 0xffff888002553300, Parent: 0xffff888002553300,
				Backtrace: append([]Frame{
					frame("__kmalloc", 0xffffffff810fe6a1, 0x42, 0x150, ""),
					frame("kmemdup", 0xffffffff810d0011, 0x1d, 0x40, ""),
					frame("leaky_open.isra.0", 0xffffffffc0005060, 0x60, 0x110, "leaky"),
				}, syscall...),
			},
			{
				Address: 0xffffc90000025000, Size: 8192, Kind: Vmalloc, AgeMS: 700, Jiffies: 4294897010,
				Comm: "softirq", PID: 0, Checksum: 0x1, Dump: make(HexBytes, 32),
				Backtrace: []Frame{
					frame("__vmalloc_node_range", 0xffffffff810f0001, 0x4a0, 0x6b0, ""),
					frame("vmalloc", 0xffffffff810f1001, 0x42, 0x50, ""),
					frame("", 0xffffffffc0205275, 0, 0, ""),
				},
			},
			{
				Address: 0x607ee4e5f948, Size: 64, Kind: PerCPU, AgeMS: 650, Jiffies: 4294897023,
				Comm: "evil\nunreferenced object 0x1 (size 1):\x1b[2J", PID: 77, Checksum: 0xdeadbeef,
				Dump: make(HexBytes, 32), DumpCPU: 1,
				Backtrace: []Frame{frame("evil\n", 0xffffffffc0405275, 0, 0x10, "m\n")},
			},
			{Address: 0xffff888004000000, Size: 16384, Kind: Pages, AgeMS: 0, Comm: "kworker/0:2", PID: 9},
		},
		Annotated: []Rule{
			{"not_leak caller __register_sysctl_init", "linux.rules", 19, "A table registered while booting is never unregistered.", 2, 192},
		},
		Explanations: []Explanation{
			{Query: "0x10"},
			{
				Query: "function:open_*", Matches: 20, PathOmitted: 40, Found: true, Address: 0xffff888003692400, Size: 64, Kind: Slab, Cache: "kmalloc-64", Type: "struct item",
				State: StateReachable, Weak: []string{"reachable only from a stack or a register"},
				Path: []Reference{
					{Class: "stack", From: "stack of init[1]\nBUG: x", Symbol: "in do_wait", Offset: 16, Address: 0xffffc90000013f10, Value: 0xffff888002553300, To: 0xffff888002553300},
					{Class: "object", From: "0xffff888002553300", Type: "struct leaky_request", Member: "list.next", Address: 0xffff888002553300, Value: 0xffff888003692410, To: 0xffff888003692400, ToOffset: 16, ToMember: "list", NoPointer: true},
				},
				Backtrace: syscall,
			},
			{
				Query: "0xffff888002553300", Found: true, Address: 0xffff888002553300, Size: 96, Kind: Slab, State: StateOrphan, Rule: "suppress x (my.rules:3)",
				Referrers:     []Reference{{Class: "object", From: "0xffff888003692388", Address: 0xffff888003692388, Value: 0xffff888002553300, To: 0xffff888002553300}},
				ReferrerCount: 3,
				Content:       []Value{{Offset: 8, Member: "name", Type: "char *", Value: 0xffff888003692388, Target: "char [] at 0xffff888003692388"}, {Offset: 16, Value: 7}},
			},
		},
		Suppressed: []Rule{
			{"suppress function other_*", "my.rules", 3, "", 12, 1536},
			{"suppress cache gone: BUG:", "my.rules", 7, "", 0, 0},
		},
	}
}

func sampleClean() *Report {
	r := sampleLeaks()
	r.Verdict, r.Orphans = Clean, nil
	return r
}

func sampleUnknown() *Report {
	r := sampleLeaks()
	r.Verdict, r.Orphans = Unknown, r.Orphans[:1]
	r.Liveness.Lost, r.Scan.Unknown, r.Scan.At = 3, 12, "panic"
	r.Guest.BuildID, r.Guest.Slide = "", ""
	r.Reasons = []string{
		"3 events were lost",
		"panic: BUG: WARNING: INFO: reading 0xffff888004000000: no such page\nunreferenced object 0x1 (size 1):",
	}
	return r
}
