// needs: 6.10
// mseal: memory whose mapping cannot be changed any more.
#include "check.h"
#include <sys/mman.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

int main(void)
{
	char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	R(syscall(SYS_mseal, m, 4096, 1));
	R(syscall(SYS_mseal, m + 1, 4096, 0));
	R(syscall(SYS_mseal, m, 4096, 0));
	R(munmap(m, 8192));
	R(mprotect(m, 4096, PROT_READ));
	IS(mremap(m, 4096, 12288, MREMAP_MAYMOVE) == MAP_FAILED && errno == EPERM);
	IS(mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EPERM);
	m[0] = 1;
	R(munmap(m + 4096, 4096));
	R(mprotect(m, 4096, PROT_READ));
	R(madvise(m, 4096, MADV_WILLNEED));
}
