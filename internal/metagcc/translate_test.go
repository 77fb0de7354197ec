package main

import (
	"strings"
	"testing"
)

// fn wraps instructions as GCC writes a function.
func fn(lines ...string) string {
	return "\t.type\t_f, @function\n_f:\n\t" + strings.Join(lines, "\n\t") + "\n\t.size\t_f, .-_f\n"
}

func TestTranslate(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want []string
	}{
		"a function that calls": {
			[]string{"addi\tsp,sp,-12", "sw\tra,8(sp)", "sw\ts0,4(sp)", "call\t_g", "lw\ts0,4(sp)", "lw\tra,8(sp)", "addi\tsp,sp,12", "jr\tra"},
			[]string{
				"MOV\tD0FrT,A0FrP", "SETL\t[A0StP++],D0FrT,D1RtP", "SUB\tA0FrP,A0StP,#8", "ADD\tA0StP,A0StP,#16",
				"SETD\t[A0StP+#-8],D0.5", "CALLR\tD1RtP,_g", "MOV\tD1Ar1,D0Re0", "MOV\tD0Ar2,D1Re0",
				"GETD\tD0.5,[A0StP+#-8]",
				"GETL\tD0FrT,D1RtP,[A0FrP]", "MOV\tA0StP,A0FrP", "MOV\tA0FrP,D0FrT",
				"MOV\tD0Re0,D1Ar1", "MOV\tD1Re0,D0Ar2", "MOV\tPC,D1RtP",
			},
		},
		"a leaf's frame": {
			[]string{"addi\tsp,sp,-1024", "mv\ta5,sp", "addi\ta0,sp,4", "addi\tsp,sp,1024"},
			[]string{"ADD\tA0StP,A0StP,#1024", "MOV\tD0Ar6,A0StP", "ADD\tD0Ar6,D0Ar6,#-1024", "MOV\tD1Ar1,A0StP", "ADD\tD1Ar1,D1Ar1,#-1020", "SUB\tA0StP,A0StP,#1024"},
		},
		"a frame in two steps": {
			[]string{
				"addi\tsp,sp,-16", "sw\tra,12(sp)", "sw\ts0,8(sp)", "li\tt0,-4096", "addi\tt0,t0,-16", "add\tsp,sp,t0", "sw\ta0,0(sp)",
				"sw\tra,4108(sp)", "li\tt0,4112", "add\tsp,sp,t0", "lw\ts0,8(sp)", "lw\tra,12(sp)", "addi\tsp,sp,16",
			},
			[]string{
				"MOV\tD0FrT,A0FrP", "SETL\t[A0StP++],D0FrT,D1RtP", "SUB\tA0FrP,A0StP,#8", "ADD\tA0StP,A0StP,#4128",
				"SETD\t[A0StP+#-8],D0.5", "MOV\tD0.6,#-4096", "ADD\tD0.6,D0.6,#-16", "MOV\tA0.2,A0StP", "ADD\tA0.2,A0.2,#-4128", "SETD\t[A0.2],D1Ar1",
				"SETD\t[A0StP+#-20],D1RtP", "MOV\tD0.6,#4112", "GETD\tD0.5,[A0StP+#-8]",
				"GETL\tD0FrT,D1RtP,[A0FrP]", "MOV\tA0StP,A0FrP", "MOV\tA0FrP,D0FrT",
			},
		},
		"two ends": {
			[]string{"addi\tsp,sp,-8", "addi\tsp,sp,8", "jr\tra", "sw\ta0,4(sp)"},
			[]string{"ADD\tA0StP,A0StP,#8", "SUB\tA0StP,A0StP,#8", "MOV\tD0Re0,D1Ar1", "MOV\tD1Re0,D0Ar2", "MOV\tPC,D1RtP", "SETD\t[A0StP+#-4],D1Ar1"},
		},
		"memory at a symbol": {
			[]string{"lw\ta0,_x", "sh\ta0,_x+2,a4"},
			[]string{
				"MOVT\tA0.2,#HI(_x)", "ADD\tA0.2,A0.2,#LO(_x)", "GETD\tD1Ar1,[A0.2]",
				"MOVT\tA0.2,#HI(_x+2)", "ADD\tA0.2,A0.2,#LO(_x+2)", "SETW\t[A0.2],D1Ar1",
			},
		},
		"memory": {
			[]string{"lw\ta0,124(a1)", "lw\ta0,128(a1)", "lbu\ta0,-3(a2)", "lh\ta0,2(a0)", "sw\tzero,0(a0)"},
			[]string{
				"GETD\tD1Ar1,[D0Ar2+#124]", "MOV\tA0.2,D0Ar2", "ADD\tA0.2,A0.2,#128", "GETD\tD1Ar1,[A0.2]",
				"GETB\tD1Ar1,[D1Ar3+#-3]", "GETW\tD1Ar1,[D1Ar1+#2]", "XSDW\tD1Ar1,D1Ar1", "MOV\tD0Re0,#0", "SETD\t[D1Ar1],D0Re0",
			},
		},
		"numbers": {
			[]string{"li\ta0,-1", "li\ta0,65535", "li\ta0,-65536", "li\ta0,305419896", "lla\ta0,_x+4"},
			[]string{"MOV\tD1Ar1,#-1", "MOV\tD1Ar1,#65535", "MOVT\tD1Ar1,#0xffff", "MOVT\tD1Ar1,#0x1234", "ADD\tD1Ar1,D1Ar1,#0x5678", "MOVT\tD1Ar1,#HI(_x+4)", "ADD\tD1Ar1,D1Ar1,#LO(_x+4)"},
		},
		"arithmetic": {
			[]string{"add\ta0,a1,a2", "addi\ta0,a0,-5", "addi\ta0,a1,-5", "andi\ta0,a1,0xff", "sll\ta0,a1,a2", "neg\ta0,a1", "not\ta0,a0", "sltu\ta0,a1,a2", "seqz\ta0,a1"},
			[]string{
				"ADD\tD1Ar1,D0Ar2,D1Ar3", "ADD\tD1Ar1,D1Ar1,#-5", "MOV\tD1Ar1,D0Ar2", "ADD\tD1Ar1,D1Ar1,#-5", "AND\tD1Ar1,D0Ar2,#255",
				"MOV\tD0Re0,D1Ar3", "LSL\tD1Ar1,D0Ar2,D0Re0", "MOV\tD1Ar1,D0Ar2", "NEG\tD1Ar1,D1Ar1", "XOR\tD1Ar1,D1Ar1,#-1",
				"CMP\tD0Ar2,D1Ar3", "MOV\tD1Ar1,#0", "ADDLO\tD1Ar1,D1Ar1,#1", "CMP\tD0Ar2,#0", "MOV\tD1Ar1,#0", "ADDEQ\tD1Ar1,D1Ar1,#1",
			},
		},
		"branches": {
			[]string{"beq\ta0,zero,.L1", "bgtu\ta0,a1,.L1", "bltz\ta0,.L1", "j\t.L1", "tail\t_g", "jalr\ta5"},
			[]string{"CMP\tD1Ar1,#0", "BEQ\t.L1", "CMP\tD1Ar1,D0Ar2", "BHI\t.L1", "CMP\tD1Ar1,#0", "BLT\t.L1", "B\t.L1", "B\t_g", "MOV\tD1RtP,D0Ar6", "SWAP\tPC,D1RtP", "MOV\tD1Ar1,D0Re0", "MOV\tD0Ar2,D1Re0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := translate(fn(c.in...))
			if err != nil {
				t.Fatal(err)
			}
			if want := "\t.type\t_f, @function\n_f:\n\t" + strings.Join(c.want, "\n\t") + "\n\t.size\t_f, .-_f\n"; got != want {
				t.Errorf("it is\n%swant\n%s", got, want)
			}
		})
	}
}

func TestDirectives(t *testing.T) {
	got, err := translate("\t.option nopic\n\t.align\t2\n\t.section\t.debug_frame,\"\",@progbits\n\t.4byte\t1\n\t.text\n\t.word\t2\n")
	if want := "\t.p2align\t2\n\t.text\t\n\t.4byte\t2\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestRefused(t *testing.T) {
	for name, in := range map[string]string{
		"a division":           fn("rem\ta0,a0,a1"),
		"an unknown register":  fn("mv\ta0,a6"),
		"a larger frame again": fn("addi\tsp,sp,-16", "addi\tsp,sp,16", "addi\tsp,sp,-32"),
		"another's step":       fn("addi\tsp,sp,-16", "li\tt1,-4096", "addi\tt0,t0,-16", "add\tsp,sp,t0"),
		"a step not known":     fn("addi\tsp,sp,-16", "sub\tt0,a0,a1", "add\tsp,sp,t0"),
		"arguments on a stack": fn("addi\tsp,sp,-16", "lw\ta0,16(sp)"),
		"another frame's size": fn("addi\tsp,sp,-16", "addi\tsp,sp,32"),
		"a symbol's low part":  fn("lw\ta0,%lo(x)(a0)"),
		"too large a number":   fn("li\ta0,4294967296"),
	} {
		if got, err := translate(in); err == nil {
			t.Errorf("%s became\n%s", name, got)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add(fn("addi\tsp,sp,-16", "sw\tra,12(sp)", "lw\ta0,4(a1)"))
	f.Add("\t.section\t.debug_frame\n_f:\n\tjalr\n\tsw\n")
	f.Fuzz(func(t *testing.T, s string) { _, _ = translate(s) })
}
