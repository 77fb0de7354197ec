package kernel

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Bounds for vmalloc areas.
const (
	maxVmapAreas = 1 << 20
	maxVmapNodes = 1 << 12
)

// VmapArea is one busy area of the vmalloc space (struct vmap_area). Its
// words name addresses without holding a reference.
type VmapArea struct {
	Addr  guestmem.GVA                    // of the struct
	Range guestmem.Range[guestmem.GVA]    // va_start to va_end, guard page included
	VM    *VMStruct                       // nil for vm_map_ram
	Words [2]guestmem.Range[guestmem.GVA] // va_start, va_end
	Link  guestmem.Range[guestmem.GVA]    // the word that points to the vm_struct
}

// VMStruct is what vmalloc, vmap or ioremap made of an area.
type VMStruct struct {
	Addr     guestmem.GVA // of the struct vm_struct
	Start    guestmem.GVA // where the memory is
	Size     uint64       // bytes, guard page included
	Flags    uint64       // VM_* of include/linux/vmalloc.h
	Caller   guestmem.GVA // who asked
	Pages    guestmem.GVA // the array of struct page pointers, zero for none
	NrPages  uint64
	AddrWord guestmem.Range[guestmem.GVA] // the word with Start
}

type vmapLayout struct {
	list, start, end, vm                      member // vmap_area
	addr, size, flags, caller, pages, nrPages member // vm_struct
	nodeStride                                uint64
	nodeBusy                                  member // vmap_node.busy.head, since 6.9
}

func newVmapLayout(l *layout) vmapLayout {
	l.find("vmap_area", nearVmap...)
	l.find("vm_struct", nearVmap...)
	v := vmapLayout{
		list:    l.need("vmap_area", "list"),
		start:   l.need("vmap_area", "va_start"),
		end:     l.need("vmap_area", "va_end"),
		vm:      l.need("vmap_area", "vm"),
		addr:    l.need("vm_struct", "addr"),
		size:    l.need("vm_struct", "size"),
		flags:   l.need("vm_struct", "flags"),
		caller:  l.need("vm_struct", "caller"),
		pages:   l.need("vm_struct", "pages"),
		nrPages: l.need("vm_struct", "nr_pages"),
	}
	if l.has("vmap_area_list") {
		return v
	}
	l.find("vmap_node", nearVmap...)
	v.nodeStride = l.size("vmap_node")
	v.nodeBusy = l.need("vmap_node", "busy.head")
	if _, ok := l.info.sized(onlyNode, v.nodeStride); !ok {
		l.needSymbol("vmap_nodes")
	}
	return v
}

// onlyNode is what vmap_nodes points to until there are more. On 32 bits there
// never are, and compilers leave the pointer out.
const onlyNode = "single"

// vmapNodes returns where the array of the vmap nodes is, and how many it has.
func (k *Kernel) vmapNodes() (nodes, n uint64, err error) {
	if !k.has("vmap_nodes") {
		if s, ok := k.info.sized(onlyNode, k.lay.vmap.nodeStride); ok {
			return s.Addr + k.slide, 1, nil
		}
	}
	if nodes, err = k.word("vmap_nodes"); err != nil {
		return 0, 0, err
	}
	if n, err = k.number("nr_vmap_nodes"); err != nil {
		n = 1
	}
	if n > maxVmapNodes {
		return 0, 0, inconsistent("%d vmap nodes", n)
	}
	return nodes, n, nil
}

// VmapAreas lists the busy areas: in address order up to 6.8, by node since.
// With an error it returns those that it could read.
func (k *Kernel) VmapAreas() ([]VmapArea, error) {
	lay := &k.lay.vmap
	var heads []guestmem.GVA
	if head, ok := k.Addr("vmap_area_list"); ok {
		heads = []guestmem.GVA{head}
	} else {
		nodes, n, err := k.vmapNodes()
		if err != nil {
			return nil, err
		}
		for i := range n {
			heads = append(heads, guestmem.GVA(nodes+i*lay.nodeStride+lay.nodeBusy.Offset))
		}
	}
	var out []VmapArea
	var errs []error
	for _, head := range heads {
		var first error
		err := k.list(head, maxVmapAreas, func(node guestmem.GVA) bool {
			a, err := k.vmapArea(node - guestmem.GVA(lay.list.Offset))
			if err != nil && first == nil {
				first = err
			}
			if a.Addr != 0 {
				out = append(out, a)
			}
			if len(out) >= maxVmapAreas {
				first = inconsistent("there are more than %d vmap areas", maxVmapAreas)
			}
			return len(out) < maxVmapAreas
		})
		if err != nil {
			err = fmt.Errorf("vmap areas: %w", err)
		}
		errs = append(errs, err, first)
	}
	return out, errors.Join(errs...)
}

// vmapArea reads one area; with an error about its vm_struct the area is
// returned without.
func (k *Kernel) vmapArea(at guestmem.GVA) (VmapArea, error) {
	lay := &k.lay.vmap
	r := k.at(at)
	start, end, vm := r.ptr(lay.start), r.ptr(lay.end), r.ptr(lay.vm)
	if r.err != nil {
		return VmapArea{}, fmt.Errorf("vmap area at %#x: %w", uint64(at), r.err)
	}
	if end <= start {
		return VmapArea{}, inconsistent("vmap area at %#x from %#x to %#x", uint64(at), uint64(start), uint64(end))
	}
	a := VmapArea{Addr: at, Range: guestmem.Range[guestmem.GVA]{Start: start, End: end}, Link: r.span(lay.vm)}
	a.Words[0], a.Words[1] = r.span(lay.start), r.span(lay.end)
	if vm == 0 {
		return a, nil
	}
	v, err := k.VMStruct(vm)
	if err != nil {
		return a, err
	}
	a.VM = v
	return a, nil
}

// span returns where a member is.
func (r *record) span(m member) guestmem.Range[guestmem.GVA] { return from(r.addr(m), m.Size) }

// VMStruct reads the struct vm_struct at addr.
func (k *Kernel) VMStruct(addr guestmem.GVA) (*VMStruct, error) {
	lay := &k.lay.vmap
	r := k.at(addr)
	v := &VMStruct{
		Addr:     addr,
		Start:    r.ptr(lay.addr),
		Size:     r.get(lay.size),
		Flags:    r.get(lay.flags),
		Caller:   r.ptr(lay.caller),
		Pages:    r.ptr(lay.pages),
		NrPages:  r.get(lay.nrPages),
		AddrWord: r.span(lay.addr),
	}
	if r.err != nil {
		return nil, fmt.Errorf("vm_struct at %#x: %w", uint64(addr), r.err)
	}
	return v, nil
}
