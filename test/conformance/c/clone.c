// modes: static dynamic nopie
// Threads made with clone and clone3 themselves; what is not allowed; robust lists; rseq.
#include "check.h"
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>

static int ptid, ctid, ran, value;
static char stack[65536] __attribute__((aligned(16)));

static int body(void *arg)
{
	value = (long)arg;
	ran = gettid();
	__atomic_store_n(&ptid, __atomic_load_n(&ptid, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
	syscall(SYS_exit, 0);
	return 0;
}

// gone waits until the kernel has cleared the word.
static void gone(int *word)
{
	int v;
	while ((v = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != 0)
		syscall(SYS_futex, word, FUTEX_WAIT, v, 0, 0, 0);
}

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

int main(void)
{
	AREA("clone");
	ctid = 1;
	int r = clone(body, stack + sizeof stack, THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, (void *)5, &ptid, 0, &ctid);
	gone(&ctid);
	IS(r > 0 && ptid == r && ran == r);
	N(value);
	ctid = 7;
	r = clone(body, stack + sizeof stack, THREAD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, (void *)6, 0, 0, &ctid);
	gone(&ctid);
	IS(ran == r);
	N(value);
	AREA("not allowed");
	R(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
	R(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0));
	R(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
	R(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0));
	AREA("clone3");
	struct clone_args a = {};
	R(syscall(SYS_clone3, &a, 8));
	R(syscall(SYS_clone3, 8, sizeof a));
	a.flags = 1ULL << 60;
	R(syscall(SYS_clone3, &a, sizeof a));
	a.flags = THREAD;
	a.exit_signal = SIGCHLD;
	R(syscall(SYS_clone3, &a, sizeof a));
	a.exit_signal = 0;
	a.stack = (uintptr_t)stack;
	R(syscall(SYS_clone3, &a, sizeof a)); // no size
	AREA("lists and registrations");
	void *head;
	size_t n;
	R(syscall(SYS_get_robust_list, 0, &head, &n));
	N(n);
	R(syscall(SYS_set_robust_list, head, 1));
	R(syscall(SYS_set_robust_list, head, n));
	R(syscall(SYS_get_robust_list, 0x3fffffff, &head, &n));
	IS(syscall(SYS_set_tid_address, &ctid) == gettid());
	static char rs[64] __attribute__((aligned(32)));
	SAY("registration: %s", syscall(SYS_rseq, rs, 3, 0, 0) ? errname(errno) : "ok");
	R(syscall(SYS_rseq, rs, 32, 1, 0x53053053) == -1);
}
