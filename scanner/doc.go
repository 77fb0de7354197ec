// Package scanner judges which live allocations are still referenced.
//
// It follows the Linux kernel's own detector (mm/kmemleak.c, 2009 to 2026):
// words are read at natural alignment from the roots; a word that points
// anywhere into an object, its first byte included and the byte behind its
// end not, is a reference to it, except from within the object itself; what
// is referenced is scanned in turn. What nothing reaches is an orphan. Unlike
// the kernel's, this scan is of a paused guest, so one is enough, and memory
// that cannot be read makes a verdict "unknown" instead of a guess.
//
// The trap: an unreadable page matters only where it could hold the missing
// reference, that is in a root or in a reachable object. Every orphan is then
// unknown, since any of them could hang on it. A page that is unreadable in
// an orphan hides nothing: an orphan makes nobody reachable.
//
// Objects, roots and memory are hostile input: any addresses, sizes,
// overlaps and wraparounds are legal and give a defined result.
package scanner
