package x86

import (
	"fmt"
	"testing"
)

func TestFollow(t *testing.T) {
	tests := []struct {
		name string
		bits int
		from string
		code []byte
		want string
	}{
		{"kept", 64, "rax", []byte{0x48, 0x89, 0xc3, 0x48, 0x85, 0xc0, 0x74, 0x10}, "[{0 [rax]} {3 [rax rbx]} {6 [rax rbx]}]"}, // mov %rax,%rbx; test; je
		{"arguments first", 64, "rax", []byte{0xbe, 0xc0, 0x0c, 0, 0, 0x49, 0x89, 0xc7, 0x31, 0xc0, 0xe8, 0, 0, 0, 0}, "[{0 [rax]} {5 [rax]} {8 [rax r15]} {10 [r15]}]"},
		{"stored, then another loaded", 64, "rax", []byte{0x48, 0x89, 0x43, 0x10, 0x48, 0x8b, 0x43, 0x18, 0x90}, "[{0 [rax]} {4 [rax]} {8 []}]"},
		{"half of it", 64, "rax", []byte{0x89, 0xc3, 0xc3}, "[{0 [rax]} {2 [rax]}]"},        // mov %eax,%ebx; ret
		{"a part is written", 64, "rax", []byte{0xb0, 1, 0x90}, "[{0 [rax]} {2 []}]"},       // mov $1,%al
		{"32 bits", 32, "eax", []byte{0x89, 0xc3, 0x0f, 0xa2}, "[{0 [eax]} {2 [eax ebx]}]"}, // mov %eax,%ebx; cpuid
		{"no such register", 32, "rax", []byte{0x90}, "[]"},
		{"nothing", 64, "rax", nil, "[{0 [rax]}]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint((text{bits: tt.bits}).Follow(tt.code, tt.from)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
