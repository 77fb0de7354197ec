package report

import "time"

// Schema is the version of the JSON form. It changes when a field changes
// its meaning or goes; added fields leave it.
const Schema = "leakvisor/1"

// Verdict is the judgement on a run.
type Verdict string

// Verdicts.
const (
	Clean   Verdict = "clean"
	Leaks   Verdict = "leaks"
	Unknown Verdict = "unknown"
)

// Report is the result of one run: the one model that all writers print.
type Report struct {
	Schema   string   `json:"schema"`
	Verdict  Verdict  `json:"verdict"`
	Reasons  []string `json:"reasons"` // why unknown; empty otherwise
	Guest    Guest    `json:"guest"`
	Liveness Liveness `json:"liveness"`
	Scan     Scan     `json:"scan"`
	// Orphans are ordered by leak: what retains most first, and behind each
	// direct one those that hang on it.
	Orphans []Orphan `json:"orphans"`
	// Annotated are the marks of the kernel's source that hid orphans,
	// Suppressed all rules of the user, those too that hid none.
	Annotated  []Rule `json:"annotated"`
	Suppressed []Rule `json:"suppressed"`
	// Explanations are those that were asked for.
	Explanations []Explanation `json:"explanations,omitempty"`
}

// Guest says what was judged.
type Guest struct {
	Release   string `json:"release"`  // uname -r
	BuildID   string `json:"build_id"` // hex
	Arch      string `json:"arch"`
	HV        string `json:"hv"`             // backend, for example "qemu"
	Mechanism string `json:"hook_mechanism"` // how hooks work there
	VCPUs     int    `json:"vcpus"`
	Slide     string `json:"kaslr_slide"` // hex
	// Marks says how it is known what the kernel's source marks as no leak.
	Marks Marks `json:"marks,omitempty"`
}

// Marks is how the marks of the kernel's source are known.
type Marks string

// Ways to know them.
const (
	MarksByRules Marks = "rules"    // a list of call sites
	MarksByHooks Marks = "kmemleak" // hooks on the kernel's own kmemleak functions
)

// Liveness proves that the detector was live.
type Liveness struct {
	Entries  uint64 `json:"entries"`
	Exits    uint64 `json:"exits"`
	InFlight uint64 `json:"in_flight"` // calls open at the scan, each on a live stack
	Lost     uint64 `json:"lost"`
	Hooks    []Hook `json:"hooks"`
	// SlabObjects is how many slab objects are allocated by the guest's own
	// slab descriptors, SlabTracked how many of these were tracked: the rest
	// was made before the slab allocator was up, or by unknown functions.
	SlabObjects uint64 `json:"slab_objects"`
	SlabTracked uint64 `json:"slab_tracked"`
	// StrayFrees counts frees of slab objects that were not tracked.
	StrayFrees uint64 `json:"stray_frees"`
	// CutBacktraces counts backtraces that end before their outermost frame.
	CutBacktraces uint64 `json:"cut_backtraces"`
}

// Hook is one hooked function and how often it was entered.
type Hook struct {
	Symbol string `json:"symbol"`
	Role   string `json:"role"` // "alloc", "free", …
	Hits   uint64 `json:"hits"`
}

// Scan tells how much was judged.
type Scan struct {
	At       string  `json:"at"` // what triggered it: "poweroff", "panic", …
	Objects  uint64  `json:"objects"`
	Bytes    uint64  `json:"bytes"` // bytes of memory scanned
	PausedMS float64 `json:"paused_ms"`
	Unknown  uint64  `json:"unknown_objects"` // neither reachable nor orphan: see Reasons
	// Stacks says how much of the kernel's stacks was scanned.
	Stacks Stacks `json:"stacks,omitempty"`
	// Precise says that objects were scanned by their types, where those are
	// known: of Typed objects.
	Precise bool   `json:"precise,omitempty"`
	Typed   uint64 `json:"typed_objects,omitempty"`
}

// Stacks is how much of the stacks is taken for references.
type Stacks string

// Ways to scan stacks.
const (
	LiveStacks  Stacks = "live"  // from the stack pointer up
	WholeStacks Stacks = "whole" // all, as kmemleak does
)

// Kind says which allocator an object is from.
type Kind string

// Kinds of object.
const (
	Slab    Kind = "slab"
	Vmalloc Kind = "vmalloc"
	PerCPU  Kind = "percpu"
	Pages   Kind = "pages"
	Phys    Kind = "phys" // allocated by physical address; only a kernel reports it
)

// Rule is a rule that hides orphans, and how many it hid: those that it
// matches, and those that hang on them. Each is counted for the first rule
// only that hides it.
type Rule struct {
	Rule    string `json:"rule"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Reason  string `json:"reason,omitempty"`
	Objects uint64 `json:"objects"`
	Bytes   uint64 `json:"bytes"`
}

// Orphan is one suspected leak.
type Orphan struct {
	Address Hex    `json:"address"`
	Size    uint64 `json:"size"` // bytes
	Kind    Kind   `json:"kind"`
	Cache   string `json:"cache,omitempty"` // slab cache
	// Type is the object's type as C writes it, empty where it is not known;
	// of an object that holds several, that of one or of the first.
	Type string `json:"type,omitempty"`
	// AgeMS is the guest's time since the allocation in milliseconds.
	AgeMS     uint64  `json:"age_ms"`
	Jiffies   uint64  `json:"jiffies"`
	Comm      string  `json:"comm"`
	PID       int     `json:"pid"`
	Backtrace []Frame `json:"backtrace"`
	// Checksum is kmemleak's crc of the content.
	Checksum uint32 `json:"crc"`
	// Dump is the beginning of the content, at most 32 bytes; of a per-CPU
	// object, that of the copy of DumpCPU.
	Dump    HexBytes `json:"hex_dump"`
	DumpCPU int      `json:"hex_dump_cpu,omitempty"`

	// Direct says that no other orphan refers to this one but, in a Cycle,
	// those that hang on it: it is the leak. Others hang on the direct orphan
	// at address Root, and Parent is the orphan that leads to them from there.
	Direct bool `json:"direct"`
	Cycle  bool `json:"cycle,omitempty"`
	Root   Hex  `json:"root,omitempty"`
	Parent Hex  `json:"parent,omitempty"`
	// RetainedObjects and RetainedBytes are what freeing a direct orphan would
	// let go: it and all that hang on it. Zero for others.
	RetainedObjects uint64 `json:"retained_objects,omitempty"`
	RetainedBytes   uint64 `json:"retained_bytes,omitempty"`
	// RefCounts are the reference counts in a direct orphan whose type is known:
	// whether somebody did not put it, or nobody freed it when it was put last.
	RefCounts []RefCount `json:"refcounts,omitempty"`
	// PreciseOnly says that words refer to the orphan, or to what it hangs on,
	// that are no pointers by their type: only a precise scan finds it.
	PreciseOnly bool `json:"precise_only,omitempty"`
	// HiddenBy is one of these words, the last on a way to a direct orphan;
	// nil where there are many such orphans.
	HiddenBy *Reference `json:"hidden_by,omitempty"`
}

// RefCount is a reference count, as the guest has it.
type RefCount struct {
	Member string `json:"member"` // path in the structure
	Offset uint64 `json:"offset"` // in bytes
	Value  int32  `json:"value"`
}

// Frame is one return address of a backtrace, the innermost first.
type Frame struct {
	Addr   Hex    `json:"address"`
	Symbol string `json:"symbol"` // empty where nothing is known
	Offset uint64 `json:"offset"`
	Size   uint64 `json:"size"`   // of the function in bytes
	Module string `json:"module"` // empty for the kernel
	// File and Line are where in the source the call is, if that is known.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// normalized returns a copy of r as every writer wants it: this version's
// schema, orphans by leak, no nil list.
func (r *Report) normalized() *Report {
	n := *r
	n.Schema = Schema
	n.Reasons = notNil(r.Reasons)
	n.Liveness.Hooks = notNil(r.Liveness.Hooks)
	n.Annotated, n.Suppressed = notNil(r.Annotated), notNil(r.Suppressed)
	n.Orphans = byLeak(r.Orphans)
	for i := range n.Orphans {
		o := &n.Orphans[i]
		o.Backtrace = notNil(o.Backtrace)
	}
	return &n
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Age returns AgeMS as a duration.
func (o *Orphan) Age() time.Duration { return time.Duration(o.AgeMS) * time.Millisecond }

// Hex is an address, 0x-prefixed hexadecimal text in JSON.
type Hex uint64

// HexBytes are bytes, hexadecimal text in JSON.
type HexBytes []byte
