// Package leak is the session: it joins a machine, a kernel's symbols, the
// tracker and the scanner, and makes reports.
//
// A Session is the machine's hv.Handler. It finds the KASLR slide when the
// kernel is entered, checks the build ID when the kernel's C code begins,
// follows modules as they come and go, and scans memory as it was when all
// vCPUs were paused: at the guest's end before it happens, at intervals, or
// when asked.
package leak
