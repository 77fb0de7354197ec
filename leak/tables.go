package leak

import (
	"context"
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/kernel"
)

// findTables makes the reader of the kernel's memory: through its own page
// tables or, as long as those are not made (most architectures make them in
// setup_arch), as a vCPU sees the memory at its start. The guest is paused.
func (s *Session) findTables() error {
	var errs error
	for cpu := range s.m.VCPUs() {
		regs, err := s.m.Registers(context.Background(), cpu)
		if err == nil {
			var seen *guestmem.AddressSpace
			if seen, err = guestmem.FromRegisters(s.m.Memory(), s.arch, regs); err == nil {
				if err = s.useTables(seen); err == nil {
					return nil
				}
			}
		}
		errs = errors.Join(errs, err)
	}
	return fmt.Errorf("finding the kernel's page tables: %w", errs)
}

// useTables is findTables for what a vCPU sees.
func (s *Session) useTables(seen *guestmem.AddressSpace) error {
	var errs error
	for _, name := range s.arch.Paging.RootSymbols {
		root, err := s.space.Addr(name)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		gpa, _, err := seen.Translate(root)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		own := seen.WithRoot(gpa)
		at, _, err := own.Translate(root)
		s.ownTables = err == nil && at == gpa
		if own, err = s.bounded(own); err != nil {
			s.ownTables = false
		}
		s.kmem = own
		if !s.ownTables {
			s.kmem = seen
		}
		if s.kernel, err = kernel.New(s.kmem, s.m.Memory(), s.img, s.slide); err != nil {
			return err
		}
		s.live.Store(&guest{s.kmem, s.kernel})
		return nil
	}
	return errs
}

// bounded returns the address space with the end of what is mapped without
// tables where the kernel has it. It errs as long as that is not known.
func (s *Session) bounded(space *guestmem.AddressSpace) (*guestmem.AddressSpace, error) {
	name := s.arch.Paging.LinearEnd
	if name == "" {
		return space, nil
	}
	at, err := s.space.Addr(name)
	if err != nil {
		return space, err
	}
	b := make([]byte, s.arch.WordSize)
	if err := guestmem.Read(space, at, b); err != nil {
		return space, err
	}
	end := s.arch.Word(b)
	if end == 0 {
		return space, fmt.Errorf("%s is not set yet", name)
	}
	// Some have the last address in it (microblaze).
	page := uint64(1) << s.arch.Paging.PageShift
	return space.WithLinearEnd(guestmem.GVA((end + page - 1) &^ (page - 1))), nil
}

// refreshTables makes sure that what is read from now on is read through the
// kernel's own page tables, if they are made.
func (s *Session) refreshTables() error {
	if s.ownTables {
		return nil
	}
	return s.paused(context.Background(), s.findTables)
}
