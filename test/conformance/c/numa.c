// modes: dynamic static nopie
// Memory policies with one node, protection keys.
#include "check.h"
#include <sys/mman.h>

#define P(call) R((long)(call))

int main(void)
{
	AREA("policies");
	int mode = 99;
	unsigned long set[16] = {0}, one[16] = {1}, two[16] = {2}, none[16] = {0};
	P(syscall(SYS_get_mempolicy, &mode, set, 1024, 0, 0));
	N(mode);
	N(set[0]);
	P(syscall(SYS_set_mempolicy, 2, one, 1024));
	P(syscall(SYS_get_mempolicy, &mode, set, 1024, 0, 0));
	N(mode);
	N(set[0]);
	P(syscall(SYS_set_mempolicy, 2, none, 1024));
	P(syscall(SYS_set_mempolicy, 2, two, 1024));
	P(syscall(SYS_set_mempolicy, 0, one, 1024));
	P(syscall(SYS_set_mempolicy, 99, one, 1024));
	P(syscall(SYS_set_mempolicy, 1, none, 1024));
	P(syscall(SYS_get_mempolicy, &mode, set, 1024, 0, 0));
	N(mode);
	P(syscall(SYS_set_mempolicy, 3, one, 1024));
	P(syscall(SYS_get_mempolicy, &mode, 0, 0, 0, 1));
	N(mode);
	P(syscall(SYS_set_mempolicy, 0, 0, 0));
	P(syscall(SYS_get_mempolicy, &mode, set, 1024, 0, 4));
	N(set[0]);
	P(syscall(SYS_get_mempolicy, &mode, 0, 0, 0, 99));
	char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*p = 1;
	P(syscall(SYS_get_mempolicy, &mode, 0, 0, p, 3));
	N(mode);
	P(syscall(SYS_get_mempolicy, &mode, 0, 0, 0, 3));
	P(syscall(SYS_mbind, p, 8192, 2, one, 1024, 0));
	P(syscall(SYS_mbind, p + 1, 8192, 2, one, 1024, 0));
	P(syscall(SYS_mbind, p, 8192, 2, two, 1024, 0));
	P(syscall(SYS_mbind, p, 8192, 2, one, 1024, 64));
	P(syscall(SYS_mbind, 4096, 8192, 2, one, 1024, 0));
	P(syscall(SYS_migrate_pages, 0, 1024, one, one));
	char *far = mmap(0, 1 << 21, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(madvise(far, 1 << 21, MADV_NOHUGEPAGE));
	void *pages[2] = {p, far + (1 << 20)};
	int status[2] = {99, 99};
	P(syscall(SYS_move_pages, 0, 2, pages, 0, status, 0));
	SAY("%d %d", status[0], status[1]);

	AREA("keys");
	P(pkey_alloc(1, 0));
	P(pkey_alloc(0, 4));
	P(pkey_free(99));
	P(pkey_mprotect(p, 4096, PROT_READ, -1));
	P(pkey_mprotect(p, 4096, PROT_READ, 99));
	return 0;
}
