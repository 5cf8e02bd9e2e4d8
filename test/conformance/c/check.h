// Checks of the conformance programs. Each prints one line that does not depend
// on process ids, addresses or time, so that Linux's output is the oracle.
//
//	R(call)    what the call returns, or the error's name
//	OK(call)   "ok" if it does not return -1, else the error's name
//	E(call)    the same for calls that return the error, as pthread's do
//	N(expr)    a number
//	X(expr)    a number in hexadecimal: flags, masks
//	S(expr)    a string
//	IS(cond)   yes or no
//	SAY(...)   any line
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifndef __GLIBC__ // musl of 2022 leaves these to the kernel's headers
#include <linux/fs.h>
#include <linux/stat.h>
#define statx(dir, path, flags, mask, buf) syscall(SYS_statx, dir, path, flags, mask, buf)
#endif

static inline const char *errname(int e)
{
	switch (e) {
#define NAME(n) case n: return #n;
	NAME(EPERM) NAME(ENOENT) NAME(ESRCH) NAME(EINTR) NAME(EIO) NAME(ENXIO) NAME(E2BIG) NAME(ENOEXEC)
	NAME(EBADF) NAME(ECHILD) NAME(EAGAIN) NAME(ENOMEM) NAME(EACCES) NAME(EFAULT) NAME(ENOTBLK) NAME(EBUSY)
	NAME(EEXIST) NAME(EXDEV) NAME(ENODEV) NAME(ENOTDIR) NAME(EISDIR) NAME(EINVAL) NAME(ENFILE) NAME(EMFILE)
	NAME(ENOTTY) NAME(ETXTBSY) NAME(EFBIG) NAME(ENOSPC) NAME(ESPIPE) NAME(EROFS) NAME(EMLINK) NAME(EPIPE)
	NAME(EDOM) NAME(ERANGE) NAME(EDEADLK) NAME(ENAMETOOLONG) NAME(ENOLCK) NAME(ENOSYS) NAME(ENOTEMPTY)
	NAME(ELOOP) NAME(ENODATA) NAME(ETIME) NAME(EOVERFLOW) NAME(EILSEQ) NAME(ENOTSOCK) NAME(EDESTADDRREQ)
	NAME(EMSGSIZE) NAME(EPROTOTYPE) NAME(ENOPROTOOPT) NAME(EPROTONOSUPPORT) NAME(ESOCKTNOSUPPORT)
	NAME(EOPNOTSUPP) NAME(EPFNOSUPPORT) NAME(EAFNOSUPPORT) NAME(EADDRINUSE) NAME(EADDRNOTAVAIL)
	NAME(ENETDOWN) NAME(ENETUNREACH) NAME(ENETRESET) NAME(ECONNABORTED) NAME(ECONNRESET) NAME(ENOBUFS)
	NAME(EISCONN) NAME(ENOTCONN) NAME(ESHUTDOWN) NAME(ETIMEDOUT) NAME(ECONNREFUSED) NAME(EHOSTUNREACH)
	NAME(EALREADY) NAME(EINPROGRESS) NAME(ESTALE) NAME(ECANCELED) NAME(EOWNERDEAD) NAME(ENOTRECOVERABLE)
#undef NAME
	}
	static __thread char other[24];
	snprintf(other, sizeof other, "errno %d", e);
	return other;
}

static inline void say(const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n++] = '\n';
	for (int done = 0; done < n;) {
		ssize_t w = write(1, line + done, n - done);
		if (w < 0 && errno != EINTR)
			_exit(99);
		if (w > 0)
			done += w;
	}
}

static inline void say_ret(const char *what, long r)
{
	if (r == -1)
		say("%s: %s", what, errname(errno));
	else
		say("%s: %ld", what, r);
}

static inline void say_ok(const char *what, long r) { say("%s: %s", what, r == -1 ? errname(errno) : "ok"); }

static inline void say_err(const char *what, int e) { say("%s: %s", what, e ? errname(e) : "ok"); }

#define SAY(...) say(__VA_ARGS__)
#define R(call) do { errno = 0; say_ret(#call, (long)(call)); } while (0)
#define OK(call) do { errno = 0; say_ok(#call, (long)(call)); } while (0)
#define E(call) do { say_err(#call, (call)); } while (0)
#define N(expr) do { say("%s = %lld", #expr, (long long)(expr)); } while (0)
#define X(expr) do { say("%s = 0x%llx", #expr, (unsigned long long)(expr)); } while (0)
#define S(expr) do { say("%s = \"%s\"", #expr, (const char *)(expr)); } while (0)
#define IS(cond) do { say("%s: %s", #cond, (cond) ? "yes" : "no"); } while (0)
#define AREA(name) say("-- %s", name)

// must ends the program where the checks that follow would make no sense.
#define must(call) ({ errno = 0; __typeof__(call) r_ = (call); \
	if ((long)r_ == -1) { say("line %d: %s: %s", __LINE__, #call, errname(errno)); exit(98); } r_; })

// scratch makes an empty directory and goes there; the host's test removes it.
static inline void scratch(void)
{
	static char dir[256];
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/check.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir) || chdir(dir)) {
		say("scratch directory %s: %s", dir, errname(errno));
		exit(97);
	}
	umask(022);
}

static inline void put(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	must(write(fd, text, strlen(text)));
	close(fd);
}

// text is a file's content, of at most 255 bytes.
static inline const char *text(const char *path)
{
	static __thread char buf[256];
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return errname(errno);
	ssize_t n = read(fd, buf, sizeof buf - 1);
	close(fd);
	if (n < 0)
		return errname(errno);
	buf[n] = 0;
	return buf;
}

static inline void ms(int n)
{
	struct timespec t = {n / 1000, n % 1000 * 1000000L};
	while (nanosleep(&t, &t) && errno == EINTR) {
	}
}

static inline long long now_ns(clockid_t c)
{
	struct timespec t;
	clock_gettime(c, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// took says whether ms milliseconds have passed since start, and not ten seconds more.
static inline int took(long long start, int ms)
{
	long long d = now_ns(CLOCK_MONOTONIC) - start;
	return d >= ms * 1000000LL && d < (ms + 10000) * 1000000LL;
}

// handle sets a handler; flags may have SA_SIGINFO.
static inline void handle(int sig, void (*f)(int, siginfo_t *, void *), int flags)
{
	struct sigaction a;
	memset(&a, 0, sizeof a);
	a.sa_sigaction = f;
	a.sa_flags = flags | SA_SIGINFO;
	sigemptyset(&a.sa_mask);
	sigaction(sig, &a, 0);
}

#endif
