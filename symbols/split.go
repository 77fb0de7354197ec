package symbols

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"path/filepath"
)

// debugDir is where distributions put separate debug information.
const debugDir = "/usr/lib/debug"

// withDebug returns the image of the file that im's debug information was
// split off to (objcopy --only-keep-debug), with im for its code; im itself
// where it is whole, or where there is no such file. The error says which file
// should have been it and was not.
func (im *Image) withDebug(o *Options) (*Image, error) {
	if im.HasDebugInfo() || im.buildID == nil {
		return im, nil
	}
	var missed error
	for _, path := range im.debugFiles(o) {
		debug, err := openFile(path, o)
		if err != nil {
			continue
		}
		switch {
		case !bytes.Equal(debug.buildID, im.buildID):
			err = fmt.Errorf("%s: the build ID is %x, and that of %s %x", path, debug.buildID, im.path, im.buildID)
		case !debug.HasDebugInfo():
			err = fmt.Errorf("%s: %w", path, ErrNoDebugInfo)
		default:
			debug.takeCode(im)
			return debug, nil
		}
		_ = debug.unmap()
		if missed == nil {
			missed = err
		}
	}
	return im, missed
}

// debugFiles are where GDB looks for separate debug information ("Debugging
// Information in Separate Files" in its manual).
func (im *Image) debugFiles(o *Options) []string {
	dir := o.DebugDir
	if dir == "" {
		dir = debugDir
	}
	path := im.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	id, own := hex.EncodeToString(im.buildID), filepath.Dir(path)
	files := []string{path + ".debug"}
	if s := im.named(".gnu_debuglink"); s != nil {
		if b, err := im.content(s); err == nil {
			name, _, _ := bytes.Cut(b, []byte{0}) // a checksum follows
			if base := filepath.Base(string(name)); len(name) > 0 && base == string(name) {
				files = append(files, filepath.Join(own, base), filepath.Join(own, ".debug", base), filepath.Join(dir, own, base))
			}
		}
	}
	return append(files, filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug"))
}

// takeCode makes code, the file that im was split off from, that from which
// the content of im's empty sections is read.
func (im *Image) takeCode(code *Image) {
	im.code = code
	for i := range im.sections {
		s := &im.sections[i]
		if !s.nobits {
			continue
		}
		if c := code.named(s.name); c != nil && c.addr == s.addr && c.size == s.size {
			s.from, s.nobits = c, false
		}
	}
}

// CheckKernel says whether the file is enough of a kernel: it needs debug
// information and code. The error wraps ErrNoDebugInfo or ErrNoContent.
func (im *Image) CheckKernel() error {
	if !im.HasDebugInfo() {
		return im.noDebugInfo()
	}
	text, err := im.Symbol("_text")
	if err == nil {
		err = im.Read(text.Addr, make([]byte, 1))
	}
	if err != nil {
		return fmt.Errorf("%w; if only debug information was kept in this file, give the one that it was split off from, and name this one as that with .debug behind", err)
	}
	return nil
}

func (im *Image) noDebugInfo() error {
	if im.named(".zdebug_info") != nil {
		return fmt.Errorf("%s: %w that is not compressed in GNU's old way (.zdebug_info); undo it by objcopy --decompress-debug-sections", im.path, ErrNoDebugInfo)
	}
	return fmt.Errorf("%s: %w: give the file from the kernel's debug symbol package, or build with CONFIG_DEBUG_INFO", im.path, ErrNoDebugInfo)
}
