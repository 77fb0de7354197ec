package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// leftoverLayout has the places where Linux leaves pointers that mean nothing
// any more, in memory that is in use. An address that is given out again
// would be found there.
type leftoverLayout struct {
	stacks []stackOfPointers
	// cached are pages of pointers to objects that were freed, each CPU's in
	// a list by their first word (struct kfree_rcu_cpu, kernel/rcu/tree.c
	// from 5.9, mm/slab_common.c from 6.14).
	cached member
}

// stackOfPointers is a per-CPU array of which the first count elements are in
// use.
type stackOfPointers struct {
	symbol       string
	count, array member
}

const (
	maxStackOfPointers = 1 << 12
	maxCachedPages     = 1 << 12
)

func newLeftoverLayout(l *layout) leftoverLayout {
	var out leftoverLayout
	for _, x := range []struct {
		symbol, structure, count, array string
		near                            []string
	}{
		// net/core/skbuff.c, since 4.1.
		{"napi_alloc_cache", "napi_alloc_cache", "skb_count", "skb_cache", []string{"__alloc_skb"}},
	} {
		if !l.has(x.symbol) {
			continue
		}
		l.find(x.structure, x.near...)
		s := stackOfPointers{symbol: x.symbol}
		var ok1, ok2 bool
		s.count, ok1 = l.opt(x.structure, x.count)
		s.array, ok2 = l.opt(x.structure, x.array)
		if ok1 && ok2 && s.count.Size <= 8 {
			out.stacks = append(out.stacks, s)
		}
	}
	if l.has("krc") {
		l.find("kfree_rcu_cpu", "kvfree_call_rcu", "kfree_call_rcu")
		out.cached, _ = l.opt("kfree_rcu_cpu", "bkvcache.first")
	}
	return out
}

// Leftovers returns ranges of memory in use whose content is dead: no word in
// them is a reference. With an error it returns those that it could read.
func (k *Kernel) Leftovers() ([]guestmem.Range[guestmem.GVA], error) {
	cpus, err := k.CPUs()
	if err != nil {
		return nil, err
	}
	var out []guestmem.Range[guestmem.GVA]
	for _, c := range cpus {
		for _, s := range k.lay.leftover.stacks {
			r, err := k.unusedTop(c, s)
			if err != nil {
				return out, fmt.Errorf("%s of CPU %d: %w", s.symbol, c.ID, err)
			}
			out = append(out, r)
		}
		pages, err := k.cachedPages(c)
		out = append(out, pages...)
		if err != nil {
			return out, fmt.Errorf("krc of CPU %d: %w", c.ID, err)
		}
	}
	return out, nil
}

// unusedTop returns the part of an array that is not in use.
func (k *Kernel) unusedTop(c CPU, s stackOfPointers) (guestmem.Range[guestmem.GVA], error) {
	sym, _ := k.info.symbol(s.symbol)
	at := c.Addr(sym.Addr + k.perCPUSlide)
	r := k.at(at)
	count := r.get(s.count)
	if r.err != nil {
		return guestmem.Range[guestmem.GVA]{}, r.err
	}
	w := uint64(k.arch.WordSize)
	length := min(s.array.Size/w, maxStackOfPointers)
	if count > length {
		return guestmem.Range[guestmem.GVA]{}, inconsistent("%d of %d elements are in use", count, length)
	}
	start := at + guestmem.GVA(s.array.Offset+count*w)
	return from(start, (length-count)*w), nil
}

func (k *Kernel) cachedPages(c CPU) ([]guestmem.Range[guestmem.GVA], error) {
	cached := k.lay.leftover.cached
	if cached.Size == 0 {
		return nil, nil
	}
	sym, _ := k.info.symbol("krc")
	page, err := k.perCPUWord(c, sym.Addr+k.perCPUSlide+cached.Offset)
	var out []guestmem.Range[guestmem.GVA]
	for ; err == nil && page != 0; page, err = k.mem.Word(guestmem.GVA(page)) {
		if page%k.pageSize() != 0 || len(out) == maxCachedPages {
			return out, inconsistent("page %d at %#x", len(out), page)
		}
		// Its first word is the list's.
		w := uint64(k.arch.WordSize)
		out = append(out, from(guestmem.GVA(page+w), k.pageSize()-w))
	}
	return out, err
}
