// Package guestmem reads guest memory: physical RAM of a live guest, of a
// dump or of a fake, and virtual address spaces over it through the one
// page-table walker, which arch rows drive.
//
// Guest memory is hostile input. Reads return errors, never panic, and never
// translate once and read past the page. Guest virtual and guest physical
// addresses are distinct types; ranges are half open.
package guestmem
