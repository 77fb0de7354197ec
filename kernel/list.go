package kernel

import (
	"github.com/leakvisor/leakvisor/guestmem"
)

type listLayout struct {
	next member // list_head.next
}

func newListLayout(l *layout) listLayout {
	l.find("list_head", nearFork...)
	return listLayout{
		next: l.need("list_head", "next"),
	}
}

// list calls fn with each node of the list_head list at head, without head,
// until fn returns false. It ends with an error at a node that was there
// before or after limit nodes.
func (k *Kernel) list(head guestmem.GVA, limit int, fn func(node guestmem.GVA) bool) error {
	seen := map[guestmem.GVA]bool{head: true}
	node := head
	for range limit + 1 {
		next, err := k.mem.Pointer(node + guestmem.GVA(k.lay.list.next.Offset))
		if err != nil {
			return err
		}
		if next == head {
			return nil
		}
		if seen[next] {
			return inconsistent("list at %#x comes back to %#x", uint64(head), uint64(next))
		}
		seen[next] = true
		if len(seen) > limit+1 {
			break
		}
		if !fn(next) {
			return nil
		}
		node = next
	}
	return inconsistent("list at %#x has more than %d nodes", uint64(head), limit)
}
