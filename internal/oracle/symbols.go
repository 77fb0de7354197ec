package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"sort"
)

// dataSymbols are a kernel's variables by address.
type dataSymbols struct{ list []elf.Symbol }

func readDataSymbols(vmlinux string) (_ *dataSymbols, err error) {
	f, err := elf.Open(vmlinux)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	all, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vmlinux, err)
	}
	d := &dataSymbols{}
	for _, s := range all {
		if elf.ST_TYPE(s.Info) == elf.STT_OBJECT && s.Size > 0 {
			d.list = append(d.list, s)
		}
	}
	sort.SliceStable(d.list, func(i, j int) bool { return d.list[i].Value < d.list[j].Value })
	return d, nil
}

// name names the variable at a link address.
func (d *dataSymbols) name(addr uint64) (string, bool) {
	i := sort.Search(len(d.list), func(i int) bool { return d.list[i].Value > addr }) - 1
	if i < 0 || addr-d.list[i].Value >= d.list[i].Size {
		return "", false
	}
	return fmt.Sprintf("%s+%#x", d.list[i].Name, addr-d.list[i].Value), true
}
