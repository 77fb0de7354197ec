package qemu

import (
	"errors"
	"maps"
	"testing"
)

func TestParseTarget(t *testing.T) {
	files := map[string]string{
		"target.xml": `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">` +
			`<target><architecture>x</architecture><xi:include href="core.xml"/><xi:include href="system.xml"/></target>`,
		"core.xml":   `<feature name="core"><reg name="r0" bitsize="32"/><reg name="pc" bitsize="32"/></feature>`,
		"system.xml": `<feature name="system"><reg name="SP_EL0" bitsize="64" regnum="71"/><reg name="TTBR1_EL1" bitsize="64"/></feature>`,
		"broken.xml": `<feature`,
	}
	read := func(name string) (string, error) { return files[name], nil }
	got, err := parseTarget(read)
	if want := map[string]int{"r0": 0, "pc": 1, "SP_EL0": 71, "TTBR1_EL1": 72}; err != nil || !maps.Equal(got, want) {
		t.Errorf("numbers %v, error %v", got, err)
	}
	for _, target := range []string{`<target><include href="target.xml"/></target>`, `<target><include href="broken.xml"/></target>`} {
		files["target.xml"] = target
		if _, err := parseTarget(read); !errors.Is(err, errGDB) {
			t.Errorf("%s: %v", target, err)
		}
	}
}
