package kernel

import (
	"errors"
	"testing"

	"github.com/leakvisor/leakvisor/symbols"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// Each row is of a member that a stock kernel has, and that is no pointer by
// its type, but for those of older kernels and of what is built as a module.
func TestHidesPointer(t *testing.T) {
	elsewhere := map[string]bool{
		"timer_list.data": true, "sock_cgroup_data.val": true, // of older kernels
		"io_fixed_file.file_ptr": true, "io_rsrc_node.file_ptr": true, "ns_common.stashed": true, "fd.word": true, // of some
		"kvm_rmap_head.val": true, "zram_table_entry.handle": true, // of modules
		"mem_section.section_mem_map": true, "vc_data.vc_origin": true, "zswap_entry.handle": true, // by configuration
	}
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		im, err := symbols.Open(g.VMLinux, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Close()
		mutex, err := im.Struct("mutex")
		if err != nil {
			t.Fatal(err)
		}
		realTime := mutex.Has("rtmutex") // PREEMPT_RT: owners are pointers
		for row := range hidesPointer {
			name := row[0] + "." + row[1]
			st, err := im.Struct(row[0])
			var ambiguous *symbols.AmbiguousError
			if errors.As(err, &ambiguous) {
				continue
			}
			if err == nil {
				_, err = st.Field(row[1])
			}
			if err != nil && !elsewhere[name] && !(realTime && row[1] == "owner") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if HidesPointer("rb_node", "rb_left") || !HidesPointer("rb_node", "__rb_parent_color") {
			t.Error("struct rb_node")
		}
	})
}
