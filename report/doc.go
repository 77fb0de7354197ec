// Package report is the result of a run and the ways to print it: one model
// ([Report]) and one function for each format. A writer never judges, filters
// or counts anew; what a format cannot carry it leaves out.
//
// The text format is a header, each line of which begins with "leakvisor: ",
// and then kmemleak's own text, one record for each orphan, as mm/kmemleak.c
// prints it since 2026 ([Style] gives the older forms), each after the line
// "BUG: memory leak", as syzkaller's executor does. So the parsers that
// exist for kmemleak's text read it as it is. The header avoids what those
// parsers search for: "BUG:", "panic:", "unreferenced object" and the like.
//
// The JSON format is described by docs/report.schema.json. [ParseKmemleak]
// reads kmemleak's text back into the model, to compare with an in-guest
// kmemleak.
//
// Names, reasons and bytes are from a guest that may be hostile: control
// characters are escaped, so that no guest can forge a line.
package report
