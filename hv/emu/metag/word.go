package metag

// word is an instruction.
type word uint32

// bits are n bits from a bit up.
func (w word) bits(from, n uint) uint32 { return uint32(w) >> from & (1<<n - 1) }

// has says whether a bit is set.
func (w word) has(bit uint) bool { return w>>bit&1 != 0 }

// signed are n bits from a bit up, the topmost of which is the sign.
func (w word) signed(from, n uint) int32 { return int32(w.bits(from, n)<<(32-n)) >> (32 - n) }

func (w word) major() uint32 { return w.bits(28, 4) }
func (w word) minor() uint32 { return w.bits(24, 4) }

// rd, rs1 and rs2 are the usual places of register numbers.
func (w word) rd() uint32  { return w.bits(19, 5) }
func (w word) rs1() uint32 { return w.bits(14, 5) }
func (w word) rs2() uint32 { return w.bits(9, 5) }

// imm16 is the usual place of an immediate value.
func (w word) imm16() uint32 { return w.bits(3, 16) }

// cond is the usual place of a condition.
func (w word) cond() uint32 { return w.bits(1, 4) }

// displacement is what a branch adds to its own address, in bytes.
func (w word) displacement() uint32 { return uint32(w.signed(5, 19) * 4) }

// Sizes in bytes of what instructions load and store.
func (w word) getSetSize() uint32 { return 1 << (w.bits(26, 1)<<1 | w.bits(24, 1)) }
func (w word) longSize() uint32   { return 1 << w.bits(1, 2) }
func (w word) setIfSize() uint32  { return 1 << (w.bits(9, 1)<<1 | w.bits(0, 1)) }
