package symbols

import (
	"errors"
	"slices"
	"testing"
)

// value reads a member of the variable that a testdata file holds, by the
// structure of the same name.
func value(t *testing.T, im *Image, name, path string) uint64 {
	t.Helper()
	s, err := im.Struct(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Field(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := im.Symbol(name)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, f.Size)
	if err := im.Read(v.Addr+f.Offset, b); err != nil {
		t.Fatal(err)
	}
	return f.Bits(im.Arch().Uint(b))
}

// TestValues reads initialized variables through their layouts, whatever the
// byte order and the version of DWARF.
func TestValues(t *testing.T) {
	for _, name := range linked {
		t.Run(name, func(t *testing.T) {
			im := open(t, name)
			for _, c := range []struct {
				in, path string
				want     uint64
			}{
				{"outer", "one.first", 0x11},
				{"outer", "one.low", 0x2233},
				{"outer", "one.high", 0x4455},
				{"outer", "many[2].first", 0x66},
				{"outer", "many[2].whole", 0x778899aa},
				{"outer", "grid[1][3]", 0xbbccddee},
				{"outer", "grid[0][0]", 0},
				{"outer", "refs.counter", 77},
				{"outer", "colour", 0xfffffffd},
				{"outer", "number", 0x0102030405060708},
				{"outer", "named.a", 9},
				{"outer", "named.b", 0xabcd},
				{"outer", "bit0", 1},
				{"outer", "bits3", 5},
				{"outer", "across", 0xabcde},
				{"outer", "wide", 0x123456789a},
				{"outer", "flags", 0x5a5a},
				{"packed", "byte", 0xee},
				{"packed", "a", 0x15},
				{"packed", "b", 0x1234},
				{"packed", "c", 0x2bcd},
				{"packed", "after", 0xf00d},
				{"orc_4_14", "type", 2},
				{"orc_4_14", "end", 1},
				{"orc_6_3", "sp_offset", 0xfff0},
				{"orc_6_3", "bp_reg", 4},
				{"orc_6_3", "signal", 1},
				{"orc_6_3", "end", 1},
				{"orc_entry", "type", 3},
				{"orc_entry", "signal", 1},
			} {
				if got := value(t, im, c.in, c.path); got != c.want {
					t.Errorf("%s.%s = %#x, want %#x", c.in, c.path, got, c.want)
				}
			}
		})
	}
}

func TestFields(t *testing.T) {
	im := open(t, "amd64.elf")
	s, err := im.Struct("outer", "function")
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "outer" || s.Union || s.Size != 168 {
		t.Errorf("outer: %s, union %v, %d bytes", s.Name, s.Union, s.Size)
	}
	for _, c := range []struct {
		path string
		want Field
	}{
		{"list", Field{Offset: 0, Size: 16, Type: "struct list_head"}},
		{"list.prev", Field{Offset: 8, Size: 8, Type: "struct list_head *"}},
		{"many", Field{Offset: 24, Size: 24, Count: 3, Type: "struct inner[3]"}},
		{"many[1]", Field{Offset: 32, Size: 8, Type: "struct inner"}},
		{"many[1].high", Field{Offset: 38, Size: 2, Type: "u16"}},
		{"grid", Field{Offset: 48, Size: 40, Count: 2, Type: "u32[2][5]"}},
		{"grid[1]", Field{Offset: 68, Size: 20, Count: 5, Type: "u32[5]"}},
		{"grid[1][4]", Field{Offset: 84, Size: 4, Type: "u32"}},
		{"pointer", Field{Offset: 88, Size: 8, Type: "void *"}},
		{"name", Field{Offset: 96, Size: 8, Type: "const char *"}},
		{"opaque", Field{Offset: 104, Size: 8, Type: "struct opaque *"}},
		{"twice", Field{Offset: 112, Size: 8, Type: "struct outer **"}},
		{"call", Field{Offset: 120, Size: 8, Type: "int (*)()"}},
		{"refs", Field{Offset: 128, Size: 4, Type: "volatile atomic_t"}},
		{"colour", Field{Offset: 132, Size: 4, Type: "enum colour"}},
		{"other.low", Field{Offset: 140, Size: 2, Type: "u16"}},
		{"tail", Field{Offset: 168, Size: 0, Type: "char[]"}},
		{"tail[7]", Field{Offset: 175, Size: 1, Type: "char"}},
	} {
		if got, err := s.Field(c.path); got != c.want || err != nil {
			t.Errorf("Field(%s) = %+v, %v; want %+v", c.path, got, err, c.want)
		}
	}
	for _, path := range []string{
		"", ".", "list.", ".list", "nothing", "list.nothing", "pointer.next", "list[0]", "many[3]", "many[-1]",
		"many[", "many[1", "many]", "many[1]x", "many.first", "grid[0][0][0]", "grid[0]x[1]", "call.x", "many[99999999999999999999]",
	} {
		if f, err := s.Field(path); !errors.Is(err, ErrNotFound) || s.Has(path) {
			t.Errorf("Field(%q) = %+v, %v", path, f, err)
		}
	}
	if !s.Has("many[0].first") {
		t.Error("Has")
	}
}

func TestStructKinds(t *testing.T) {
	for _, name := range append(modules, linked...) {
		t.Run(name, func(t *testing.T) {
			im := open(t, name)
			word := uint64(im.Arch().WordSize)
			for _, c := range []struct {
				name string
				near []string
				size uint64
			}{
				{"list_head", nil, 2 * word},
				{"struct list_head", nil, 2 * word},
				{"atomic_t", nil, 4},
				{"locked_t", nil, 4},
				{"only_two", nil, 4 * word},
				{"only_two", []string{"function"}, 4 * word}, // in another unit
				{"twin", []string{"twin_user"}, 4},
				{"twin", []string{"second"}, 3 * word},
				{"twin", []string{"missing", "second", "function"}, 3 * word},
			} {
				s, err := im.Struct(c.name, c.near...)
				if err != nil || s.Size != c.size {
					t.Errorf("Struct(%s, %s) = %+v, %v; want %d bytes", c.name, c.near, s, err, c.size)
				}
			}
			var ambiguous *AmbiguousError
			if _, err := im.Struct("twin"); !errors.As(err, &ambiguous) || ambiguous.What == "" {
				t.Errorf("Struct(twin): %v", err)
			}
			for _, none := range []string{"opaque", "u64", "flags_t", "colour", "outer.list", "", "union "} {
				if s, err := im.Struct(none); !errors.Is(err, ErrNotFound) {
					t.Errorf("Struct(%q) = %+v, %v", none, s, err)
				}
			}
		})
	}
}

func TestEnum(t *testing.T) {
	for _, name := range append(modules, linked...) {
		t.Run(name, func(t *testing.T) {
			im := open(t, name)
			for _, near := range [][]string{nil, {"function"}, {"second"}, {"missing"}} {
				for constant, want := range map[string]int64{"RED": 0, "GREEN": 5, "BLUE": -3, "ONLY_TWO": 17} {
					if v, err := im.Enum(constant, near...); v != want || err != nil {
						t.Errorf("Enum(%s, %s) = %d, %v; want %d", constant, near, v, err, want)
					}
				}
			}
			if _, err := im.Enum("colour"); !errors.Is(err, ErrNotFound) {
				t.Errorf("Enum(colour): %v", err)
			}
		})
	}
}

func TestInlined(t *testing.T) {
	for _, name := range append(modules, linked...) {
		t.Run(name, func(t *testing.T) {
			im := open(t, name)
			got, err := im.Inlined("inlined", "function")
			if err != nil || len(got) == 0 {
				t.Fatalf("Inlined = %+v, %v", got, err)
			}
			in := map[string]bool{}
			for _, r := range got {
				f, ok := im.FuncAt(r.Start)
				if !ok || r.End > f.Addr+f.Size || r.Size() == 0 {
					t.Errorf("copy %#x..%#x is not within a function (%+v)", r.Start, r.End, f)
				}
				in[f.Name] = true
			}
			if !in["function"] || !in["function.isra.0"] || len(in) != 2 {
				t.Errorf("inlined into %v", in)
			}
			if got, err := im.Inlined("function"); len(got) != 0 || err != nil {
				t.Errorf("Inlined(function) = %+v, %v", got, err)
			}
			if _, err := im.Inlined("inlined"); !errors.Is(err, ErrNotFound) {
				t.Errorf("without a function near: %v", err)
			}
			if _, err := im.Inlined("inlined", "second"); !errors.Is(err, ErrNotFound) {
				t.Errorf("near a function of another unit: %v", err)
			}
		})
	}
}

func TestLine(t *testing.T) {
	for _, name := range append(modules, linked...) {
		t.Run(name, func(t *testing.T) {
			im := open(t, name)
			for symbol, want := range map[string]string{"function": "one.c", "twin_user": "one.c", "second": "two.c"} {
				s, err := im.Symbol(symbol)
				if err != nil {
					t.Fatal(err)
				}
				for at := s.Addr; at < s.Addr+s.Size; at++ {
					file, line, ok := im.Line(at)
					if !ok || line == 0 || len(file) < 5 || file[len(file)-5:] != want {
						t.Fatalf("Line(%s+%d) = %s, %d, %v; want %s", symbol, at-s.Addr, file, line, ok, want)
					}
				}
			}
			if file, line, ok := im.Line(1); ok && !slices.Contains(modules, name) {
				t.Errorf("Line(1) = %s, %d", file, line)
			}
		})
	}
}
