// modes: dynamic static nopie
// Vectors, positions with flags, and memory of a process read by itself.
#include "check.h"
#include <sys/mman.h>
#include <sys/uio.h>

int main(void)
{
	scratch();
	char a[4], b[4], c[100];
	struct iovec in[3] = {{a, 4}, {b, 4}, {c, 100}};
	struct iovec out[4] = {{"one", 3}, {"", 0}, {"two!", 4}, {"three", 5}};
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	AREA("vectors");
	R(writev(fd, out, 4));
	R(lseek(fd, 0, SEEK_SET));
	R(readv(fd, in, 3));
	SAY("%.4s|%.4s|%.4s", a, b, c);
	R(readv(fd, in, 3));
	R(readv(fd, in, 0));
	R(readv(fd, in, -1));
	static struct iovec many[IOV_MAX + 1];
	for (int i = 0; i <= IOV_MAX; i++)
		many[i] = (struct iovec){"x", 1};
	R(pwritev(fd, many, IOV_MAX, 0));
	R(pwritev(fd, many, IOV_MAX + 1, 0));
	R(readv(fd, (void *)8, 1));
	struct iovec neg[2] = {{a, 1}, {b, (size_t)-1}};
	R(readv(fd, neg, 2));
	struct iovec nil[2] = {{"ok", 2}, {(void *)8, 2}};
	R(pwritev(fd, nil, 2, 2000)); // what comes before the fault is written, or nothing
	struct iovec overflow[2] = {{a, SSIZE_MAX}, {b, 10}};
	R(writev(must(open("/dev/null", O_WRONLY)), overflow, 2));
	R(preadv(fd, in, 3, 1020));
	R(preadv(fd, in, 3, -1));
	R(preadv(99, in, 3, 0));

	AREA("flags");
	R(preadv2(fd, in, 1, 0, 0));
	R(lseek(fd, 5, SEEK_SET));
	R(preadv2(fd, in, 1, -1, 0)); // at the file's position
	R(lseek(fd, 0, SEEK_CUR));
	R(preadv2(fd, in, 1, 0, 0x40000000));
	R(pwritev2(fd, out, 1, 0, RWF_DSYNC));
	R(pwritev2(fd, out, 1, 0, RWF_SYNC));
	R(pwritev2(fd, out, 1, 0, RWF_APPEND));
	struct stat st;
	fstat(fd, &st);
	N(st.st_size);
	int p[2];
	must(pipe(p));
	R(preadv2(p[0], in, 1, -1, RWF_NOWAIT));
	R(preadv2(p[0], in, 1, 0, 0));
	R(pread(p[0], a, 1, 0));
	R(pwrite(p[1], a, 1, 0));

	AREA("partial");
	char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	memset(page, 'p', 4096);
	R(lseek(fd, 0, SEEK_SET));
	R(write(p[1], page, 4096));
	R(read(p[0], page + 4092, 4));
	R(read(p[0], page + 4096, 4));
	R(write(p[1], page + 4096, 4));
	mprotect(page, 4096, PROT_READ);
	R(read(p[0], page, 4));
	R(pread(fd, page, 4, 0));
	R(pwrite(fd, page, 4, 0));
	mprotect(page, 4096, PROT_NONE);
	R(pwrite(fd, page, 4, 0));
	struct stat *s = (void *)(page + 4000);
	R(fstat(fd, s));

	AREA("own memory");
	char from[] = "memory", to[10] = "";
	struct iovec l = {to, 6}, r = {from, 6};
	R(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
	S(to);
	r.iov_base = (void *)8;
	R(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
	R(process_vm_readv(getpid(), &l, 1, &r, 1, 1));
	R(process_vm_writev(0x3fffffff, &l, 1, &r, 1, 0));
}
