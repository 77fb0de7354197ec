// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The first process of a guest for which there is no busybox: it runs the
 * commands of /script, one a line and each in a process, and powers off. It
 * prints what the shell script in xtest/guests prints in its place. There is no
 * shell in it: words are separated by spaces, "> FILE" at the end sends output
 * there, and "&" does not wait.
 *
 * It needs no library, only the kernel's own numbers of system calls.
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>

#if defined(__powerpc__)
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r0 asm("r0") = nr, r3 asm("r3") = a, r4 asm("r4") = b,
		r5 asm("r5") = c, r6 asm("r6") = d, r7 asm("r7") = e;

	asm volatile("sc\n\tbns+ 1f\n\tneg %1,%1\n1:"
		     : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
		     :: "r8", "r9", "r10", "r11", "r12", "cr0", "ctr", "memory");
	return r3;
}
asm(".globl _start\n_start:\n\tli 0,0\n\tstwu 0,-32(1)\n\tbl run\n");
#elif defined(__mips__)
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long v0 asm("$2") = nr, a0 asm("$4") = a, a1 asm("$5") = b,
		a2 asm("$6") = c, a3 asm("$7") = d;

	/* The fifth argument of o32 is on the stack. */
	asm volatile("addiu $29,$29,-32\n\tsw %5,16($29)\n\tsyscall\n\taddiu $29,$29,32"
		     : "+r"(v0), "+r"(a3)
		     : "r"(a0), "r"(a1), "r"(a2), "r"(e)
		     : "$1", "$3", "$8", "$9", "$10", "$11", "$12", "$13", "$14",
		       "$15", "$24", "$25", "hi", "lo", "memory");
	return a3 ? -v0 : v0;
}
asm(".globl __start\n.set noreorder\n__start:\n\tlui $28,%hi(_gp)\n\t"
    "addiu $28,$28,%lo(_gp)\n\taddiu $29,$29,-32\n\tj run\n\tnop\n.set reorder\n");
#elif defined(__sparc__) && defined(__arch64__)
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long g1 asm("g1") = nr, o0 asm("o0") = a, o1 asm("o1") = b,
		o2 asm("o2") = c, o3 asm("o3") = d, o4 asm("o4") = e;

	asm volatile("t 0x6d\n\tbcc,pt %%xcc,1f\n\tnop\n\tneg %0\n1:"
		     : "+r"(o0), "+r"(o1)
		     : "r"(g1), "r"(o2), "r"(o3), "r"(o4) : "cc", "memory");
	return o0;
}
asm(".globl _start\n_start:\n\tsub %sp,192,%sp\n\tba run\n\tnop\n");
#elif defined(__sh__)
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r3 asm("r3") = nr, r4 asm("r4") = a, r5 asm("r5") = b,
		r6 asm("r6") = c, r7 asm("r7") = d, r0 asm("r0") = e;

	/* SH-4 wants some instructions behind a trap (arch/sh/include/asm/syscalls). */
	asm volatile("trapa #0x15\n\tor r0,r0\n\tor r0,r0\n\tor r0,r0\n\tor r0,r0\n\tor r0,r0"
		     : "+r"(r0) : "r"(r3), "r"(r4), "r"(r5), "r"(r6), "r"(r7) : "memory");
	return r0;
}
asm(".globl _start\n_start:\n\tmov.l 1f,r0\n\tjmp @r0\n\tnop\n.align 2\n1:\t.long run\n");
#elif defined(__microblaze__)
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r12 asm("r12") = nr, r5 asm("r5") = a, r6 asm("r6") = b,
		r7 asm("r7") = c, r8 asm("r8") = d, r9 asm("r9") = e, r3 asm("r3");

	asm volatile("brki r14,8\n\tnop"
		     : "=r"(r3), "+r"(r12) : "r"(r5), "r"(r6), "r"(r7), "r"(r8), "r"(r9)
		     : "r4", "r10", "r11", "r14", "r18", "memory");
	return r3;
}
asm(".globl _start\n_start:\n\taddik r1,r1,-64\n\tbrid run\n\tnop\n");
#else
#error "how does this architecture call the kernel?"
#endif

#if defined(__mips__)
#define SIGCHLD 18
#elif defined(__sparc__)
#define SIGCHLD 20
#else
#define SIGCHLD 17
#endif
#define AT_FDCWD -100
#define O_RDONLY 0
#define O_WRONLY 1
#define EINTR 4
#define EINVAL 22
#define PR_SET_NAME 15
#define NULL ((void *)0)

static char script[4096];
static int out = 1; /* where output goes */

static unsigned long length(const char *s)
{
	unsigned long n = 0;

	while (s[n])
		n++;
	return n;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static long put(const char *s)
{
	return call(__NR_write, out, (long)s, length(s), 0, 0);
}

/* Without a division or a string's zeros, for which a compiler may want a library. */
static void put_number(long n)
{
	static const int powers[] = { 1000, 100, 10, 1 };
	char digits[sizeof(powers) / sizeof(*powers) + 1];
	unsigned int i, at = 0;

	for (i = 0; i < sizeof(powers) / sizeof(*powers); i++) {
		char digit = '0';

		for (; n >= powers[i] && digit < '9'; n -= powers[i])
			digit++;
		if (at || digit > '0' || powers[i] == 1)
			digits[at++] = digit;
	}
	digits[at] = 0;
	put(digits);
}

static long number(const char *s)
{
	long n = 0;

	while (*s >= '0' && *s <= '9')
		n = 10 * n + *s++ - '0';
	return n;
}

static long open(const char *file, int flags)
{
	return call(__NR_openat, AT_FDCWD, (long)file, flags, 0, 0);
}

static long do_echo(char **arg)
{
	for (; *arg; arg++) {
		put(*arg);
		if (arg[1])
			put(" ");
	}
	put("\n");
	return 0;
}

static long do_cat(char **arg)
{
	static char buf[4096];
	long fd, n, m = 0;

	for (; *arg; arg++) {
		fd = open(*arg, O_RDONLY);
		if (fd < 0)
			return fd;
		while ((n = call(__NR_read, fd, (long)buf, sizeof(buf), 0, 0)) > 0)
			if ((m = call(__NR_write, out, (long)buf, n, 0, 0)) < 0)
				n = m;
		call(__NR_close, fd, 0, 0, 0, 0);
		if (n < 0)
			return n;
	}
	return 0;
}

/* insmod FILE [NAME=VALUE]... */
static long do_insmod(char **arg)
{
	static char params[1024];
	unsigned long n = 0;
	long fd, err;
	char *s;

	if (!*arg)
		return -EINVAL;
	fd = open(*arg, O_RDONLY);
	if (fd < 0)
		return fd;
	while (*++arg) {
		for (s = *arg; *s && n < sizeof(params) - 2; s++)
			params[n++] = *s;
		params[n++] = ' ';
	}
	params[n] = 0;
	err = call(__NR_finit_module, fd, (long)params, 0, 0, 0);
	call(__NR_close, fd, 0, 0, 0, 0);
	return err;
}

static long do_rmmod(char **arg)
{
	return *arg ? call(__NR_delete_module, (long)*arg, 0, 0, 0, 0) : -EINVAL;
}

static long do_sleep(char **arg)
{
#ifdef __NR_clock_nanosleep_time64
	struct { long long sec, nsec; } time = { *arg ? number(*arg) : 0, 0 };

	return call(__NR_clock_nanosleep_time64, 0, 0, (long)&time, 0, 0);
#else
	struct { long sec, nsec; } time = { *arg ? number(*arg) : 0, 0 };

	return call(__NR_clock_nanosleep, 0, 0, (long)&time, 0, 0);
#endif
}

/* dmesg -n LEVEL: what the console shows */
static long do_dmesg(char **arg)
{
	if (!*arg || !same(*arg, "-n") || !arg[1])
		return -EINVAL;
	return call(__NR_syslog, 8, 0, number(arg[1]), 0, 0);
}

static long do_uname(char **arg)
{
	static char fields[6][65]; /* struct new_utsname */
	long err = call(__NR_uname, (long)fields, 0, 0, 0, 0);
	int i;

	for (i = 0; i < 5; i++) {
		put(fields[i]);
		put(i < 4 ? " " : "\n");
	}
	return err;
}

static long do_true(char **arg)
{
	return 0;
}

static long do_false(char **arg)
{
	return -1;
}

static long restart(long how)
{
	call(__NR_sync, 0, 0, 0, 0, 0);
	call(__NR_ioctl, 1, TCSBRK, 1, 0, 0); /* until the console has all */
	return call(__NR_reboot, (int)0xfee1dead, 672274793, how, 0, 0);
}

static long do_poweroff(char **arg)
{
	return restart(0x4321fedc);
}

static long do_halt(char **arg)
{
	return restart((int)0xcdef0123);
}

static long do_reboot(char **arg)
{
	return restart(0x01234567);
}

static const struct {
	const char *name;
	long (*run)(char **arg);
} commands[] = {
	{ "echo", do_echo }, { "cat", do_cat }, { "insmod", do_insmod },
	{ "rmmod", do_rmmod }, { "sleep", do_sleep }, { "dmesg", do_dmesg },
	{ "true", do_true }, { "false", do_false }, { "poweroff", do_poweroff },
	{ "halt", do_halt }, { "reboot", do_reboot }, { "uname", do_uname },
};

/* What a process does that runs the words of a line. */
static long run_words(char **words, unsigned int n)
{
	unsigned int i;

	if (n > 2 && same(words[n - 2], ">")) {
		long fd = open(words[n - 1], O_WRONLY);

		if (fd < 0)
			return fd;
		out = fd;
		words[n - 2] = NULL;
	}
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (same(words[0], commands[i].name)) {
			call(__NR_prctl, PR_SET_NAME, (long)words[0], 0, 0, 0);
			return commands[i].run(words + 1);
		}
	return -EINVAL;
}

/* Runs one line, in which it puts zeros. Returns a negative error. */
static long command(char *line)
{
	char *words[32];
	unsigned int n = 0;
	int status = 0, wait = 1;
	long pid, err;

	while (n < sizeof(words) / sizeof(*words) - 1) {
		while (*line == ' ' || *line == '\t')
			*line++ = 0;
		if (!*line)
			break;
		words[n++] = line;
		while (*line && *line != ' ' && *line != '\t')
			line++;
	}
	if (n && same(words[n - 1], "&")) {
		wait = 0;
		n--;
	}
	words[n] = NULL;
	if (!n || words[0][0] == '#')
		return 0;
	pid = call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
	/* sparc returns something else in the child than zero. */
	if (call(__NR_getpid, 0, 0, 0, 0, 0) != 1) {
		err = run_words(words, n);
		for (;;)
			call(__NR_exit, err < 0 ? -err : 0, 0, 0, 0, 0);
	}
	if (pid < 0 || !wait)
		return pid;
	do
		err = call(__NR_wait4, pid, (long)&status, 0, 0, 0);
	while (err == -EINTR);
	return err < 0 ? err : -(status >> 8 & 0xff);
}

static void run_script(void)
{
	char *line = script, *end;
	long fd = open("/script", O_RDONLY), n = 0, err = fd;

	if (fd >= 0)
		err = n = call(__NR_read, fd, (long)script, sizeof(script) - 1, 0, 0);
	for (; err >= 0 && line < script + n; line = end + 1) {
		for (end = line; *end && *end != '\n'; end++)
			;
		*end = 0;
		err = command(line);
	}
	if (err >= 0)
		return;
	put("guest: script failed (");
	put_number(-err);
	put(")\n");
}

/* The first thing that runs; nothing is to return to. */
__attribute__((noreturn, used)) void run(void)
{
	call(__NR_mount, (long)"proc", (long)"/proc", (long)"proc", 0, 0);
	call(__NR_mount, (long)"sysfs", (long)"/sys", (long)"sysfs", 0, 0);
	call(__NR_mount, (long)"debugfs", (long)"/sys/kernel/debug", (long)"debugfs", 0, 0);
	put("guest: up\n");
	run_script();
	put("guest: down\n");
	do_poweroff(NULL);
	do_halt(NULL); /* a board that cannot */
	for (;;)
		;
}
