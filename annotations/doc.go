// Package annotations says which objects are not judged as leaks although
// nothing refers to them: what Linux's own source marks so, by calls of
// kmemleak_not_leak and its like that a stock build compiles out, and what a
// user wants suppressed.
//
// Both are rules in one text format (docs/annotations.md). Linux's marks are
// in linux.rules, by call site: the function that makes the mark, and the
// functions through which it allocates the marked object, so that no other
// allocation below it is covered. Rules match by the names in a backtrace,
// never by a kernel's version; a kernel without those functions is simply not
// affected.
//
// A name in a backtrace is a symbol's: functions that were inlined or that
// ended in a tail call are not there. Hence a rule names the functions that
// may be passed through, none of which must be, and where a static function
// makes the mark, those that it may have been inlined into.
package annotations
