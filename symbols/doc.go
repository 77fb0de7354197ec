// Package symbols reads what a kernel's debug build says about it: functions
// with their clones and parts, section symbols, types and member offsets,
// the build ID, and how to unwind; from vmlinux and from module files, and
// for modules without files from the guest's own tables.
//
// All addresses of an Image are link addresses; Space adds the KASLR slide
// and the loaded modules. DWARF is read by debug/dwarf (which, other than
// delve's readers, does both byte orders), only in the compilation units
// that are asked for: a stock vmlinux has 160 MB of it.
package symbols
