// Random system calls, instructions and jumps from several threads.
//
//	fuzz SEED SECONDS [THREADS [calls]]
//
// Half of the calls have arguments of the right kind (descriptors, paths,
// buffers, sizes), half have anything, addresses of the kernel among it. Some
// turns use io_uring. Some execute random bytes, or jump to a random address (not
// if "calls" is given). Faults are caught and the thread goes on; what cannot be
// caught ends the program, which is as well. The kernel has to survive all of it.
// Not for the host: as root, it would not spare it.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, ARENA = 1 << 20, CODE = 16 * PAGE, STACK = 64 << 10, MAX_THREADS = 32, LAST_CALL = 470 };

// The kinds of arguments: f descriptor, p buffer, P path, n size, i small number,
// x flags, t short time, a page address in the arena, A socket address, v iovec,
// m signal set, 0 nothing; ? anything.
static const struct {
	int nr;
	const char *args;
} typed[] = {
	{0, "fpn"}, {1, "fpn"}, {2, "Pxi"}, {3, "f"}, {4, "Pp"}, {5, "fp"}, {6, "Pp"}, {7, "pii"}, {8, "fni"},
	{9, "anixfn"}, {10, "ani"}, {11, "an"}, {13, "ipp8"}, {14, "imp8"}, {16, "fxp"}, {17, "fpnn"}, {18, "fpnn"},
	{19, "fvi"}, {20, "fvi"}, {21, "Pi"}, {22, "p"}, {23, "ippp t"}, {25, "anni0"}, {26, "ani"}, {27, "anp"}, {28, "ani"},
	{32, "f"}, {33, "fF"}, {35, "tp"}, {36, "ip"}, {37, "i"}, {38, "itp"}, {40, "ffpn"}, {41, "iii"}, {42, "fAn"}, {43, "fpp"},
	{44, "fpnxAn"}, {45, "fpnxpp"}, {46, "fpx"}, {47, "fpx"}, {48, "fi"}, {49, "fAn"}, {50, "fi"}, {51, "fpp"}, {52, "fpp"},
	{53, "iiip"}, {54, "fiipn"}, {55, "fiipp"}, {59, "Ppp"}, {63, "p"}, {72, "fip"}, {73, "fx"}, {74, "f"}, {75, "f"}, {76, "Pn"},
	{77, "fn"}, {78, "fpn"}, {79, "pn"}, {80, "P"}, {81, "f"}, {82, "PP"}, {83, "Pi"}, {84, "P"}, {85, "Pi"}, {86, "PP"}, {87, "P"},
	{88, "PP"}, {89, "Ppn"}, {90, "Pi"}, {91, "fi"}, {92, "Pii"}, {93, "fii"}, {95, "i"}, {97, "ip"}, {98, "ip"}, {99, "p"},
	{115, "ip"}, {116, "ip"}, {125, "pp"}, {126, "pp"}, {127, "p8"}, {128, "mpt8"}, {129, "0ip"}, {131, "0p"}, {132, "Pp"}, {133, "Pii"},
	{137, "Pp"}, {138, "fp"}, {140, "ii"}, {141, "iii"}, {149, "an"}, {150, "an"}, {157, "ippii"}, {158, "xp"}, {160, "ip"},
	{187, "fnn"}, {188, "PPpni"}, {190, "fPpni"}, {191, "PPpn"}, {193, "fPpn"}, {194, "Ppn"}, {196, "fpn"}, {197, "PP"}, {199, "fP"},
	{202, "pixtpi"}, {206, "ip"}, {207, "p"}, {208, "iiipt"}, {209, "iip"}, {210, "ipp"}, {213, "i"}, {217, "fpn"}, {218, "p"}, {221, "fnni"},
	{222, "ipp"}, {223, "iitp"}, {224, "ip"}, {225, "i"}, {226, "i"}, {228, "ip"}, {229, "ip"}, {230, "iitp"}, {232, "fpit"}, {233, "fifp"},
	{234, "iii"}, {254, "fPx"}, {255, "fi"}, {257, "fPxi"}, {258, "fPi"}, {259, "fPii"}, {260, "fPiii"}, {262, "fPpx"}, {263, "fPx"},
	{264, "fPfP"}, {265, "fPfPx"}, {266, "PfP"}, {267, "fPpn"}, {268, "fPi"}, {269, "fPi"}, {270, "ippptp"}, {271, "pitp8"}, {272, "x"},
	{273, "pn"}, {274, "ipp"}, {275, "fpfpnx"}, {276, "ffnx"}, {277, "fnni"}, {278, "fvix"}, {280, "fPpx"}, {281, "fpitm8"}, {282, "fm8"},
	{283, "ix"}, {284, "i"}, {285, "finn"}, {286, "fitp"}, {287, "fp"}, {288, "fppx"}, {289, "fm8x"}, {290, "ix"}, {291, "x"}, {292, "fFx"},
	{293, "px"}, {294, "x"}, {295, "fvin0"}, {296, "fvin0"}, {297, "iiip"}, {299, "fpixt"}, {302, "iipp"}, {306, "f"}, {307, "fpix"},
	{309, "pp"}, {314, "ipi"}, {315, "ipni"}, {316, "fPfPx"}, {317, "iip"}, {318, "pnx"}, {319, "Px"}, {324, "xi"}, {325, "ani"},
	{326, "fpfpn0"}, {327, "fvin0x"}, {328, "fvin0x"}, {332, "fPxip"}, {334, "pnxi"}, {425, "ip"}, {426, "fiixm8"}, {427, "fipi"},
	{435, "pn"}, {436, "FFx"}, {437, "fPpn"}, {439, "fPii"}, {441, "fpitm8"}, {449, "pi0ti"}, {452, "fPix"},
};

static const char *const paths[] = {
	"/tmp/a", "/tmp/b", "/tmp/c", "/tmp/d", "/tmp/d/e", "/tmp/d/../a", "/tmp", "/", ".", "", "/proc/self/maps", "/proc/self/status",
	"/proc/self/mem", "/proc/self/fd/3", "/proc/self/fd/5", "/proc/self/task", "/proc/self", "/proc/meminfo", "/proc/sys/kernel/hostname",
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/tty", "/dev/ptmx", "/dev/pts/0", "/dev/shm/x", "/sys/devices/system/cpu", "user.a", "a/b/c",
	"/proc/self/smaps", "/proc/self/environ", "/proc/self/pagemap", "/proc/net/tcp", "/etc/hosts",
};

typedef struct {
	uint64_t state;
	sigjmp_buf back;
	volatile int wild;   // executes random bytes
	volatile int turns;  // of the keeper, since it began to
	volatile long calls;
	pthread_t thread;
	char *stack;    // for handlers
	uint64_t fs;    // base of thread-local storage, which random bytes may change
} worker;

static worker workers[MAX_THREADS];
static int nthreads = 4, tame;
static volatile int over;
static char *arena, *code;

static uint64_t rnd(worker *w) {
	w->state ^= w->state << 13;
	w->state ^= w->state >> 7;
	w->state ^= w->state << 17;
	return w->state * 0x2545f4914f6cdd1dULL >> 8;
}

static char *buffer(worker *w) { return arena + rnd(w) % (ARENA / 2); }

// hostile returns any number, preferring those at an edge.
static uint64_t hostile(worker *w) {
	uint64_t at = 0;
	switch (rnd(w) % 12) {
	case 0: return rnd(w) % 8;
	case 1: return rnd(w);
	case 2: return -(rnd(w) % 5000);
	case 3: return 1ULL << rnd(w) % 64;
	case 4: return (1ULL << rnd(w) % 64) - 1;
	case 5: return (uint64_t)buffer(w);
	case 6: return (uint64_t)arena + ARENA - rnd(w) % 16; // the end of memory
	case 7: at = 0x800000000000ULL; break;                 // of the lower half
	case 8: at = 0xffff800000000000ULL; break;             // the direct map
	case 9: at = 0xffff900000000000ULL; break;             // the kernel's heap
	case 10: at = 0xffffffff80400000ULL; break;            // its text
	default: return 0;
	}
	return at + rnd(w) % (1 << 26) - (rnd(w) % 2 ? 0 : 64);
}

static uint64_t path(worker *w) {
	char *p = arena + rnd(w) % 1000 * 128;
	strcpy(p, paths[rnd(w) % (sizeof paths / sizeof *paths)]);
	return (uint64_t)p;
}

static uint64_t timespec(worker *w) {
	uint64_t *t = (uint64_t *)(arena + rnd(w) % 1000 * 64);
	t[0] = t[2] = 0;
	t[1] = t[3] = rnd(w) % 3000000;
	return rnd(w) % 8 ? (uint64_t)t : 0;
}

static uint64_t address(worker *w) {
	static const uint32_t v4[] = {0x0100007f, 0, 0xffffffff, 0x0202000a};
	char *a = arena + rnd(w) % 1000 * 128;
	memset(a, 0, 32);
	a[0] = "\1\2\12\20"[rnd(w) % 4];
	a[3] = rnd(w) % 8 + 20;
	if (a[0] == 1)
		strcpy(a + 2, rnd(w) % 2 ? "/tmp/s" : "");
	else
		memcpy(a + 4, &v4[rnd(w) % 4], 4);
	return (uint64_t)a;
}

static uint64_t vector(worker *w) {
	uint64_t *v = (uint64_t *)(arena + rnd(w) % 1000 * 64);
	for (int i = 0; i < 8; i += 2) {
		v[i] = rnd(w) % 16 ? (uint64_t)buffer(w) : hostile(w);
		v[i + 1] = rnd(w) % 16 ? rnd(w) % 5000 : hostile(w);
	}
	return (uint64_t)v;
}

static uint64_t argument(worker *w, char kind) {
	switch (kind) {
	case 'f': return rnd(w) % 16 ? 3 + rnd(w) % 40 : -100;
	case 'F': return 3 + rnd(w) % 60;
	case 'p': return rnd(w) % 8 ? (uint64_t)buffer(w) & (rnd(w) % 2 ? ~7ULL : ~0ULL) : 0;
	case 'P': return path(w);
	case 'n': return rnd(w) % 4 ? rnd(w) % 9000 : rnd(w) % 64;
	case 'i': return rnd(w) % 4 ? rnd(w) % 8 : rnd(w) % 300;
	case 'x': return rnd(w) % 4 ? 1ULL << rnd(w) % 20 : rnd(w) % (1 << 20);
	case 't': return timespec(w);
	case 'a': return (uint64_t)arena + ARENA / 2 + rnd(w) % (ARENA / 2 / PAGE - 4) * PAGE; // what follows is not touched
	case 'A': return address(w);
	case 'v': return vector(w);
	case 'm': *(uint64_t *)arena = rnd(w) & rnd(w) & ~0xfffULL; return (uint64_t)arena;
	case '8': return 8;
	case '0': return 0;
	}
	return hostile(w);
}

// spared are calls that would only end the run.
static int spared(long nr) {
	return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_rt_sigreturn || nr == SYS_pause || nr == SYS_rt_sigsuspend ||
	       nr == SYS_seccomp || nr == SYS_alarm || nr == SYS_reboot;
}

// own reports whether a call changes memory or threads: with random arguments it
// would destroy the program, and does so seldom.
static int own(long nr) {
	return nr == SYS_mmap || nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_mremap || nr == SYS_madvise || nr == SYS_brk ||
	       nr == SYS_clone || nr == SYS_clone3 || nr == SYS_arch_prctl || nr == SYS_prctl || nr == SYS_kill || nr == SYS_tkill ||
	       nr == SYS_tgkill || nr == SYS_rt_sigqueueinfo || nr == SYS_rt_tgsigqueueinfo || nr == SYS_setrlimit || nr == SYS_prlimit64 ||
	       nr == SYS_rt_sigprocmask || nr == SYS_sigaltstack || nr == SYS_remap_file_pages || nr == SYS_shmat;
}

static void setHandlers(void);

static int caught(int sig) {
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP || sig == SIGSYS;
}

// setFS sets the base of thread-local storage, without which C cannot make calls.
static void setFS(uint64_t base) {
	long nr = SYS_arch_prctl;
	__asm__ volatile("syscall" : "+a"(nr) : "D"(0x1002), "S"(base) : "rcx", "r11", "memory"); // ARCH_SET_FS
}

static void setStack(char *stack) {
	stack_t ss = {.ss_sp = stack, .ss_size = STACK};
	sigaltstack(&ss, 0);
}

static void call(worker *w) {
	uint64_t a[6] = {0};
	long nr;
	if (rnd(w) % 2) {
		int i = rnd(w) % (sizeof typed / sizeof *typed);
		nr = typed[i].nr;
		for (int k = 0; k < 6; k++) {
			char kind = k < (int)strlen(typed[i].args) ? typed[i].args[k] : '0';
			a[k] = rnd(w) % 20 ? argument(w, kind) : own(nr) ? 0 : hostile(w);
		}
		if (nr == SYS_mmap)
			a[0] = rnd(w) % 2 ? 0 : a[0], a[1] %= 1 << 18, a[2] &= 7, a[3] = (a[3] & ~0x100010) | 1 << rnd(w) % 2 | (rnd(w) % 2 ? 0x20 : 0);
		if (nr == SYS_mremap)
			a[3] &= 1;
	} else {
		nr = rnd(w) % LAST_CALL;
		for (int k = 0; k < 6; k++)
			a[k] = hostile(w);
		if (own(nr) && rnd(w) % 1000)
			return;
	}
	if (spared(nr))
		return;
	int writes = nr == SYS_write || nr == SYS_writev || nr == SYS_pwrite64 || nr == SYS_pwritev || nr == SYS_pwritev2 || nr == SYS_sendfile;
	if (writes && (int)a[0] >= 0 && (int)a[0] < 3)
		return; // what is printed stays legible
	if ((nr == SYS_dup2 || nr == SYS_dup3) && a[1] < 3 || nr == SYS_close && a[0] < 3 || nr == SYS_close_range && (uint32_t)a[0] < 3)
		return;
	if ((nr == SYS_setrlimit || nr == SYS_prlimit64) && rnd(w) % 200)
		return; // most would leave no room for the rest
	if (nr == SYS_rt_sigaction && caught((int)a[0]) || nr == SYS_prctl && a[0] == 22)
		return;
	w->calls++;
	syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (nr == SYS_arch_prctl)
		setFS(w->fs);
	if (nr == SYS_sigaltstack)
		setStack(w->stack);
	if (nr == SYS_rt_sigaction)
		setHandlers();
}

// ring makes an io_uring, hands in requests that are right in part, writes anywhere
// in the memory that it shares with the kernel, and mostly leaves all that behind.
static void ring(worker *w) {
	struct {
		uint32_t sqEntries, cqEntries, flags, rest[7];
		struct { uint32_t head, tail, mask, entries, flags, dropped, array, resv; uint64_t addr; } sq;
		struct { uint32_t head, tail, mask, entries, overflow, cqes, flags, resv; uint64_t addr; } cq;
	} p = {.flags = rnd(w) % 3 ? 0 : argument(w, 'x') & 0x3ff};
	unsigned n = 1 + rnd(w) % 64;
	int fd = syscall(SYS_io_uring_setup, n, &p);
	if (fd < 0)
		return;
	size_t size = p.sq.array + p.sqEntries * 4, more = p.cq.cqes + p.cqEntries * 16;
	if (more > size)
		size = more;
	char *queue = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *entries = mmap(0, p.sqEntries * 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x10000000);
	if (queue == MAP_FAILED || entries == MAP_FAILED)
		return;
	for (int round = rnd(w) % 8; round >= 0; round--) {
		uint32_t count = 1 + rnd(w) % p.sqEntries;
		volatile uint32_t *tail = (uint32_t *)(queue + p.sq.tail);
		for (uint32_t i = 0; i < count; i++) {
			uint32_t slot = (*tail + i) & (p.sqEntries - 1);
			uint64_t *e = (uint64_t *)(entries + slot * 64);
			((uint32_t *)(queue + p.sq.array))[slot] = rnd(w) % 32 ? slot : hostile(w);
			e[0] = rnd(w) % 60 | (rnd(w) % 4 ? 0 : rnd(w) % 128 << 8) | (rnd(w) % 4 ? 0 : rnd(w) % 32 << 16) | argument(w, 'f') << 32;
			e[1] = argument(w, "n0pPtA?"[rnd(w) % 7]);
			e[2] = argument(w, "pPvtA0?"[rnd(w) % 7]);
			e[3] = argument(w, 'n') | (uint64_t)argument(w, "0ix"[rnd(w) % 3]) << 32;
			e[4] = rnd(w) % 100;
			e[5] = rnd(w) % 4 ? 0 : hostile(w);
			e[6] = rnd(w) % 4 ? 0 : argument(w, 'p');
			e[7] = 0;
		}
		*tail += count;
		if (rnd(w) % 8 == 0)
			*(uint32_t *)(queue + rnd(w) % (size / 4) * 4) = hostile(w);
		syscall(SYS_io_uring_enter, fd, count, rnd(w) % 4 ? 0 : rnd(w) % count, argument(w, 'i'), 0, 8);
		if (rnd(w) % 4 == 0)
			syscall(SYS_io_uring_register, fd, rnd(w) % 32, rnd(w) % 2 ? vector(w) : (uint64_t)buffer(w), rnd(w) % 5);
		*(volatile uint32_t *)(queue + p.cq.head) = *(volatile uint32_t *)(queue + p.cq.tail);
		w->calls++;
	}
	if (rnd(w) % 4)
		munmap(queue, size);
	if (rnd(w) % 4)
		munmap(entries, p.sqEntries * 64);
	if (rnd(w) % 4)
		close(fd);
}

// enter jumps to r[0] with the stack pointer r[1], r[2] to r[7] as number and
// arguments of a system call, and nothing of the program in the other registers.
static void __attribute__((noreturn, noinline)) enter(uint64_t *r) {
	__asm__ volatile(
		"mov 8(%0), %%rsp\n\tmov (%0), %%rcx\n\tmov 16(%0), %%rax\n\tmov 32(%0), %%rsi\n\tmov 40(%0), %%rdx\n\t"
		"mov 48(%0), %%r10\n\tmov 56(%0), %%r8\n\tmov 24(%0), %%rdi\n\t"
		"xor %%ebx, %%ebx\n\txor %%ebp, %%ebp\n\txor %%r9d, %%r9d\n\txor %%r11d, %%r11d\n\t"
		"xor %%r12d, %%r12d\n\txor %%r13d, %%r13d\n\txor %%r14d, %%r14d\n\txor %%r15d, %%r15d\n\tjmp *%%rcx"
		:
		: "D"(r)
		: "memory");
	__builtin_unreachable();
}

// execute runs random bytes, with instructions that enter the kernel among them.
static void execute(worker *w) {
	static const char *const some[] = {
		"\x0f\x05", "\xcd\x80", "\x0f\x34", "\xf4", "\x0f\x0b", "\xcc", "\xf1", "\xcd\x03", "\x0f\x01\xf8", "\x0f\x22\xd8", "\x0f\x30", "\x0f\x32",
		"\xfa", "\xfb", "\xec", "\xee", "\x0f\xae\x18", "\x9d", "\xcf", "\x48\xcf", "\x0f\x00\xd8", "\x0f\x01\x18", "\x8e\xd8", "\x8e\xd0",
		"\xf3\x48\x0f\xae\xd8", "\xf3\x0f\xae\xd0", "\x0f\x07", "\x48\x0f\x07", "\x0f\x01\xd1", "\x0f\xa2", "\x0f\x31", "\xcb", "\x0f\x09",
	};
	char *at = code + (w - workers) * PAGE / 2;
	for (int i = 0; i < 256; i++)
		at[i] = rnd(w);
	for (int i = 0; i < 24; i++) {
		const char *s = some[rnd(w) % (sizeof some / sizeof *some)];
		memcpy(at + rnd(w) % 240, s, strlen(s));
	}
	uint64_t target = rnd(w) % 8 ? (uint64_t)at : hostile(w);
	uint64_t r[8] = {target, (uint64_t)arena + ARENA / 4};
	for (int i = 2; i < 8; i++)
		r[i] = rnd(w) % 2 ? hostile(w) : (uint64_t)buffer(w);
	if (r[2] == SYS_rt_sigreturn && rnd(w) % 100)
		r[2] = SYS_getpid; // it would take away the stack for handlers
	memcpy(at + 256, "\x0f\x0b", 2); // what comes so far
	w->turns = 0;
	w->wild = 1;
	if (!sigsetjmp(w->back, 1))
		enter(r);
	w->wild = 0;
}

// self finds the worker on whose stack for handlers this is, and restores what C
// needs.
static worker *self(void) {
	char here;
	for (int i = 0; i < nthreads; i++) {
		worker *w = &workers[i];
		if (&here < w->stack || &here >= w->stack + STACK)
			continue;
		setFS(w->fs);
		return w;
	}
	return 0;
}

static void __attribute__((optimize("no-stack-protector"))) faulted(int sig, siginfo_t *info, void *context) {
	static int lost;
	worker *w = self();
	if (info->si_code <= 0 || !w && lost++ < 1000)
		return; // somebody has sent it
	if (!w)
		_exit(128 + sig);
	siglongjmp(w->back, 1);
}

// kicked ends waits, and random bytes that loop.
static void kicked(int sig) {
	worker *w = self();
	if (w && w->wild && w->turns++ > 3)
		siglongjmp(w->back, 1);
}

static void setHandlers(void) {
	for (int sig = 1; sig <= 64; sig++) {
		struct sigaction sa = {.sa_handler = kicked, .sa_flags = SA_ONSTACK};
		if (caught(sig))
			sa = (struct sigaction){.sa_sigaction = faulted, .sa_flags = SA_SIGINFO | SA_ONSTACK};
		sigaction(sig, &sa, 0);
	}
}

static void *work(void *arg) {
	worker *w = arg;
	w->stack = mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->fs = (uint64_t)pthread_self();
	setStack(w->stack);
	sigsetjmp(w->back, 1);
	w->wild = 0;
	while (!over) {
		for (int i = 0; i < 8; i++)
			*(uint64_t *)(arena + rnd(w) % (ARENA / 2 / 8) * 8) = rnd(w) % 2 ? hostile(w) : argument(w, "fpni"[rnd(w) % 4]);
		int turn = rnd(w) % 200;
		if (turn == 0)
			ring(w);
		else if (turn < 4 && !tame)
			execute(w);
		else
			call(w);
		if (rnd(w) % 4096 == 0) {
			setStack(w->stack);
			mmap(arena, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		}
		if (rnd(w) % 20000 == 0)
			close_range(3, ~0U, 0);
	}
	return 0;
}

int main(int argc, char **argv) {
	uint64_t seed = argc > 1 ? strtoull(argv[1], 0, 0) : 1;
	time_t end = time(0) + (argc > 2 ? atoi(argv[2]) : 10);
	if (argc > 3)
		nthreads = atoi(argv[3]);
	tame = argc > 4;
	struct rlimit files = {2000, 2000};
	setrlimit(RLIMIT_NOFILE, &files);
	mkdir("/tmp", 0777);
	arena = mmap(0, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	code = mmap(0, CODE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	setHandlers();
	setStack(mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < nthreads; i++) {
		workers[i].state = seed * 1000003 + i * 7919 + 1;
		pthread_create(&workers[i].thread, 0, work, &workers[i]);
	}
	while (time(0) < end) {
		struct timespec t = {0, 20000000};
		nanosleep(&t, 0);
		setHandlers();
		for (int i = 0; i < nthreads; i++)
			pthread_kill(workers[i].thread, SIGUSR1);
	}
	long calls = 0;
	for (int i = 0; i < nthreads; i++)
		calls += workers[i].calls;
	printf("calls %ld\n", calls);
	fflush(stdout);
	_exit(0);
}
