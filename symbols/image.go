package symbols

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/all"
)

// Options are choices for opening an image. The zero value and nil are the
// defaults.
type Options struct {
	// CacheDir is the folder for what is expensive to compute, kept by build
	// ID. Empty: no cache.
	CacheDir string
	// Logger is told of a cache that cannot be written; nil for nobody.
	Logger *slog.Logger
	// DebugDir is the folder in which separate debug information is found by
	// build ID, in .build-id; empty for /usr/lib/debug.
	DebugDir string
	// Archs are the known architectures; nil for all of arch/all.
	Archs []*arch.Arch
}

// Image is an open vmlinux or module file. Its methods may be called from
// several goroutines; what they return stays valid after Close, but no method
// may be called then.
type Image struct {
	path   string
	data   []byte
	mapped bool
	code   *Image // the file that this one was split off from, or nil
	elf    *elf.File
	arch   *arch.Arch
	log    *slog.Logger

	sections []section // of the ELF file, in its order
	byAddr   []int     // allocated sections, by address
	buildID  []byte
	syms     *symtab
	cache    *cache

	dwarfOnce sync.Once
	dwarf     *debugInfo
	dwarfErr  error

	mu       sync.Mutex // of what follows
	unpacked map[int][]byte
	lines    map[int]lineTable
	layouts  map[string]*Struct // by key in the cache
}

// Open opens a kernel's vmlinux or a module's .ko. The file is mapped, not
// read, and must not be changed before Close. The error wraps ErrNotELF,
// ErrTruncated, ErrCorrupt, ErrNoSymbols or ErrUnknownArch where one of these
// is the reason. Where debug information was split off, that file is found as
// GDB finds it. A file without debug information can be opened: what needs it
// gives ErrNoDebugInfo.
func Open(path string, o *Options) (*Image, error) {
	if o == nil {
		o = &Options{}
	}
	im, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	im, missed := im.withDebug(o)
	if err := im.index(o); err != nil {
		_ = im.unmap()
		return nil, errors.Join(err, missed)
	}
	return im, nil
}

func openFile(path string, o *Options) (*Image, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	im, err := newFile(path, data, o)
	if err != nil {
		_ = unix.Munmap(data)
		return nil, err
	}
	im.mapped = true
	return im, nil
}

// newImage is Open over the bytes of a file, which it keeps.
func newImage(name string, data []byte, o *Options) (*Image, error) {
	if o == nil {
		o = &Options{}
	}
	im, err := newFile(name, data, o)
	if err != nil {
		return nil, err
	}
	return im, im.index(o)
}

// newFile reads what a file's sections are.
func newFile(name string, data []byte, o *Options) (im *Image, err error) {
	defer guard(name, &err)()
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	archs := o.Archs
	if archs == nil {
		archs = all.Archs()
	}
	if err := checkHeader(name, data); err != nil {
		return nil, err
	}
	ef, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	im = &Image{path: name, data: data, elf: ef, log: log}
	if im.arch = arch.ELFOf(ef.FileHeader).Find(archs); im.arch == nil {
		return nil, fmt.Errorf("%s: %w: %v %v %v", name, ErrUnknownArch, ef.Machine, ef.Class, ef.Data)
	}
	if err := im.readSections(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	im.buildID = im.findBuildID()
	return im, nil
}

// index reads the symbols.
func (im *Image) index(o *Options) (err error) {
	defer guard(im.path, &err)()
	if im.syms, err = im.readSymtab(); err != nil {
		return fmt.Errorf("%s: %w", im.path, err)
	}
	im.cache = openCache(o.CacheDir, im.buildID, im.log)
	if adapt := im.arch.Adapt; adapt != nil && im.elf.Type != elf.ET_REL {
		im.arch = adapt(build{im})
	}
	return nil
}

// checkHeader tells the ways in which a file is not a whole ELF file apart,
// which debug/elf does not.
func checkHeader(name string, data []byte) error {
	if len(data) < 4 || string(data[:4]) != elf.ELFMAG {
		hint := "give the kernel's vmlinux with debug symbols"
		if len(data) > 0x206 && string(data[0x202:0x206]) == "HdrS" {
			// Documentation/arch/x86/boot.rst: the magic of a boot image.
			hint = "it is a compressed boot image (bzImage); give the matching vmlinux with debug symbols"
		}
		return fmt.Errorf("%s: %w: %s", name, ErrNotELF, hint)
	}
	truncated := func(what string) error {
		return fmt.Errorf("%s: %w: %s is missing; fetch or unpack the file again", name, ErrTruncated, what)
	}
	if len(data) < 64 {
		return truncated("the ELF header")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[5] == byte(elf.ELFDATA2MSB) {
		order = binary.BigEndian
	}
	var off, size, count uint64
	if data[4] == byte(elf.ELFCLASS64) {
		off, size, count = order.Uint64(data[40:]), uint64(order.Uint16(data[58:])), uint64(order.Uint16(data[60:]))
	} else {
		off, size, count = uint64(order.Uint32(data[32:])), uint64(order.Uint16(data[46:])), uint64(order.Uint16(data[48:]))
	}
	if off == 0 {
		return fmt.Errorf("%s: %w: it has no section headers; give the kernel's vmlinux with debug symbols", name, ErrNoSymbols)
	}
	if end := off + max(count, 1)*size; end < off || end > uint64(len(data)) {
		return truncated("the section header table")
	}
	return nil
}

// Close releases the file, and writes the cache if it has something new.
func (im *Image) Close() error {
	im.cache.save()
	return im.unmap()
}

func (im *Image) unmap() (err error) {
	if im.code != nil {
		err = im.code.unmap()
	}
	if !im.mapped {
		return err
	}
	im.mapped = false
	data := im.data
	im.data = nil
	return errors.Join(err, unix.Munmap(data))
}

// Path returns the name under which the image was opened.
func (im *Image) Path() string { return im.path }

// Arch returns the architecture of the image.
func (im *Image) Arch() *arch.Arch { return im.arch }

// BuildID returns the GNU build ID, nil if the file has none.
func (im *Image) BuildID() []byte { return bytes.Clone(im.buildID) }

// Section returns the link address and size of an allocated section. In a
// module file, which has no addresses yet, sections are laid out one after
// the other from the address zero up.
func (im *Image) Section(name string) (addr, size uint64, err error) {
	for _, i := range im.byAddr {
		if s := &im.sections[i]; s.name == name {
			return s.addr, s.size, nil
		}
	}
	return 0, 0, fmt.Errorf("%s: section %s: %w", im.path, name, ErrNotFound)
}

// Read fills buf with the file's content at a link address. It wraps
// ErrNoContent where the file has none: outside all sections, in .bss, or in
// a file from which the code was stripped.
func (im *Image) Read(addr uint64, buf []byte) (err error) {
	defer guard(im.path, &err)()
	for len(buf) > 0 {
		s := im.sectionAt(addr)
		if s == nil || s.nobits {
			return fmt.Errorf("%s: address %#x: %w", im.path, addr, ErrNoContent)
		}
		b, err := im.content(s)
		if err != nil {
			return err
		}
		at := addr - s.addr
		if at >= uint64(len(b)) {
			return fmt.Errorf("%s: address %#x: %w", im.path, addr, ErrNoContent)
		}
		n := copy(buf, b[at:])
		buf, addr = buf[n:], addr+uint64(n)
	}
	return nil
}

func (im *Image) sectionAt(addr uint64) *section {
	i := sort.Search(len(im.byAddr), func(i int) bool { return im.sections[im.byAddr[i]].addr > addr })
	for i--; i >= 0; i-- {
		s := &im.sections[im.byAddr[i]]
		if addr-s.addr < s.size {
			return s
		}
		if s.size > 0 {
			return nil
		}
	}
	return nil
}

// Release returns the kernel release, as uname -r prints it, from the banner
// that every vmlinux holds.
func (im *Image) Release() (string, error) {
	const prefix = "Linux version " // init/version.c
	s, err := im.Symbol("linux_banner")
	if err != nil {
		return "", err
	}
	buf := make([]byte, 256)
	for len(buf) > len(prefix) && im.Read(s.Addr, buf) != nil {
		buf = buf[:len(buf)/2]
	}
	if !bytes.HasPrefix(buf, []byte(prefix)) {
		return "", fmt.Errorf("%s: linux_banner: %w", im.path, ErrNoContent)
	}
	release, _, ok := bytes.Cut(buf[len(prefix):], []byte(" "))
	if !ok {
		return "", fmt.Errorf("%s: linux_banner: %w", im.path, ErrCorrupt)
	}
	return string(release), nil
}

// notFound makes the error of a name that the image lacks.
func (im *Image) notFound(kind, name string) error {
	return fmt.Errorf("%s: %s %s: %w", im.path, kind, name, ErrNotFound)
}

// known says whether err is an answer rather than a failure to find one.
func known(err error) bool { return err == nil || errors.Is(err, ErrNotFound) }
