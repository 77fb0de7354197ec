// Package imports has no code, only tests of how the others are put together:
// which may import which, as docs/architecture.md draws it, and the house rules
// that a compiler does not know.
package imports
