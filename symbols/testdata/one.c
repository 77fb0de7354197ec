// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder's package look for: see build.sh.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef short s16;

const char linux_banner[] = "Linux version 6.1.0-test (a@b) (gcc) #1 SMP";

struct list_head {
	struct list_head *next, *prev;
};

enum colour { RED, GREEN = 5, BLUE = -3 };

struct opaque;
typedef struct {
	int counter;
} atomic_t;
typedef const atomic_t locked_t;
typedef unsigned long flags_t;

struct inner {
	u8 first;
	union {
		u32 whole;
		struct {
			u16 low, high;
		};
	};
};

struct outer {
	struct list_head list;
	struct inner one;
	struct inner many[3];
	u32 grid[2][5];
	void *pointer;
	const char *name;
	struct opaque *opaque;
	struct outer **twice;
	int (*call)(struct outer *, long);
	volatile atomic_t refs;
	enum colour colour;
	union {
		u64 number;
		struct inner other;
	};
	struct {
		u8 a;
		u16 b;
	} named;
	unsigned int bit0 : 1;
	unsigned int bits3 : 3;
	unsigned int across : 20;
	u64 wide : 40;
	flags_t flags;
	char tail[];
};

struct packed {
	u8 byte;
	u32 a : 5, b : 13, c : 14;
	u16 after;
} __attribute__((packed));

// struct orc_entry of three eras, arch/x86/include/asm/orc_types.h.
struct orc_4_14 {
	s16 sp_offset;
	s16 bp_offset;
	unsigned sp_reg : 4;
	unsigned bp_reg : 4;
	unsigned type : 2;
	unsigned end : 1;
} __attribute__((packed));

struct orc_6_3 {
	s16 sp_offset;
	s16 bp_offset;
	unsigned sp_reg : 4;
	unsigned bp_reg : 4;
	unsigned type : 2;
	unsigned signal : 1;
	unsigned end : 1;
} __attribute__((packed));

struct orc_entry {
	s16 sp_offset;
	s16 bp_offset;
	unsigned sp_reg : 4;
	unsigned bp_reg : 4;
	unsigned type : 3;
	unsigned signal : 1;
} __attribute__((packed));

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip;
	union {
		u16 cs;
		u64 csx;
	};
	unsigned long flags, sp, ss;
};

struct twin {
	int only_one_c;
};

// The tests read these values back through the layouts.
struct outer outer = {
	.one = { .first = 0x11, .low = 0x2233, .high = 0x4455 },
	.many = { [2] = { .first = 0x66, .whole = 0x778899aa } },
	.grid = { [1] = { [3] = 0xbbccddee } },
	.refs = { 77 },
	.colour = BLUE,
	.number = 0x0102030405060708,
	.named = { 9, 0xabcd },
	.bit0 = 1,
	.bits3 = 5,
	.across = 0xabcde,
	.wide = 0x123456789a,
	.flags = 0x5a5a,
};
struct packed packed = { 0xee, 0x15, 0x1234, 0x2bcd, 0xf00d };
struct orc_4_14 orc_4_14 = { -16, 40, 5, 4, 2, 1 };
struct orc_6_3 orc_6_3 = { -16, 40, 5, 4, 2, 1, 1 };
struct orc_entry orc_entry = { -16, 40, 5, 4, 3, 1 };
struct pt_regs pt_regs;
locked_t locked;
struct twin twin_one;
long sink;
static int local_twice;

static inline __attribute__((always_inline)) int inlined(int x)
{
	sink += x;
	return x * 3;
}

__attribute__((noinline)) static int dup(int x)
{
	local_twice += x;
	return x + 1;
}

int function(int x);
static int clone(int x) __asm__("function.isra.0");
static int cold(int x) __asm__("function.cold");
static int pair(int x) __asm__("pair.isra.0");

__attribute__((noinline)) static int pair(int x)
{
	sink -= x;
	return x - 9;
}

__attribute__((noinline)) static int cold(int x)
{
	sink ^= x;
	return x - 7;
}

__attribute__((noinline)) static int clone(int x)
{
	return inlined(x) + 2;
}

int function(int x)
{
	if (x > 7)
		return cold(x);
	return dup(x) + inlined(x) + clone(x) + pair(x) + (int)sizeof(outer);
}

int twin_user(struct twin *t)
{
	return t->only_one_c;
}
