// runs: one two | "" "with space" | --flag=x
// What a program finds at its start: arguments, environment, auxiliary vector, descriptors, stack.
#include "check.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

extern char **environ;
static int constructed;
static int *relocated = &constructed;
static const char *table[] = {"zero", "one"};

__attribute__((constructor)) static void construct(int argc, char **argv, char **envp) { constructed = 1; }

static __attribute__((noinline)) int aligned(void)
{
	return ((uintptr_t)__builtin_frame_address(0) & 15) == 0;
}

int main(int argc, char **argv, char **envp)
{
	N(argc);
	for (int i = 1; i < argc; i++)
		S(argv[i]);
	IS(argv[argc] == 0);
	IS(envp == environ && getenv("PATH") != 0);
	N(constructed);
	N(*relocated);
	S(table[1]);
	IS(aligned());
	N(getauxval(AT_PAGESZ));
	N(getauxval(AT_CLKTCK));
	N(getauxval(AT_SECURE));
	IS(getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 2);
	N(getauxval(AT_PHENT));
	IS(getauxval(AT_ENTRY) != 0);
	IS(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() && getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
	IS(getauxval(AT_RANDOM) != 0);
	unsigned char zero[16] = {};
	IS(memcmp((void *)getauxval(AT_RANDOM), zero, 16) != 0);
	S((char *)getauxval(AT_PLATFORM));
	IS(getauxval(AT_HWCAP) != 0);
	IS(!strcmp((char *)getauxval(AT_EXECFN) + strlen((char *)getauxval(AT_EXECFN)) - 5, argv[0] + strlen(argv[0]) - 5));
	unsigned char *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	IS(vdso && !memcmp(vdso, ELFMAG, SELFMAG));
	errno = 0;
	N(getauxval(9999));
	N(errno);
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			SAY("descriptor %d is open, flags %d", fd, fcntl(fd, F_GETFD));
	sigset_t s;
	sigprocmask(0, 0, &s);
	int blocked = 0, handled = 0;
	for (int i = 1; i < 65; i++) {
		struct sigaction a;
		blocked += sigismember(&s, i) == 1;
		if (i == 32 || i == 33)
			continue; // the C library's own, which make leaves ignored
		handled += syscall(SYS_rt_sigaction, i, 0, &a, 8) == 0 && a.sa_handler != SIG_DFL;
	}
	N(blocked);
	N(handled);
	IS((uintptr_t)&argc > (uintptr_t)sbrk(0));
	N(read(0, &zero, 0));
	R(isatty(0));
	N(read(0, zero, 1));
}
