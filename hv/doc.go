// Package hv defines machines: what runs a guest and tells what it does.
//
// Machine is what every backend can do: give memory, pause, resume, read
// registers. Other abilities are interfaces of their own. hv/qemu starts
// qemu-system and learns of allocator calls by a TCG plugin; further
// backends stand beside it. A backend knows addresses and registers, never
// symbols: a hook is an address, and what it means is package hooks' affair.
package hv
