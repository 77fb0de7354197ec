/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the plugin and its reader share: one memory file of a control page
 * group, the plan (what to hook) and the ring of records. Both run on one
 * host, so integers have the host's byte order. The reader's side of these
 * structures is shared.go; install checks that the sizes agree.
 */
#include <stdint.h>

#define SHARED_MAGIC 0x6c76706c7567696eull /* "lvplugin" */
#define MAX_VCPUS 256
#define MAX_REGS 64
#define MAX_READS 40   /* registers read at an entry */
#define MAX_CONTEXT 1024 /* bytes of fetches with an entry */
#define MAX_SPAN 1024  /* bytes read at once for several fetches */
#define MAX_STACK 65536 /* bytes of stack with an entry */
#define MAX_ARRAY 4096 /* words of an array */
#define ARGS 6
#define MAX_LEVELS 6   /* of page tables */
#define MAX_LINEAR 16  /* places without page tables */
#define MAX_PIECES 16  /* of guest RAM */
#define MAX_WINDOWS 32 /* of registers */
#define NONE 0xff      /* no such register */
#define ZERO 0xfe      /* a register that is always zero */

/* Whether RAM becomes the memory file's: see adopt.c. */
enum adopt { ADOPT_NEVER, ADOPT_READY, ADOPT_NOW, ADOPT_DONE, ADOPT_FAILED };
enum ask { ASK_NOTHING, ASK_NOW, ASK_DONE };
enum phase { PHASE_BOOT, PHASE_ENTERING, PHASE_ENTERED, PHASE_ARMED };

/* One cache line for each vCPU; only its own thread writes it, but for done. */
struct vcpu_state {
	uint64_t produced; /* records begun */
	uint64_t hold;     /* number of the hold that the vCPU is in or was in last */
	uint64_t done;     /* number of the last hold that the reader released */
	uint64_t broken;   /* number of the last hold left because of a pause */
	uint64_t dropped;  /* events that could not be told */
	uint64_t filtered; /* passages of exits with no entry open */
	uint64_t pad[2];
};

struct match { uint64_t mask, value; }; /* (v & mask) == value; never if mask is 0 */

/* Where windows of registers are, by arch.Windows, and what they have. */
struct windows {
	char state[32], file[32], count[32], current[32], callers[32], spare[32], clean[32];
	char level[32], traps[32], trap_state[32], globals[32];
	struct match take; /* instructions that need a new one */
	uint32_t ask;   /* both; a futex */
	uint32_t vcpu;  /* which the reader asks for, while the machine stands still */
	uint32_t found; /* QEMU says where they are */
	uint32_t wrong; /* the present window's stack pointer is another one */
	uint64_t nframes;
	uint64_t others[8]; /* globals that others stand for */
	uint64_t passed[8]; /* what the first frame's window passes on */
	struct frame { uint64_t addr; uint8_t saved[128]; } frames[MAX_WINDOWS];
};

struct control {
	/* Written by the reader before QEMU starts. */
	uint64_t magic;
	uint32_t control_size, record_size, plan_size;
	uint32_t word_size;  /* of the guest, bytes */
	uint32_t big_endian; /* the guest is */
	uint32_t parent;     /* process that reads */
	uint64_t text;       /* lowest address of kernel text */
	uint64_t text_end;   /* from here on firmware may run before the kernel does */
	uint64_t plan_offset, plan_bytes, ring_offset, ring_bytes;
	uint32_t bell;       /* eventfd that wakes the reader */
	uint32_t nregs;
	uint64_t ram_bytes;
	uint32_t ram;        /* memory file of guest RAM */
	uint32_t npieces;    /* written before the guest runs, like pieces */
	/* Written by the plugin. */
	uint64_t missing;    /* bit i: the target has no register i */
	uint64_t entered_pc;
	uint32_t code_len, entered_vcpu;
	uint8_t code[64];
	uint32_t row_sizes;  /* of site, hook, group, member; the reader's */
	uint32_t by_number;  /* QEMU has registers by number */
	/* Both, with wakes counting changes: the futex of all who wait. */
	uint32_t phase, pausing, wakes;
	uint32_t refused; /* how often the reader said that this is not the kernel yet */
	uint32_t adopt, pad1[11];
	/* The ring: positions are bytes since the start and never wrap. */
	uint64_t head, pad2[7];             /* end of what is reserved */
	uint64_t tail, wake_at;             /* end of what is read; ring the bell there */
	uint32_t room, waiters; uint64_t pad3[5]; /* futex of those who wait for room */
	uint64_t overflow, pad4[7];         /* the table of open calls was too small */
	struct piece { uint64_t gpa, size, offset; } pieces[MAX_PIECES];
	uint64_t hosts[MAX_PIECES]; /* where QEMU has the pieces to be adopted */
	char regs[MAX_REGS][16];
	int16_t numbers[MAX_REGS]; /* GDB's, -1 for none; the reader's too */
	struct vcpu_state vcpu[MAX_VCPUS];
	uint64_t bias;       /* the reader's: what is added to stack pointers */
	struct windows windows;
};

/* Page tables as arch.Paging describes them, the outermost level first. */
struct paging {
	uint32_t nlevels; /* 0: not known, what they map is read through QEMU */
	uint8_t entry_size, canonical;
	uint8_t root, extra; /* registers; extra may be NONE */
	uint64_t high;       /* what an address has above the bits of the tables, if not canonical */
	uint64_t frame;      /* mask of the root's address */
	uint64_t extra_mask; /* without one of these bits in extra, level 0 is not in use */
	struct level {
		struct match leaf, absent;
		uint64_t frame;
		uint32_t shift, bits;
	} levels[MAX_LEVELS];
	/* What is mapped without tables, and where its first byte is. */
	uint32_t nlinear, pad;
	struct segment { uint64_t start, end, phys; } linear[MAX_LINEAR];
};

/* Offsets are from the plan's own start. */
struct plan {
	uint32_t nsites, nhooks, ngroups, nmembers;
	uint32_t sites, hooks, groups, members, hash;
	uint32_t hash_bits, context_bytes, nreads;
	uint64_t stack_align;     /* size of a stack, a power of two; or 0 */
	uint64_t low, high;       /* all sites lie in [low, high] */
	uint8_t reads[MAX_READS]; /* registers read at each entry, in this order */
	uint8_t sp, fp, link;     /* which of the reads; fp and link may be NONE */
	uint8_t args[ARGS];       /* registers of arguments, or NONE */
	uint8_t exit_sp, exit_result; /* registers read at an exit */
	uint8_t user;             /* register that tells user mode, or NONE */
	uint8_t stack_args;       /* where the arguments without a register are, from sp */
	uint8_t pad[3];
	struct match user_if;     /* what it is then */
	struct paging paging;
	/* Where memory is mapped without tables, as arch.Paging.Linear has it. */
	uint64_t nlinear;
	struct linear { uint64_t start, end, phys; } linear[MAX_LINEAR];
};

struct site {
	uint64_t addr;
	int32_t entry; /* hook, or -1 */
	int32_t exit;  /* hook, -1 when several share it, -2 for no exit */
	uint32_t pop;  /* what the exit itself adds to the stack pointer */
	/* An exit that depends on four bits of register flags, from shift up,
	 * leaves if the bit of taken is set that has their value as its number;
	 * flags is NONE for one that always does. */
	uint16_t taken;
	uint8_t flags, shift;
	/* The stack pointer and the result at an exit: registers, or NONE for
	 * what the plan names, and for the result how many bits of the register
	 * count, with a sign (0 for all), and what is added, a register (or NONE)
	 * and a constant. */
	uint8_t sp, result, bits, with, pad[4];
	uint64_t add;
};

enum array_when { ARRAY_NEVER, ARRAY_AT_ENTRY, ARRAY_AT_EXIT };

struct hook {
	uint32_t stack_bytes;
	uint8_t exits, sync, when, pointer, count, nargs, pad[2];
};

enum base { BASE_ZERO, BASE_REG, BASE_PREV };

/* One read of guest memory for nmembers fetches. */
struct group {
	uint64_t offset;
	uint32_t span, first, nmembers;
	uint16_t base, from; /* BASE_REG: a read; BASE_PREV: place in the context */
};

struct member { uint16_t at, size; uint32_t to; };

enum kind { KIND_ENTRY = 1, KIND_EXIT };
enum flag { FLAG_ARRAY_SHORT = 1, FLAG_SYNC = 2 };

/* A record is this, context, stack and array, each padded to 8 bytes, the
 * whole padded to 64. commit is written last: length in the low 32 bits, then
 * kind, flags (8 bits each) and vCPU (16). */
struct record {
	uint64_t commit;
	int32_t hook;
	uint32_t context_len, stack_len, array_len;
	uint64_t seq;   /* of this vCPU, from 0 */
	uint64_t hold;  /* with FLAG_SYNC */
	uint64_t pc, sp, ret, fp, result;
	uint64_t args[ARGS];
};
