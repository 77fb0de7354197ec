package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// maxSheaf bounds the objects in one sheaf and the sheaves of one node.
const maxSheaf = 1 << 14

// sheafLayout is of the sheaves that cache free objects since 6.18: objects
// in them count as in use in their slab, but are free. (Those that a user has
// filled for himself, and those that wait for RCU, are not found here: they
// count as allocated.)
type sheafLayout struct {
	present        bool
	cpu            member // kmem_cache.cpu_sheaves, per-CPU pointer
	main, spare    member // slub_percpu_sheaves
	size, objects  member // slab_sheaf
	link           member // slab_sheaf.barn_list
	nodes          member // kmem_cache.node
	barn, barnFull member // kmem_cache_node.barn, node_barn.sheaves_full
}

func newSheafLayout(l *layout) sheafLayout {
	var s sheafLayout
	if s.cpu, s.present = l.opt("kmem_cache", "cpu_sheaves"); !s.present {
		return s
	}
	for _, n := range []string{"slub_percpu_sheaves", "slab_sheaf", "kmem_cache_node", "node_barn"} {
		l.find(n, nearSlab...)
	}
	s.main = l.need("slub_percpu_sheaves", "main")
	s.spare = l.need("slub_percpu_sheaves", "spare")
	s.size = l.need("slab_sheaf", "size")
	s.objects = l.need("slab_sheaf", "objects")
	s.link, _ = l.opt("slab_sheaf", "barn_list")
	s.nodes, _ = l.opt("kmem_cache", "node")
	s.barn, _ = l.opt("kmem_cache_node", "barn")
	s.barnFull, _ = l.opt("node_barn", "sheaves_full")
	return s
}

// sheaves notes the free objects in a cache's sheaves.
func (s *Slabs) sheaves(c *Cache, cpus []CPU) error {
	lay := &s.k.lay.slab.sheaves
	if !lay.present {
		return nil
	}
	r := s.k.at(c.Addr)
	ptr := r.get(lay.cpu)
	if r.err != nil {
		return fmt.Errorf("sheaves of %q: %w", c.Name, r.err)
	}
	if ptr != 0 {
		for _, cpu := range cpus {
			r := s.k.at(cpu.Addr(ptr))
			for _, m := range []member{lay.main, lay.spare} {
				sheaf := r.ptr(m)
				if r.err != nil {
					return fmt.Errorf("sheaves of %q on CPU %d: %w", c.Name, cpu.ID, r.err)
				}
				if err := s.addSheaf(sheaf); err != nil {
					return fmt.Errorf("sheaf of %q on CPU %d: %w", c.Name, cpu.ID, err)
				}
			}
		}
	}
	return s.barns(c)
}

// barns notes those that each node keeps for its CPUs.
func (s *Slabs) barns(c *Cache) error {
	lay := &s.k.lay.slab.sheaves
	if lay.nodes.Count == 0 || lay.barn.Size == 0 || lay.barnFull.Size == 0 || lay.link.Size == 0 {
		return nil
	}
	nodes, err := s.k.number("nr_node_ids")
	if err != nil {
		nodes = 1
	}
	for i := range min(nodes, lay.nodes.Count, maxNodes) {
		node, err := s.k.mem.Pointer(c.Addr + guestmem.GVA(lay.nodes.Offset+i*uint64(s.k.arch.WordSize)))
		if err != nil {
			return fmt.Errorf("sheaves of %q on node %d: %w", c.Name, i, err)
		}
		if node == 0 {
			continue
		}
		barn, err := s.k.mem.Pointer(node + guestmem.GVA(lay.barn.Offset))
		if err != nil {
			return fmt.Errorf("sheaves of %q on node %d: %w", c.Name, i, err)
		}
		if barn == 0 {
			continue
		}
		var bad error
		err = s.k.list(barn+guestmem.GVA(lay.barnFull.Offset), maxSheaf, func(n guestmem.GVA) bool {
			bad = s.addSheaf(n - guestmem.GVA(lay.link.Offset))
			return bad == nil
		})
		if bad != nil {
			err = bad
		}
		if err != nil {
			return fmt.Errorf("sheaves of %q on node %d: %w", c.Name, i, err)
		}
	}
	return nil
}

func (s *Slabs) addSheaf(at guestmem.GVA) error {
	if at == 0 {
		return nil
	}
	lay := &s.k.lay.slab.sheaves
	r := s.k.at(at)
	n := r.get(lay.size)
	if r.err != nil {
		return r.err
	}
	if n > maxSheaf {
		return inconsistent("sheaf at %#x has %d objects", uint64(at), n)
	}
	for i := range n {
		p, err := s.k.mem.Pointer(r.addr(lay.objects) + guestmem.GVA(i*uint64(s.k.arch.WordSize)))
		if err != nil {
			return err
		}
		s.sheaf[p] = true
	}
	return nil
}
