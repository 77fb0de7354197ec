package leak

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/kernel"
)

// ownTables are the kernel's own page tables, which map themselves at root
// once they are made.
type ownTables struct {
	space *guestmem.AddressSpace
	root  guestmem.GVA
}

// findTables makes the reader of the kernel's memory: through its own page
// tables or, as long as those are not made (arm64 makes them in setup_arch),
// through the ones it started with.
func (s *Session) findTables(early *guestmem.AddressSpace) error {
	var errs error
	for _, name := range s.arch.Paging.RootSymbols {
		gva, err := s.space.Addr(name)
		if err == nil {
			var gpa guestmem.GPA
			if gpa, _, err = early.Translate(gva); err == nil {
				own := &ownTables{early.WithRoot(gpa), gva}
				if own.made() {
					return s.useTables(own.space)
				}
				s.unmade = own
				return s.useTables(early)
			}
		}
		errs = errors.Join(errs, err)
	}
	return fmt.Errorf("finding the kernel's page tables: %w", errs)
}

func (t *ownTables) made() bool {
	_, _, err := t.space.Translate(t.root)
	return err == nil
}

func (s *Session) useTables(space *guestmem.AddressSpace) (err error) {
	s.kmem = space
	if s.kernel, err = kernel.New(space, s.m.Memory(), s.img, s.slide); err != nil {
		return err
	}
	s.live.Store(&guest{s.kmem, s.kernel})
	return nil
}

// refreshTables makes sure that what is read from now on is read through the
// kernel's own page tables, if they are made.
func (s *Session) refreshTables() error {
	if s.unmade == nil || !s.unmade.made() {
		return nil
	}
	space := s.unmade.space
	s.unmade = nil
	return s.useTables(space)
}
