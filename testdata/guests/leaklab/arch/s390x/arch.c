// SPDX-License-Identifier: GPL-2.0-or-later
#include "sched.h"

typedef struct {
	unsigned long mask, addr;
} psw_t;

/* z/Architecture Principles of Operation, chapter 4. */
#define PSW_DAT 0x0400000000000000UL
#define PSW_WAIT 0x0002000000000000UL
#define PSW_HOME 0x0000c00000000000UL
#define PSW_64 0x0000000180000000UL

/* A CPU's own two pages at address zero; from 0x200 on they are the kernel's. */
struct lowcore {
	char pad1[0x1a0];
	psw_t restart_psw;
	char pad2[0x1d0 - 0x1b0];
	psw_t program_new_psw;
	char pad3[0x340 - 0x1e0];
	struct task_struct *current_task;
	unsigned long percpu_offset;
	unsigned long stack; /* of another CPU, at first */
	char pad4[0x2000 - 0x358];
};

/* What a frame has at its start, without -mpacked-stack. */
struct stack_frame {
	unsigned long back_chain;
	unsigned long empty1[5];
	unsigned long gprs[10];
	unsigned long empty2[4];
};

struct pt_regs {
	psw_t psw;
	unsigned long gprs[16];
};

/* Behind a task's first frame, where there is nothing that was interrupted. */
struct first_frame {
	struct stack_frame frame;
	struct pt_regs regs;
};

struct lowcore *lowcores[NR_CPUS];

static inline struct lowcore *lowcore(void)
{
	unsigned long at = 0;

	OPTIMIZER_HIDE_VAR(at);
	return (struct lowcore *)at;
}

unsigned long arch_cpu_offset(void) { return lowcore()->percpu_offset; }
void arch_set_cpu_offset(unsigned long offset) { lowcore()->percpu_offset = offset; }
void arch_set_current(struct task_struct *p) { lowcore()->current_task = p; }

void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void))
{
	struct first_frame *f = (struct first_frame *)stack_top - 1;

	f->frame.gprs[8] = (unsigned long)entry;	 /* r14 */
	f->frame.gprs[9] = (unsigned long)f;		 /* r15 */
	t->ksp = (unsigned long)f;
}

/* The home space is the kernel's, and the primary is the same. */
void arch_load_tables(unsigned long pa)
{
	unsigned long asce = pa | 7; /* a region-third table of full length */
	psw_t psw = { PSW_DAT | PSW_HOME | PSW_64, 0 };
	unsigned long at;

	lowcore()->program_new_psw = (psw_t){ PSW_WAIT | PSW_64, 0xdead };
	__asm__ volatile("lctlg 1,1,%1\n\t"
			 "lctlg 13,13,%1\n\t"
			 "larl %0,0f\n\t"
			 "stg %0,8(%2)\n\t"
			 "lpswe 0(%2)\n"
			 "0:"
			 : "=&a"(at) : "Q"(asce), "a"(&psw) : "memory");
}

/* Another CPU, which SIGP gives its own pages and starts. */
void secondary_entry(void);

static int sigp(int cpu, int order, unsigned long parameter)
{
	register unsigned long status __asm__("r2") = 0;
	register unsigned long argument __asm__("r3") = parameter;
	int cc;

	__asm__ volatile("sigp %1,%3,0(%4)\n\t"
			 "ipm %0\n\t"
			 "srl %0,28"
			 : "=&d"(cc), "+d"(status) : "d"(argument), "d"(cpu), "a"(order) : "cc", "memory");
	return cc;
}

int arch_boot_cpu(int cpu, struct task_struct *idle)
{
	const int restart = 0x06, set_prefix = 0x0d;
	struct page *page;
	struct lowcore *lc;

	if (sigp(cpu, 0x01 /* sense */, 0) == 3)
		return -1;
	page = __alloc_pages(GFP_KERNEL, 1, 0, NULL);
	BUG_ON(!page);
	lc = page_address(page);
	memset(lc, 0, sizeof(*lc));
	lc->restart_psw = (psw_t){ PSW_64, (unsigned long)secondary_entry };
	lc->program_new_psw = lowcore()->program_new_psw;
	lc->current_task = idle;
	lc->percpu_offset = __per_cpu_offset[cpu];
	lc->stack = (unsigned long)idle->stack + THREAD_SIZE - sizeof(struct first_frame);
	lowcores[cpu] = lc;
	if (sigp(cpu, set_prefix, (unsigned long)lc))
		return -1;
	return sigp(cpu, restart, 0);
}

/*
 * The service-call processor's console (Linux's drivers/s390/char/sclp.h,
 * sclp_vt220.c), without waiting for its interrupts.
 */
struct sccb_header {
	u16 length;
	u8 function_code;
	u8 control_mask[3];
	u16 response_code;
};

struct sclp_mask {
	struct sccb_header header;
	u16 reserved, mask_length;
	u32 receive_mask, send_mask, sclp_receive_mask, sclp_send_mask;
};

struct sclp_write {
	struct sccb_header header;
	u16 length;
	u8 type, flags;
	u16 reserved;
	char data[1024];
};

static union {
	struct sclp_mask mask;
	struct sclp_write write;
} sccb __aligned(4096);

static void sclp_call(unsigned int command)
{
	int busy;

	do
		__asm__ volatile(".insn rre,0xb2200000,%1,%2\n\t" /* servc */
				 "ipm %0\n\t"
				 "srl %0,28"
				 : "=d"(busy) : "d"(command), "a"(&sccb) : "cc", "memory");
	while (busy == 2);
}

void arch_console_init(void)
{
	memset(&sccb, 0, sizeof(sccb));
	sccb.mask.header.length = sizeof(sccb.mask);
	sccb.mask.mask_length = sizeof(u32);
	sccb.mask.send_mask = 0x40; /* ASCII */
	sclp_call(0x00780005);
}

void arch_write(const char *s)
{
	unsigned int n = 0;

	memset(&sccb, 0, sizeof(sccb));
	for (; s[n] && n < sizeof(sccb.write.data); n++)
		sccb.write.data[n] = s[n];
	sccb.write.type = 0x1a; /* ASCII */
	sccb.write.length = 6 + n;
	sccb.write.header.length = sizeof(struct sccb_header) + 6 + n;
	sclp_call(0x00760005);
}

/* QEMU takes this wait for the end, when all other CPUs have stopped. */
void arch_power_off(void)
{
	const psw_t psw = { PSW_WAIT | PSW_64, 0xfff };
	const int stop = 0x05;

	for (int cpu = 1; cpu < NR_CPUS; cpu++)
		sigp(cpu, stop, 0);

	__asm__ volatile("lpswe %0" : : "Q"(psw) : "memory");
}
