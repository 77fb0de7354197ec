package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// MarkTables classes as PageTable what the page tables of the kernel, which
// space has, and those of the tasks consist of: up to 6.12 at least, Linux
// marks only some of these pages itself, and what refers to them are physical
// addresses. It returns where the kernel's own tables are, of which some are
// no such pages, and the first error; the other tables are marked.
func (k *Kernel) MarkTables(p *Pages, space *guestmem.AddressSpace, tasks []*Task) ([]guestmem.Range[guestmem.GPA], error) {
	seen := map[guestmem.GPA]bool{}
	mark := func(r guestmem.Range[guestmem.GPA]) bool {
		if seen[r.Start] {
			return false
		}
		seen[r.Start] = true
		size := guestmem.GPA(p.PageSize())
		for at := r.Start &^ (size - 1); at < r.End; at += size {
			f := PFN(at / size)
			if part := p.part(f); part != nil && part.class[f-part.first] == PageKernel {
				part.class[f-part.first] = PageTable
			}
		}
		return true
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
