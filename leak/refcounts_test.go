package leak

import (
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/symbols"
)

func TestCountsIn(t *testing.T) {
	leaf := func(path string, at, size uint64) symbols.Leaf {
		return symbols.Leaf{Member: symbols.Member{Path: path}, At: at, Size: size}
	}
	got := countsIn([]symbols.Leaf{
		leaf("key", 0, 8),
		leaf("dev.kobj.kref.refcount.refs.counter", 64, 4),
		leaf("users.refs.counter", 96, 4),
		leaf("refs.counter", 100, 4),
		leaf("myrefs.counter", 104, 4), // another name
		leaf("count.counter", 108, 4),  // any atomic_t
		leaf("wide.refs.counter", 112, 8),
	})
	want := []report.RefCount{
		{Member: "dev.kobj.kref.refcount", Offset: 64},
		{Member: "users", Offset: 96},
		{Member: "refs.counter", Offset: 100},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
}
