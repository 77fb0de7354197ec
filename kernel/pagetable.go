package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// MarkTables classes as PageTable what the page tables of the kernel, which
// space has, and those of the tasks consist of: up to 6.12 at least, Linux
// marks only some of these pages itself, and what refers to them are physical
// addresses. Tables that are in slabs are then known to IsTable. It returns where the kernel's own tables are, of which some are
// no such pages, and the first error; the other tables are marked.
func (k *Kernel) MarkTables(p *Pages, space *guestmem.AddressSpace, tasks []*Task) ([]guestmem.Range[guestmem.GPA], error) {
	p.walked, p.tables = map[guestmem.GPA]bool{}, map[guestmem.GVA]bool{}
	mark := func(r guestmem.Range[guestmem.GPA]) bool {
		at, fresh := p.markTable(r)
		if at != 0 {
			p.tables[at] = true
		}
		return fresh
	}
	var own []guestmem.Range[guestmem.GPA] // the root first
	space.Tables(func(r guestmem.Range[guestmem.GPA]) bool {
		fresh := mark(r)
		if fresh {
			own = append(own, r)
		}
		return fresh
	})
	t := k.arch.Paging
	if _, ok := k.info.symbol(t.UserRootSymbol); ok && t.UserRoot != 0 && len(own) > 0 {
		space.WithRoot(own[0].Start + guestmem.GPA(t.UserRoot)).Tables(mark)
	}
	for _, name := range t.MoreRoots {
		if at, ok := k.Addr(name); ok {
			if root, _, err := space.Translate(at); err == nil {
				space.WithRoot(root).Tables(mark)
			}
		}
	}
	lay := &k.lay.task
	if !t.TaskTables || lay.mm.Size == 0 || lay.pgd.Size == 0 {
		return own, nil
	}
	var first error
	for _, t := range tasks {
		root, err := k.userRoot(space, t)
		switch {
		case err != nil && first == nil:
			first = fmt.Errorf("page tables of %s[%d]: %w", t.Comm, t.PID, err)
		case err == nil && root != 0:
			space.WithRoot(root).Tables(mark)
		}
	}
	return own, first
}

// MarkTablesOf is MarkTables for the page tables of a struct mm_struct, which no
// task need have yet (execve, fork). It returns those that are in slabs and were
// not met before: only that structure holds them.
func (k *Kernel) MarkTablesOf(p *Pages, space *guestmem.AddressSpace, mm guestmem.GVA) []guestmem.GVA {
	lay := &k.lay.task
	if !k.arch.Paging.TaskTables || lay.pgd.Size == 0 || p.walked == nil {
		return nil
	}
	r := k.at(mm)
	pgd := r.ptr(lay.pgd)
	root, _, err := space.Translate(pgd)
	if r.err != nil || pgd == 0 || err != nil {
		return nil // it is being made, or freed
	}
	var out []guestmem.GVA
	space.WithRoot(root).Tables(func(r guestmem.Range[guestmem.GPA]) bool {
		at, fresh := p.markTable(r)
		if at != 0 {
			out = append(out, at)
		}
		return fresh
	})
	return out
}

// markTable classes a page table that was not met before, and says where it is
// if that is in a slab.
func (p *Pages) markTable(r guestmem.Range[guestmem.GPA]) (inSlab guestmem.GVA, fresh bool) {
	if p.walked[r.Start] {
		return 0, false
	}
	p.walked[r.Start] = true
	size := guestmem.GPA(p.PageSize())
	for at := r.Start &^ (size - 1); at < r.End; at += size {
		f := PFN(at / size)
		part := p.part(f)
		if part == nil {
			continue
		}
		switch class := &part.class[f-part.first]; {
		case *class == PageKernel:
			*class = PageTable
		case *class == PageSlab && at <= r.Start:
			inSlab = p.mm.pageAddr(f) + guestmem.GVA(r.Start-at)
		}
	}
	return inSlab, true
}

// userRoot returns the root of a task's page tables; zero for a kernel thread,
// and for a task that is about to end.
func (k *Kernel) userRoot(space *guestmem.AddressSpace, t *Task) (guestmem.GPA, error) {
	lay := &k.lay.task
	task := k.at(t.Addr)
	mm := task.ptr(lay.mm)
	if task.err != nil || mm == 0 {
		return 0, task.err
	}
	r := k.at(mm)
	pgd := r.ptr(lay.pgd)
	if r.err != nil {
		return 0, r.err
	}
	root, _, err := space.Translate(pgd)
	return root, err
}
