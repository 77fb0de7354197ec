package kernel

import (
	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/symbols"
)

// imageInfo is the debug information of a vmlinux.
type imageInfo struct{ im *symbols.Image }

var _ debugInfo = imageInfo{}

func (i imageInfo) arch() *arch.Arch { return i.im.Arch() }

// symbol finds a symbol; of several of one name that are not at one address,
// which Image.Symbol refuses to choose from, it finds none.
func (i imageInfo) symbol(name string) (symbols.Symbol, bool) {
	if name == "" {
		return symbols.Symbol{}, false
	}
	s, err := i.im.Symbol(name)
	return s, err == nil
}

func (i imageInfo) sized(name string, bytes uint64) (found symbols.Symbol, ok bool) {
	for _, s := range i.im.Symbols(name) {
		if s.Size != bytes {
			continue
		}
		if ok {
			return symbols.Symbol{}, false
		}
		found, ok = s, true
	}
	return found, ok
}

func (i imageInfo) structure(name string, near ...string) (structure, error) {
	s, err := i.im.Struct(name, near...)
	if err != nil {
		return nil, err
	}
	return imageStruct{s}, nil
}

func (i imageInfo) constant(name string, near ...string) (int64, error) {
	return i.im.Enum(name, near...)
}

type imageStruct struct{ s *symbols.Struct }

func (s imageStruct) field(path string) (symbols.Field, error) { return s.s.Field(path) }
func (s imageStruct) size() uint64                             { return s.s.Size }
