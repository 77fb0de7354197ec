package arm

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func TestFollow(t *testing.T) {
	tests := []struct {
		name   string
		f      arch.Follower
		from   string
		code   []uint32
		follow string
	}{
		{"A64 kept", text64{}, "x0", []uint32{0xaa0003f3, 0xb4000060}, "[{0 [x0]} {4 [x0 x19]}]"},  // mov x19, x0; cbz x0
		{"A64 overwritten", text64{}, "x0", []uint32{0xd2800000, 0x14000000}, "[{0 [x0]} {4 []}]"}, // mov x0, #0
		{"A64 stored", text64{}, "x0", []uint32{0xf9000a60, 0xf9400e60}, "[{0 [x0]} {4 [x0]} {8 []}]"},
		{"A64 call", text64{}, "x0", []uint32{0x94000000}, "[{0 [x0]}]"},
		{"A32 subs", text32{}, "r0", []uint32{0xe2504000, 0x0a000000}, "[{0 [r0]} {4 [r0 r4]}]"}, // subs r4, r0, #0; beq
		{"A32 mov, cmp", text32{}, "r0", []uint32{0xe1a04000, 0xe3500000, 0xebfffffe}, "[{0 [r0]} {4 [r0 r4]} {8 [r0 r4]}]"},
		{"A32 loaded", text32{}, "r0", []uint32{0xe5940008}, "[{0 [r0]} {4 []}]"},    // ldr r0, [r4, #8]
		{"A32 condition", text32{}, "r0", []uint32{0x13a00000}, "[{0 [r0]} {4 []}]"}, // movne r0, #0
		{"no such register", text32{}, "x0", []uint32{0xe1a04000}, "[]"},
	}
	for _, tt := range tests {
		var code []byte
		for _, w := range tt.code {
			code = binary.LittleEndian.AppendUint32(code, w)
		}
		if got := fmt.Sprint(tt.f.Follow(code, tt.from)); got != tt.follow {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.follow)
		}
	}
}
