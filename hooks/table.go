package hooks

import "fmt"

// Class is the allocator that an object is from.
type Class uint8

// Allocator classes.
const (
	Slab Class = iota
	Vmalloc
	PerCPU
	Pages
	numClasses
)

// String returns the class's name as --track takes it.
func (c Class) String() string {
	return [...]string{"slab", "vmalloc", "percpu", "pages"}[c]
}

// ParseClass is the inverse of Class.String.
func ParseClass(name string) (Class, error) {
	for c := Class(0); c < numClasses; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("unknown allocator class %q", name)
}

// Role is what a function does.
type Role uint8

// Roles.
const (
	// Alloc functions return the object, or zero or an error for none.
	Alloc Role = iota
	// AllocBulk functions fill an array with objects and return how many.
	AllocBulk
	// Realloc functions take an object, or zero, and return it or another.
	// What they return is mostly told by a hook within, but a compiler may
	// have put an allocator's code into them.
	Realloc
	// Free functions take the object.
	Free
	// FreeBulk functions take an array of objects.
	FreeBulk
)

// String names the role as the report does.
func (r Role) String() string {
	return [...]string{"alloc", "alloc-bulk", "realloc", "free", "free-bulk"}[r]
}

// none says that a function has no such argument.
const none = -1

// Allocator is one row of the table: functions of one role and signature.
type Allocator struct {
	Class Class
	Role  Role
	// Symbols are the functions' names; those that the kernel lacks are
	// skipped. Each also stands for its name with "_noprof" appended, which
	// allocators carry since memory allocation profiling (Linux 6.10, commit
	// 7bd230a26648 "mm/slab: enable slab allocation tagging for kmalloc").
	Symbols []string
	// Size is the number of the argument with the size in bytes, from 0.
	Size int
	// Pointer is the number of the argument with the object (Free) or with
	// the array (bulk roles), and Count that of the array's length.
	Pointer, Count int
	// Interior says that the pointer may point into the object.
	Interior bool
}

// Table returns the allocators of Linux, 4.19 to 6.18: signatures are from
// include/linux/{slab,vmalloc,percpu,gfp}.h and mm/{slab.h,percpu.c}. Only
// functions that hand out or take back an object themselves are listed;
// wrappers around them (kvmalloc, vmalloc, kfree_sensitive, kvfree,
// kfree_const, kfree_rcu) need no hook.
func Table() []Allocator {
	return []Allocator{
		// kmalloc(size, ...): the size comes first in all of these.
		{Slab, Alloc, []string{
			"__kmalloc", "__kmalloc_node", "__kmalloc_track_caller", "__kmalloc_node_track_caller",
			"kmalloc_large", "kmalloc_large_node", "__kmalloc_large", "__kmalloc_large_node",
			"kmalloc_order", "kmalloc_order_trace", "kmalloc_nolock",
		}, 0, none, none, false},
		// kmalloc_trace(cache, flags, size) and what it became in 6.10.
		{Slab, Alloc, []string{"kmalloc_trace", "kmem_cache_alloc_trace", "__kmalloc_cache"}, 2, none, none, false},
		// kmalloc_node_trace(cache, flags, node, size).
		{Slab, Alloc, []string{"kmalloc_node_trace", "kmem_cache_alloc_node_trace", "__kmalloc_cache_node"}, 3, none, none, false},
		{Slab, Alloc, []string{
			"kmem_cache_alloc", "kmem_cache_alloc_lru", "kmem_cache_alloc_node", "kmem_cache_alloc_from_sheaf",
		}, none, none, none, false},
		// kmem_cache_alloc_bulk(cache, flags, size, array).
		{Slab, AllocBulk, []string{"kmem_cache_alloc_bulk"}, none, 3, 2, false},
		// krealloc(object, size, flags) frees what it replaces by kfree.
		{Slab, Realloc, []string{"krealloc", "krealloc_node_align"}, 1, none, none, false},
		{Slab, Free, []string{"kfree", "kfree_nolock"}, none, 0, none, false},
		{Slab, Free, []string{"kmem_cache_free"}, none, 1, none, false},
		// kmem_cache_free_bulk(cache, size, array); cache may be NULL.
		{Slab, FreeBulk, []string{"kmem_cache_free_bulk"}, none, 2, 1, false},
		// kvfree_rcu_cb(rcu_head): frees the object that the head lies in
		// (mm/slub.c since 6.14).
		{Slab, Free, []string{"kvfree_rcu_cb"}, none, 0, none, true},

		// __vmalloc_node_range(size, align, ...).
		{Vmalloc, Alloc, []string{"__vmalloc_node_range"}, 0, none, none, false},
		{Vmalloc, Free, []string{"vfree", "vfree_atomic", "__vunmap"}, none, 0, none, false},

		// pcpu_alloc(size, align, reserved, gfp).
		{PerCPU, Alloc, []string{"pcpu_alloc"}, 0, none, none, false},
		{PerCPU, Free, []string{"free_percpu"}, none, 0, none, false},

		// __alloc_pages(gfp, order, nid, nodemask) returns a struct page. That
		// a block is freed is read off its page descriptor at the scan.
		{Pages, Alloc, []string{"__alloc_pages", "__alloc_pages_nodemask"}, 1, none, none, false},
	}
}

// Moment is a function at which the session acts; all of them hold the vCPU
// at their first instruction.
type Moment struct {
	Name    string // what happened, for the report
	Kind    MomentKind
	Symbols []string
}

// MomentKind says what a moment means.
type MomentKind uint8

// Kinds of moment.
const (
	// Started is the beginning of the kernel's C code.
	Started MomentKind = iota
	// ModuleLoaded has a struct module in argument 0, before its init runs.
	ModuleLoaded
	// ModuleUnloaded has a struct module in argument 0, still whole.
	ModuleUnloaded
	// Ending is the way to power-off, halt, reboot or kexec.
	Ending
	// Panicked is a kernel panic.
	Panicked
)

// Moments returns the functions at which a session acts (Linux
// kernel/reboot.c, kernel/panic.c, kernel/module/main.c, init/main.c; vpanic
// since 6.15).
func Moments() []Moment {
	return []Moment{
		{"start", Started, []string{"start_kernel"}},
		{"module load", ModuleLoaded, []string{"do_init_module"}},
		{"module unload", ModuleUnloaded, []string{"free_module"}},
		{"poweroff", Ending, []string{"kernel_power_off"}},
		{"halt", Ending, []string{"kernel_halt"}},
		{"reboot", Ending, []string{"kernel_restart", "emergency_restart"}},
		{"kexec", Ending, []string{"kernel_kexec"}},
		{"panic", Panicked, []string{"vpanic", "panic"}},
	}
}

// Names returns the names of all functions that allocate, wrappers included:
// the frames of a backtrace that do not tell who wanted the memory.
func Names() []string {
	out := []string{
		"kmalloc", "kzalloc", "kcalloc", "kmalloc_array", "kmalloc_node", "krealloc", "__do_krealloc", "krealloc_node_align",
		"kvmalloc_node", "__kvmalloc_node", "kvrealloc", "kmemdup", "kmemdup_nul", "kstrdup", "kstrdup_const", "kstrndup",
		"kvasprintf", "kvasprintf_const", "kasprintf", "memdup_user", "memdup_user_nul", "vmemdup_user", "strndup_user",
		"kmem_cache_zalloc", "mempool_alloc", "mempool_alloc_slab", "mempool_kmalloc",
		"vmalloc", "vzalloc", "vmalloc_node", "vzalloc_node", "vmalloc_user", "vmalloc_32", "vmalloc_huge", "__vmalloc", "__vmalloc_node",
		"__vmalloc_array", "vmalloc_array", "vcalloc", "__vcalloc", "module_alloc", "execmem_alloc",
		"__alloc_percpu", "__alloc_percpu_gfp", "__alloc_reserved_percpu",
		"alloc_pages", "__get_free_pages", "get_zeroed_page", "alloc_pages_exact", "__folio_alloc", "folio_alloc", "alloc_pages_mpol",
	}
	for _, row := range Table() {
		if row.Role == Alloc || row.Role == AllocBulk || row.Role == Realloc {
			out = append(out, row.Symbols...)
		}
	}
	for _, n := range out {
		out = append(out, n+"_noprof")
	}
	return out
}

// Note is one row of what a kernel built with CONFIG_DEBUG_KMEMLEAK tells its
// own kmemleak: functions of one meaning and signature.
type Note struct {
	Kind    NoteKind
	Symbols []string
	// Pointer, Size and MinCount are numbers of arguments, from 0: the object
	// or what is in it, bytes, and how many references keep the object.
	Pointer, Size, MinCount int
}

// NoteKind says what a note means.
type NoteKind uint8

// Kinds of note.
const (
	// NoteAlloc: an object was made.
	NoteAlloc NoteKind = iota
	// NoteFree: it is gone. NoteFreePart: a part of it is.
	NoteFree
	NoteFreePart
	// NoteNotLeak: it is no leak. NoteIgnore: nor is it to be looked at.
	NoteNotLeak
	NoteIgnore
	// NoteNoScan: it holds no references. NoteScanArea: only here it does.
	NoteNoScan
	NoteScanArea
	// NoteTrace: the call stack now is worth more than that of the allocation.
	NoteTrace
)

// String names the kind as the report does.
func (k NoteKind) String() string {
	return [...]string{"note-alloc", "note-free", "note-free-part", "note-not-leak", "note-ignore", "note-no-scan", "note-scan-area", "note-trace"}[k]
}

// Notes returns the functions of kmemleak's interface (include/linux/kmemleak.h,
// Linux 4.19 to 6.18). In other kernels they are inline and empty. Left out are
// those about vmalloc and per-CPU objects, which the allocators tell of, about
// physical addresses, which are never leaks, and kmemleak_transient_leak,
// which is about what a running guest has not written yet.
func Notes() []Note {
	return []Note{
		// kmemleak_alloc(ptr, size, min_count, gfp).
		{NoteAlloc, []string{"kmemleak_alloc"}, 0, 1, 2},
		{NoteFree, []string{"kmemleak_free", "kmemleak_free_percpu"}, 0, none, none},
		{NoteFreePart, []string{"kmemleak_free_part"}, 0, 1, none},
		{NoteNotLeak, []string{"kmemleak_not_leak"}, 0, none, none},
		{NoteIgnore, []string{"kmemleak_ignore", "kmemleak_ignore_percpu"}, 0, none, none},
		{NoteNoScan, []string{"kmemleak_no_scan"}, 0, none, none},
		// kmemleak_scan_area(ptr, size, gfp): size may be SIZE_MAX.
		{NoteScanArea, []string{"kmemleak_scan_area"}, 0, 1, none},
		{NoteTrace, []string{"kmemleak_update_trace"}, 0, none, none},
	}
}
