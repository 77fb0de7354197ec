// Package programs runs C programs without a kernel on the interpreters of
// hv/emu, for their tests: random ones by csmith have to print what they print
// on the host.
//
// Its folder c has what they want of a C library.
package programs
