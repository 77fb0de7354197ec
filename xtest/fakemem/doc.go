// Package fakemem is a sparse guest memory for tests: pages come into being
// when they are written, and reads elsewhere fail as on a guest. Views end at
// page ends, so that readers meet split values.
package fakemem
