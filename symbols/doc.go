// Package symbols reads what a kernel's debug build says about it: functions
// with their clones and parts, section symbols, types and member offsets,
// source lines, the build ID, and how to unwind; from vmlinux and from module
// files, and for modules without files from the guest's own tables.
//
// All addresses of an Image are link addresses; Space adds the KASLR slide
// and the loaded modules. The file is mapped, and of a vmlinux's 160 MB of
// DWARF only the compilation units are read that are asked for: so name the
// functions near which a type is wanted. What was found is cached by build
// ID.
//
// DWARF is read by debug/dwarf, which does both byte orders, and CFI by
// delve's frame reader, which does little-endian only. Files are hostile
// input: whatever is in them ends in an error.
package symbols
