package qemu

import "testing"

func TestParseHostAddress(t *testing.T) {
	host, err := parseHostAddress("Host virtual address for 0x90000000 (board.ram) is 0x7f2d4be00000\r\n")
	if err != nil || host != 0x7f2d4be00000 {
		t.Errorf("%#x, %v", host, err)
	}
	for _, bad := range []string{
		"", "No memory is mapped at address 0x90000000", "Memory at address 0x0 is not RAM",
		"Host virtual address for 0x0 (x) is 0x0", "Host virtual address for 0x0 (x) is 0xzz",
	} {
		if host, err := parseHostAddress(bad); err == nil {
			t.Errorf("%q: %#x", bad, host)
		}
	}
}
