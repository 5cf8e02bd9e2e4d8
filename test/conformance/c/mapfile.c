// Files in memory: private and shared, beyond the end, memfd with seals.
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

#define P 4096UL
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static volatile int code;

static void on_fault(int s, siginfo_t *i, void *c)
{
	code = s * 100 + i->si_code;
	siglongjmp(back, 1);
}

static int touch(volatile char *p, int write)
{
	if (sigsetjmp(back, 1))
		return code;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

static int fd;

static char *map(int prot, int flags, off_t at, size_t n) { return mmap(0, n, prot, flags, fd, at); }

static void shared(void)
{
	AREA("shared");
	char b[16] = "";
	fd = must(open("f", O_RDWR | O_CREAT, 0644));
	must(ftruncate(fd, 3 * P + 100));
	must(pwrite(fd, "begin", 5, 0));
	char *a = map(RW, MAP_SHARED, 0, 4 * P), *c = map(PROT_READ, MAP_SHARED, P, P);
	char *v = map(RW, MAP_PRIVATE, 0, 4 * P);
	SAY("%.5s %.5s", a, v);
	memcpy(a, "BEGIN", 5);
	R(pread(fd, b, 5, 0));
	SAY("%.5s", b);
	SAY("read, not copied: %.5s", v);
	memcpy(v, "mine!", 5);
	R(pread(fd, b, 5, 0));
	SAY("%.5s %.5s %.5s", b, a, v);
	must(pwrite(fd, "write", 5, 0));
	SAY("%.5s %.5s", a, v);
	a[P] = 'x';
	N(c[0]);
	N(touch(c, 1));
	N(a[3 * P + 99]);
	a[3 * P + 200] = 'z'; // beyond the end, in the last page
	struct stat st;
	must(fstat(fd, &st));
	N(st.st_size);
	R(pread(fd, b, 5, 3 * P + 199));
	R(msync(a, 4 * P, MS_SYNC));
	R(msync(a, 4 * P, MS_ASYNC | MS_INVALIDATE));
	must(ftruncate(fd, 3 * P + 50));
	must(ftruncate(fd, 3 * P + 300));
	R(pread(fd, b, 1, 3 * P + 200));
	N(b[0]); // truncation has cleared it
	must(ftruncate(fd, P));
	N(touch(a + P - 1, 1));
	N(touch(a + P, 0));
	N(touch(a + 3 * P, 1));
	N(touch(v, 0));
	SAY("private, beyond the end: %d", touch(v + P, 1));
	must(ftruncate(fd, 4 * P));
	N(touch(a + P, 0));
	N(a[P]);
	char *beyond = map(RW, MAP_SHARED, 0, 8 * P);
	N(touch(beyond + 4 * P, 0));
	must(pwrite(fd, "more", 4, 4 * P));
	N(touch(beyond + 4 * P, 0));
	IS(!memcmp(beyond + 4 * P, "more", 4));
	R(read(fd, beyond + 6 * P, 10)); // into what cannot be touched
	R(munmap(beyond, 8 * P));
	close(fd); // mappings stay
	a[0] = 'Q';
	S(text("f")[0] == 'Q' ? "Q" : "not Q");
	must(unlink("f"));
	N(a[0]);
	R(munmap(a, 4 * P));
}

static void errors(void)
{
	AREA("errors");
	put("g", "content");
	int rd = must(open("g", O_RDONLY)), wr = must(open("g", O_WRONLY));
	fd = rd;
	IS(map(RW, MAP_SHARED, 0, P) == MAP_FAILED && errno == EACCES);
	IS(map(RW, MAP_PRIVATE, 0, P) != MAP_FAILED);
	char *ro = map(PROT_READ, MAP_SHARED, 0, P);
	R(mprotect(ro, P, RW));
	IS(map(PROT_READ, MAP_SHARED, 100, P) == MAP_FAILED && errno == EINVAL);
	IS(map(PROT_READ, MAP_SHARED, 1L << 40, P) != MAP_FAILED);
	IS(map(PROT_READ, 0, 0, P) == MAP_FAILED && errno == EINVAL);
	IS(map(PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, 0, P) == MAP_FAILED && errno == EOPNOTSUPP);
	fd = wr;
	IS(map(PROT_WRITE, MAP_SHARED, 0, P) == MAP_FAILED && errno == EACCES);
	fd = must(open(".", O_RDONLY));
	IS(map(PROT_READ, MAP_PRIVATE, 0, P) == MAP_FAILED && errno == ENODEV);
	int p[2];
	must(pipe(p));
	fd = p[0];
	IS(map(PROT_READ, MAP_PRIVATE, 0, P) == MAP_FAILED && errno == ENODEV);
	fd = must(open("/dev/zero", O_RDWR));
	char *z = map(RW, MAP_PRIVATE, 0, 2 * P);
	N(z[P]);
	N(touch(z, 1));
	z = map(RW, MAP_SHARED, 0, P);
	N(touch(z, 1));
	fd = must(open("g", O_PATH));
	IS(map(PROT_READ, MAP_PRIVATE, 0, P) == MAP_FAILED && errno == EBADF);
	fd = rd;
	char *e = map(PROT_READ, MAP_PRIVATE, 0, P);
	SAY("%.7s %d", e, e[7]);
	must(pwrite(wr, "CONTENT", 7, 0)); // seen as long as no copy is made
	SAY("read, not copied: %.7s", e);
}

static void memfds(void)
{
	AREA("memfd");
	struct stat st;
	char name[64], link[64] = "";
	R(memfd_create("x", 0x40000000));
	fd = must(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	N(fcntl(fd, F_GETFD));
	R(write(fd, "hello", 5));
	must(fstat(fd, &st));
	IS(S_ISREG(st.st_mode));
	N(st.st_nlink);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	readlink(name, link, sizeof link - 1);
	S(link);
	int again = must(open(name, O_RDONLY));
	R(read(again, link, 5));
	R(ftruncate(fd, 2 * P));
	char *m = map(RW, MAP_SHARED, 0, 2 * P);
	SAY("%.5s", m);
	X(fcntl(fd, F_GET_SEALS));
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); // mapped writable
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	R(ftruncate(fd, P));
	R(ftruncate(fd, 3 * P));
	R(pwrite(fd, "x", 1, 2 * P));
	R(pwrite(fd, "xy", 2, 2 * P - 1));
	munmap(m, 2 * P);
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	R(pwrite(fd, "x", 1, 0));
	IS(map(RW, MAP_SHARED, 0, P) == MAP_FAILED && errno == EPERM);
	IS(map(PROT_READ, MAP_SHARED, 0, P) != MAP_FAILED);
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	X(fcntl(fd, F_GET_SEALS));
	fd = must(memfd_create("plain", 0));
	X(fcntl(fd, F_GET_SEALS));
	R(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	AREA("ring buffer"); // one object twice, side by side
	must(ftruncate(fd, P));
	char *ring = mmap(0, 2 * P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	IS(mmap(ring, P, RW, MAP_SHARED | MAP_FIXED, fd, 0) == ring);
	IS(mmap(ring + P, P, RW, MAP_SHARED | MAP_FIXED, fd, 0) == ring + P);
	memcpy(ring + P - 3, "across", 6);
	SAY("%.3s", ring);
	IS(mremap(ring, P, 2 * P, MREMAP_MAYMOVE) != MAP_FAILED);
	char *s = mmap(0, 2 * P, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[P] = 7;
	char *d = mremap(s, 0, 2 * P, MREMAP_MAYMOVE); // a second view
	N(d != MAP_FAILED ? d[P] : -1);
	R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, P));
	N(ring[P]);
}

int main(void)
{
	scratch();
	handle(SIGSEGV, on_fault, 0);
	handle(SIGBUS, on_fault, 0);
	shared();
	errors();
	memfds();
}
