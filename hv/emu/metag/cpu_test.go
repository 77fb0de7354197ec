package metag

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/hv/emu"
	"github.com/leakvisor/leakvisor/xtest/programs"
)

// image is an ELF file that loads words to the start of RAM.
func image(words ...uint32) *bytes.Reader {
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	const head = 52 + 32
	put(elf.Header32{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_METAG), Version: 1,
		Entry: uint32(ramBase), Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: 1,
	})
	size := uint32(4 * len(words))
	put(elf.Prog32{Type: uint32(elf.PT_LOAD), Off: head, Vaddr: uint32(ramBase), Paddr: uint32(ramBase), Filesz: size, Memsz: size})
	put(words)
	return bytes.NewReader(b.Bytes())
}

// machine makes a machine of words and returns its CPUs too.
func machine(t testing.TB, smp int, words ...uint32) (*emu.Machine, []*cpu) {
	t.Helper()
	var cpus []*cpu
	isa := ISA()
	made := isa.NewCPU
	isa.NewCPU = func(bus *emu.Bus, breaks *emu.Breaks, vcpu int) emu.CPU {
		c := made(bus, breaks, vcpu)
		cpus = append(cpus, c.(*cpu))
		return c
	}
	m, err := emu.New(isa, &emu.Config{Kernel: image(words...), Memory: 1 << 20, SMP: smp})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, cpus
}

// data is where the tests' loads and stores go: bytes that count from 0x10.
const data = uint32(ramBase) + 0x1000

// Each instruction, what it is as objdump prints it, the state before it and
// what it changes. In a state, a register has a hexadecimal value or, before a
// load, data; f are the flags Z, N, V and C that are set, m+N the word N bytes
// behind data.
var semantics = map[string][]struct {
	word                uint32
	text, before, after string
}{
	"data unit: moves": {
		{0x020091a4, "MOV D0Re0,#0x1234", "D0Re0=ffffffff", "D0Re0=1234"},
		{0x0207fff6, "MOV D0Re0,#-2", "", "D0Re0=fffffffe"},
		{0x02020005, "MOVT D0Re0,#0x4000", "D0Re0=1", "D0Re0=40000000"},
		{0x0a000004, "MOVS D0Re0,#0", "D0Re0=7 f=NVC", "D0Re0=0 f=Z"},
		{0x00003405, "MOV D0Re0,A0.2", "A0.2=12345678", "D0Re0=12345678"},
	},
	"data unit: additions": {
		{0x02000080, "ADD D0Re0,D0Re0,#0x10", "D0Re0=fffffff8 f=N", "D0Re0=8"},
		{0x0207fffa, "ADD D0Re0,D0Re0,#-1", "D0Re0=1", "D0Re0=0"},
		{0x02000011, "ADDT D0Re0,D0Re0,#0x2", "D0Re0=1", "D0Re0=20001"},
		{0x00004400, "ADD D0Re0,D0Ar6,D0Ar4", "D0Ar6=2 D0Ar4=3", "D0Re0=5"},
		{0x00005601, "ADD D0Re0,D0Ar6,D1Ar1", "D0Ar6=2 D1Ar1=30", "D0Re0=32"},
		{0x08004400, "ADDS D0Re0,D0Ar6,D0Ar4", "D0Ar6=7fffffff D0Ar4=1", "D0Re0=80000000 f=NV"},
		{0x08004400, "ADDS D0Re0,D0Ar6,D0Ar4", "D0Ar6=ffffffff D0Ar4=1", "D0Re0=0 f=ZC"},
		{0x08004400, "ADDS D0Re0,D0Ar6,D0Ar4", "D0Ar6=80000000 D0Ar4=80000000", "D0Re0=0 f=ZVC"},
		{0x0c004422, "ADDSEQ D0Re0,D0Ar6,D0Ar4", "D0Ar6=1 D0Ar4=1 f=Z", "D0Re0=2 f="},
		{0x0c004422, "ADDSEQ D0Re0,D0Ar6,D0Ar4", "D0Ar6=1 D0Ar4=1 f=N", ""},
		{0x06007fc2, "ADDEQ D0Re0,D0Ar6,#0xff", "D0Ar6=1 f=Z", "D0Re0=100"},
		{0x061040e6, "ADD A0.2,D0Ar6,#0x3", "D0Ar6=1 f=N", "A0.2=4"},
	},
	"data unit: subtractions": {
		{0x10004400, "SUB D0Re0,D0Ar6,D0Ar4", "D0Ar6=2 D0Ar4=3 f=Z", "D0Re0=ffffffff"},
		{0x18004400, "SUBS D0Re0,D0Ar6,D0Ar4", "D0Ar6=2 D0Ar4=3", "D0Re0=ffffffff f=NC"},
		{0x18004400, "SUBS D0Re0,D0Ar6,D0Ar4", "D0Ar6=80000000 D0Ar4=1", "D0Re0=7fffffff f=V"},
		{0x1a000008, "SUBS D0Re0,D0Re0,#0x1", "D0Re0=1", "D0Re0=0 f=Z"},
		{0x10000204, "NEG D0Re0,D0Ar6", "D0Ar6=1", "D0Re0=ffffffff"},
		{0x18000204, "NEGS D0Re0,D0Ar6", "D0Ar6=80000000", "D0Re0=80000000 f=NVC"},
	},
	"data unit: logic": {
		{0x220007f8, "AND D0Re0,D0Re0,#0xff", "D0Re0=1234", "D0Re0=34"},
		{0x2207ffe2, "AND D0Re0,D0Re0,#-4", "D0Re0=12345677", "D0Re0=12345674"},
		{0x22000784, "ANDMB D0Re0,D0Re0,#0xf0", "D0Re0=12345678", "D0Re0=12340070"},
		{0x22000785, "ANDMT D0Re0,D0Re0,#0xf0", "D0Re0=12345678", "D0Re0=305678"},
		{0x2207f801, "ANDT D0Re0,D0Re0,#0xff00", "D0Re0=12345678", "D0Re0=12000000"},
		{0x28004400, "ANDS D0Re0,D0Ar6,D0Ar4", "D0Ar6=f0000000 D0Ar4=c0000000 f=VC", "D0Re0=c0000000 f=N"},
		{0x30004400, "OR D0Re0,D0Ar6,D0Ar4", "D0Ar6=1 D0Ar4=2", "D0Re0=3"},
		{0x32040001, "ORT D0Re0,D0Re0,#0x8000", "D0Re0=1", "D0Re0=80000001"},
		{0x40004400, "XOR D0Re0,D0Ar6,D0Ar4", "D0Ar6=3 D0Ar4=2", "D0Re0=1"},
		{0x4a0007f8, "XORS D0Re0,D0Re0,#0xff", "D0Re0=ff", "D0Re0=0 f=Z"},
	},
	"data unit: shifts": {
		{0x52004800, "LSL D0Re0,D0Ar6,#0x4", "D0Ar6=f0000001", "D0Re0=10"},
		{0x50004440, "LSR D0Re0,D0Ar6,D0Ar4", "D0Ar6=80000000 D0Ar4=24", "D0Re0=8000000"},
		{0x520048c0, "ASR D0Re0,D0Ar6,#0x4", "D0Ar6=80000000", "D0Re0=f8000000"},
		{0x5a004840, "LSRS D0Re0,D0Ar6,#0x4", "D0Ar6=18", "D0Re0=1 f=C"},
		{0x5a004200, "LSLS D0Re0,D0Ar6,#0x1", "D0Ar6=80000000", "D0Re0=0 f=ZC"},
		{0x580044c0, "ASRS D0Re0,D0Ar6,D0Ar4", "D0Ar6=80000000 D0Ar4=0 f=C", "D0Re0=80000000 f=N"},
		{0x56004804, "LSLNE D0Re0,D0Ar6,#0x4", "D0Ar6=1 f=Z", ""},
	},
	"data unit: multiplications": {
		{0x60004440, "MULD D0Re0,D0Ar6,D0Ar4", "D0Ar6=10001 D0Ar4=10001", "D0Re0=20001"},
		{0x60004400, "MULW D0Re0,D0Ar6,D0Ar4", "D0Ar6=1ffff D0Ar4=2ffff", "D0Re0=fffe0001"},
		{0x6207ffee, "MULD D0Re0,D0Re0,#-3", "D0Re0=5", "D0Re0=fffffff1"},
		{0x62000038, "MULW D0Re0,D0Re0,#0x7", "D0Re0=10003", "D0Re0=15"},
	},
	"data unit: bits, bytes and the least": {
		{0x70004420, "MIN D0Re0,D0Ar6,D0Ar4", "D0Ar6=ffffffff D0Ar4=1", "D0Re0=ffffffff f=N"},
		{0x70004424, "MAX D0Re0,D0Ar6,D0Ar4", "D0Ar6=ffffffff D0Ar4=1", "D0Re0=1 f=N"},
		{0x70004028, "ABS D0Re0,D0Ar6", "D0Ar6=ffffffff", "D0Re0=1 f="},
		{0x70004008, "NORM D0Re0,D0Ar6", "D0Ar6=1", "D0Re0=1e f="},
		{0x70004008, "NORM D0Re0,D0Ar6", "D0Ar6=80000000", "D0Re0=0 f=N"},
		{0x70004004, "FFB D0Re0,D0Ar6", "D0Ar6=100", "D0Re0=8 f="},
		{0x70004004, "FFB D0Re0,D0Ar6", "D0Ar6=0", "D0Re0=ffffffff f=Z"},
		{0xaa004000, "XSDB D0Re0,D0Ar6", "D0Ar6=180", "D0Re0=ffffff80"},
		{0xaa004002, "XSDW D0Re0,D0Ar6", "D0Ar6=18000", "D0Re0=ffff8000"},
		{0xaa004006, "RTDW D0Re0,D0Ar6", "D0Ar6=12345678", "D0Re0=56781234"},
		{0xaa004004, "BEXD D0Re0,D0Ar6", "D0Ar6=12345678", "D0Re0=78563412"},
		{0xaa004014, "BEXL D1Re0,D0Ar6", "D0Ar6=12345678 D1Ar5=9abcdef0", "D0Re0=f0debc9a D1Re0=78563412"},
	},
	"data unit: comparisons": {
		{0x70004400, "CMP D0Ar6,D0Ar4", "D0Ar6=2 D0Ar4=3", "f=NC"},
		{0x72080080, "CMP D0Ar6,#0x10", "D0Ar6=10", "f=Z"},
		{0x72080084, "CMPMB D0Ar6,#0x10", "D0Ar6=ffff0010", "f=Z"},
		{0x72080081, "CMPT D0Ar6,#0x10", "D0Ar6=100000", "f=Z"},
		{0x78004400, "TST D0Ar6,D0Ar4", "D0Ar6=2 D0Ar4=1 f=C", "f=Z"},
		{0x7a0c0001, "TSTT D0Ar6,#0x8000", "D0Ar6=80000000", "f=N"},
		{0x76004402, "CMPEQ D0Ar6,#0x10", "D0Ar6=10 f=N", ""},
	},
	"address unit": {
		{0x8610c426, "ADD A0.2,A0.3,#0x10", "A0.3=8", "A0.2=18"},
		{0x8217ffc2, "ADD A0.2,A0.2,#-8", "A0.2=8", "A0.2=0"},
		{0x82900100, "ADD A0.2,CPC0,#0x20", "", "A0.2=10000020"},
		{0x8810d201, "SUB A0.2,A0.3,D0Ar6", "A0.3=8 D0Ar6=9 f=Z", "A0.2=ffffffff"},
		{0x82120005, "MOVT A0.2,#0x4000", "", "A0.2=40000000"},
		{0x88100604, "NEG A0.2,A0.3", "A0.3=1", "A0.2=ffffffff"},
	},
	"between units": {
		{0xa308c400, "MOV TXRPT,D0Ar6", "D0Ar6=5", "TXRPT=5"},
		{0xa3180020, "MOV D0Re0,TXRPT", "TXRPT=5", "D0Re0=5"},
		{0xa9100078, "MOV TXSTATUS,#0xf", "", "TXSTATUS=f f=ZNVC"},
		{0xa3100020, "MOV D0Re0,TXSTATUS", "f=ZC", "D0Re0=9"},
		{0xa3180822, "MOVEQ D0Re0,D1Ar1", "D1Ar1=5 f=Z", "D0Re0=5"},
		{0xa3180822, "MOVEQ D0Re0,D1Ar1", "D1Ar1=5", ""},
		{0xa3000a20, "SWAP D0Re0,D1Re0", "D0Re0=1 D1Re0=2", "D0Re0=2 D1Re0=1"},
	},
	"loads": {
		{0xc6008062, "GETD D0Re0,[A0.2]", "A0.2=data", "D0Re0=13121110"},
		{0xc2008162, "GETB D0Re0,[A0.2+#1]", "A0.2=data D0Re0=ffffffff", "D0Re0=11"},
		{0xc3008162, "GETW D0Re0,[A0.2+#2]", "A0.2=data D0Re0=ffffffff", "D0Re0=1312"},
		{0xc7008062, "GETL D0Re0,D1Re0,[A0.2]", "A0.2=data", "D0Re0=13121110 D1Re0=17161514"},
		{0xc60081e3, "GETD D0Re0,[A0.2++]", "A0.2=data", "D0Re0=13121110 A0.2=10001004"},
		{0xc60081e2, "GETD D0Re0,[++A0.2]", "A0.2=data", "D0Re0=17161514 A0.2=10001004"},
		{0xc600bfe3, "GETD D0Re0,[A0.2--]", "A0.2=data", "D0Re0=13121110 A0.2=10000ffc"},
		{0xc60082e3, "GETD D0Re0,[A0.2+#8++]", "A0.2=data", "D0Re0=13121110 A0.2=10001008"},
		{0xc4008662, "GETD D0Re0,[A0.2+A0.3]", "A0.2=data A0.3=4", "D0Re0=17161514"},
		{0xc40086e3, "GETD D0Re0,[A0.2+A0.3++]", "A0.2=data A0.3=4", "D0Re0=13121110 A0.2=10001004"},
		{0xc61081e7, "GETD A0.2,[A0.2++]", "A0.2=data", "A0.2=13121110"},
		{0xa700206d, "GETD D0Re0,[A0FrP+#256]", "A0FrP=10000f00", "D0Re0=13121110"},
		{0xc90881e8, "MGETL D0Ar6,D0Ar4,D0Ar2,[A0.2++]", "A0.2=data", "D0Ar6=13121110 D1Ar5=17161514 D0Ar4=1b1a1918 D1Ar3=1f1e1d1c D0Ar2=23222120 D1Ar1=27262524 A0.2=10001018"},
		{0xc8008168, "MGETD D0Re0,D0Ar4,[A0.2++]", "A0.2=data", "D0Re0=13121110 D0Ar4=17161514 A0.2=10001008"},
	},
	"stores": {
		{0xb6088162, "SETD [A0.2+#4],D0Ar6", "A0.2=data D0Ar6=12345678", "m+4=12345678"},
		{0xb2088062, "SETB [A0.2],D0Ar6", "A0.2=data D0Ar6=12345678", "m+0=13121178"},
		{0xb3088062, "SETW [A0.2],D0Ar6", "A0.2=data D0Ar6=12345678", "m+0=13125678"},
		{0xb70881e3, "SETL [A0.2++],D0Ar6,D1Ar5", "A0.2=data D0Ar6=1 D1Ar5=2", "m+0=1 m+4=2 A0.2=10001008"},
		{0xb608bfe2, "SETD [--A0.2],D0Ar6", "A0.2=10001008 D0Ar6=1", "m+4=1 A0.2=10001004"},
		{0xa4088662, "SETDEQ [A0.2],D0Ar6", "A0.2=data D0Ar6=1 f=Z", "m+0=1"},
		{0xa4088662, "SETDEQ [A0.2],D0Ar6", "A0.2=data D0Ar6=1", ""},
		{0xb90881e8, "MSETL [A0.2++],D0Ar6,D0Ar4,D0Ar2", "A0.2=data D0Ar6=1 D1Ar5=2 D0Ar4=3 D1Ar3=4 D0Ar2=5 D1Ar1=6", "m+0=1 m+4=2 m+8=3 m+c=4 m+10=5 m+14=6 A0.2=10001018"},
		{0xb8088168, "MSETD [A0.2++],D0Ar6,D0Ar2", "A0.2=data D0Ar6=1 D0Ar2=2", "m+0=1 m+4=2 A0.2=10001008"},
	},
	"branches": {
		{0xa0000100, "B 0x10000020", "", "PC=10000020"},
		{0xa0000102, "BEQ 0x10000020", "f=Z", "PC=10000020"},
		{0xa0000102, "BEQ 0x10000020", "f=NVC", ""},
		{0xa000010a, "BMI 0x10000020", "f=N", "PC=10000020"},
		{0xa0000112, "BHI 0x10000020", "f=N", "PC=10000020"},
		{0xa0000112, "BHI 0x10000020", "f=Z", ""},
		{0xa0000116, "BGE 0x10000020", "f=NV", "PC=10000020"},
		{0xa000011a, "BGT 0x10000020", "f=ZNV", ""},
		{0xa0000101, "BR 0x10000020", "TXRPT=2", "PC=10000020 TXRPT=1"},
		{0xa0000101, "BR 0x10000020", "TXRPT=0", ""},
		{0xab000214, "CALLR D1RtP,0x10000040", "", "PC=10000040 D1RtP=10000004"},
		{0xac200086, "CALL D1RtP,#0x10", "D1RtP=10000100", "PC=10000110 D1RtP=10000004"},
		{0xac200082, "JUMP D1RtP,#0x10", "D1RtP=10000100", "PC=10000110"},
		{0xa32008a0, "MOV PC,D1RtP", "D1RtP=10000100", "PC=10000100"},
		{0xa3200aa0, "SWAP PC,D1RtP", "D1RtP=10000100", "PC=10000100 D1RtP=10000004"},
		{0xa0fffffe, "NOP", "", ""},
		{0xa8000001, "LOCK1", "", ""},
		{0xa8000000, "LOCK0", "", ""},
	},
}

// state is what a test can say of a CPU and the memory at data.
type state struct {
	cpu *cpu
	mem []byte
}

func (s state) values() map[string]uint32 {
	out := map[string]uint32{"PC": s.cpu.pc, "f": s.cpu.flags}
	for u, list := range names {
		for n, name := range list {
			if u := unit(u); name != "" && (general(u, uint32(n)) || u == unitCT) {
				out[name] = s.cpu.r[slot(u, uint32(n))]
			}
		}
	}
	for i := 0; i < 0x20; i += 4 {
		out[fmt.Sprintf("m+%x", i)] = binary.LittleEndian.Uint32(s.mem[i:])
	}
	return out
}

func parse(t *testing.T, text string) map[string]uint32 {
	t.Helper()
	out := map[string]uint32{}
	for _, part := range strings.Fields(text) {
		name, value, _ := strings.Cut(part, "=")
		if name == "f" {
			for i, letter := range "CVNZ" {
				if strings.ContainsRune(value, letter) {
					out["f"] |= 1 << i
				}
			}
			if value == "" {
				out["f"] = 0
			}
			continue
		}
		if value == "data" {
			out[name] = data
			continue
		}
		v, err := strconv.ParseUint(value, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = uint32(v)
	}
	return out
}

func TestSemantics(t *testing.T) {
	for class, list := range semantics {
		t.Run(class, func(t *testing.T) {
			for _, c := range list {
				text := strings.Join(strings.Fields(Text(c.word, uint32(ramBase))), " ")
				if text != c.text {
					t.Errorf("%08x is %s, not %s", c.word, text, c.text)
				}
				m, cpus := machine(t, 1, c.word)
				mem, err := m.Memory().ViewPhys(guestmem.GPA(data), 0x40)
				if err != nil {
					t.Fatal(err)
				}
				for i := range mem {
					mem[i] = 0x10 + byte(i)
				}
				s := state{cpus[0], mem}
				for name, v := range parse(t, c.before) {
					switch {
					case name == "f":
						s.cpu.flags = v
					case name == "TXRPT":
						s.cpu.r[slot(unitCT, txRpt)] = v
					default:
						s.cpu.r[s.cpu.named[name]] = v
					}
				}
				want := s.values()
				want["PC"] = uint32(ramBase) + 4
				for name, v := range parse(t, c.after) {
					want[name] = v
				}
				o, _ := decode(word(c.word), uint32(ramBase))
				s.cpu.execute(&block{ops: []op{o}, end: uint32(ramBase) + 4})
				if s.cpu.err != nil {
					t.Errorf("%s: %v", c.text, s.cpu.err)
					continue
				}
				for name, v := range s.values() {
					if v != want[name] {
						t.Errorf("%s with %s: %s is %#x, want %#x", c.text, c.before, name, v, want[name])
					}
				}
			}
		})
	}
}

// What is not implemented, or no instruction, ends the guest with its name.
func TestStops(t *testing.T) {
	for want, words := range map[string][]uint32{
		"ADD D0Re0,D0Re0,D0Re0: this is not implemented":          {0xa0fffffe, 0x00000100}, // DSP
		"MOV FX.0,#0x3c00: this is not implemented":               {0xf001e001},
		"SWITCH #0x1234: this is not implemented":                 {0xaf001234},
		"RTI: this is not implemented":                            {0xa3ffffff},
		"0xffffffff, which is no instruction: the guest has come": {0xffffffff},
		"MOV TXENABLE,#0: writing 0x0 to TXENABLE":                {0xa9000000},
		"GETD D0Re0,[A0StP]: cannot read":                         {0xc6000062},
		"MOV D0.16,D0Re0":                                         {0x00800004},
	} {
		m, _ := machine(t, 1, words...)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := m.Run(ctx, programs.Unhooked{})
		cancel()
		var exit *hv.ExitError
		if !errors.As(err, &exit) || !strings.Contains(exit.Reason, strings.SplitN(want, ":", 2)[0]) {
			t.Errorf("%x: %v, want %q", words, err, want)
		}
	}
}

// A guest of random words ends, with an error that names where.
func FuzzRun(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 16 {
		var b []byte
		for _, w := range randomWords(64, r.Uint64()) {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		words := make([]uint32, min(len(b)/4, 1024))
		for i := range words {
			words[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		_, cpus := machine(t, 1, words...)
		for range 50 {
			if _, err := cpus[0].Run(200, true); err != nil {
				return
			}
		}
	})
}

// The lock of the core is one thread's at a time; the other's turn passes.
func TestLock(t *testing.T) {
	const lock1, lock0, again = 0xa8000001, 0xa8000000, 0xa0000000
	_, cpus := machine(t, 2, lock1, lock0, again)
	for _, c := range cpus {
		c.Start(uint64(ramBase), 0)
	}
	step := func(c *cpu) uint64 {
		t.Helper()
		if _, err := c.Run(1, true); err != nil {
			t.Fatal(err)
		}
		return c.PC() - uint64(ramBase)
	}
	for i, want := range []struct {
		cpu int
		pc  uint64
	}{{0, 4}, {1, 0}, {1, 0}, {0, 8}, {1, 4}} {
		if pc := step(cpus[want.cpu]); pc != want.pc {
			t.Errorf("step %d: CPU %d is at +%d, want +%d", i, want.cpu, pc, want.pc)
		}
	}
}

// A loop with a call, loads, stores and conditions.
func BenchmarkRun(b *testing.B) {
	_, cpus := machine(b, 1,
		0x82108004, // MOV A0.2,#0x1000
		0x82108001, // ADDT A0.2,A0.2,#0x1000
		0x82020004, // MOV A0StP,#0x4000
		0x82008001, // ADDT A0StP,A0StP,#0x1000
		0x02081f44, // MOV D0Ar6,#0x3e8
		0xc6008062, // GETD D0Re0,[A0.2]
		0x02000008, // ADD D0Re0,D0Re0,#0x1
		0xb6008062, // SETD [A0.2],D0Re0
		0x00103405, // MOV D0Ar4,A0.2
		0xab000094, // CALLR D1RtP,10000034 <_f>
		0x1a080008, // SUBS D0Ar6,D0Ar6,#0x1
		0xa0ffff44, // BNE 10000014 <_start+0x14>
		0xa0ffff00, // B 10000010 <_start+0x10>
		0xb72001e3, // SETL [A0StP++],D0FrT,D1RtP
		0x72100018, // CMP D0Ar4,#0x3
		0x05000244, // ADDNE D1Re0,D1Re0,D1Ar5
		0xc7203fe2, // GETL D0FrT,D1RtP,[--A0StP]
		0xa32008a0, // MOV PC,D1RtP
	)
	c := cpus[0]
	c.Start(uint64(ramBase), 0)
	const turn = 20_000
	before := c.bus.Instructions
	for b.Loop() {
		if _, err := c.Run(turn, true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(c.bus.Instructions-before)/b.Elapsed().Seconds()/1e6, "Minstr/s")
}
