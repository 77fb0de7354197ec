//go:build linux && amd64

package kvm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// needKVM skips where this host has no KVM.
func needKVM(t testing.TB) *Capabilities {
	t.Helper()
	c, err := Probe(t.Context())
	if errors.Is(err, ErrUnsupported) {
		t.Skipf("needs %s: %v", DefaultDevice, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProbe(t *testing.T) {
	c := needKVM(t)
	t.Log(c)
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenDeviceErrors(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "absent"), plain} {
		if _, err := openDevice(path); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: error %v", path, err)
		}
	}
}
