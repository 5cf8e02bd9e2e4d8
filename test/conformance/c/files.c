// Open flags, reads and writes at positions, sizes, holes, devices.
#include "check.h"
#include <sys/resource.h>
#include <sys/uio.h>

static char buf[8192];

static void flags(void)
{
	AREA("flags");
	R(open("none", O_RDONLY));
	R(open("", O_RDONLY));
	R(open(0, O_RDONLY));
	R(open("/", O_WRONLY));
	R(open(".", O_RDWR | O_CREAT, 0644));
	OK(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
	R(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
	R(open("f/x", O_RDONLY));
	R(open("f", O_RDONLY | O_DIRECTORY));
	R(open("new/", O_RDWR | O_CREAT, 0644));
	R(symlink("f", "l"));
	R(open("l", O_RDONLY | O_NOFOLLOW));
	R(open("l", O_RDWR | O_CREAT | O_EXCL, 0644));
	R(symlink("target", "dangling"));
	R(open("dangling", O_RDONLY));
	R(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
	OK(open("dangling", O_RDWR | O_CREAT, 0600));
	R(access("target", F_OK));
	int fd = must(open("f", O_RDONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC));
	X(fcntl(fd, F_GETFL) & ~O_LARGEFILE & ~0100000);
	N(fcntl(fd, F_GETFD));
	R(write(fd, "x", 1));
	R(close(fd));
	R(close(fd));
	R(read(fd, buf, 1));
	R(fcntl(fd, F_GETFL));
	fd = must(open("f", O_WRONLY));
	R(read(fd, buf, 1));
	R(pread(fd, buf, 1, 0));
	close(fd);
	fd = must(open("l", O_PATH | O_NOFOLLOW));
	struct stat st;
	R(fstat(fd, &st));
	IS(S_ISLNK(st.st_mode));
	R(readlinkat(fd, "", buf, sizeof buf));
	R(read(fd, buf, 1));
	R(fchmod(fd, 0600));
	R(ftruncate(fd, 0));
	X(fcntl(fd, F_GETFL) & O_PATH);
	close(fd);
	R(openat(AT_FDCWD, "f", O_RDONLY | O_TMPFILE, 0600));
	fd = open(".", O_RDWR | O_TMPFILE, 0600);
	OK(fd);
	if (fd >= 0) {
		R(write(fd, "tmp", 3));
		R(fstat(fd, &st));
		N(st.st_nlink);
		char name[64];
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		R(linkat(AT_FDCWD, name, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
		S(text("linked"));
		close(fd);
	}
}

static void positions(void)
{
	AREA("positions");
	int fd = must(open("p", O_RDWR | O_CREAT | O_TRUNC, 0644));
	R(write(fd, "0123456789", 10));
	R(lseek(fd, 0, SEEK_CUR));
	R(lseek(fd, -3, SEEK_END));
	R(read(fd, buf, 100));
	R(read(fd, buf, 100));
	R(lseek(fd, -1, SEEK_SET));
	R(lseek(fd, -100, SEEK_CUR));
	R(lseek(fd, 0, 99));
	R(lseek(fd, 20, SEEK_SET));
	R(write(fd, "x", 1));
	R(lseek(fd, 0, SEEK_END));
	R(pread(fd, buf, 5, 8));
	IS(!memcmp(buf, "89\0\0\0", 5));
	R(pread(fd, buf, 5, 21));
	R(pread(fd, buf, 5, -1));
	R(pwrite(fd, "y", 1, -1));
	R(pwrite(fd, "AB", 2, 0));
	R(lseek(fd, 0, SEEK_CUR));
	R(read(fd, 0, 0));
	R(pread(fd, (void *)8, 5, 0));
	R(pwrite(fd, (void *)8, 5, 0));
	R(lseek(fd, 0, SEEK_DATA));
	R(lseek(fd, 21, SEEK_DATA));
	R(lseek(fd, 0, SEEK_HOLE));
	R(lseek(fd, 1000, SEEK_HOLE));
	R(syscall(SYS_read, fd, buf, (size_t)-1));
	int d = must(dup(fd));
	R(lseek(d, 3, SEEK_SET));
	R(lseek(fd, 0, SEEK_CUR));
	close(d);
	int a = must(open("p", O_RDWR | O_APPEND));
	R(pwrite(a, "end", 3, 0)); // appends, as Linux does
	R(lseek(a, 0, SEEK_END));
	R(lseek(a, 0, SEEK_SET));
	R(write(a, "!", 1));
	R(lseek(a, 0, SEEK_CUR));
	close(a);
	close(fd);
	R(lseek(fd, 0, SEEK_SET));
	R(lseek(0x7fffffff, 0, SEEK_SET));
}

static void sizes(void)
{
	AREA("sizes");
	struct stat st;
	int fd = must(open("s", O_RDWR | O_CREAT | O_TRUNC, 0644));
	R(ftruncate(fd, 100000));
	R(fstat(fd, &st));
	N(st.st_size);
	R(ftruncate(fd, -1));
	R(truncate("s", 7));
	R(stat("s", &st));
	N(st.st_size);
	R(truncate("none", 0));
	R(truncate(".", 0));
	int r = must(open("s", O_RDONLY));
	R(ftruncate(r, 0));
	close(r);
	R(write(fd, "abcdefg", 7));
	R(ftruncate(fd, 3));
	R(ftruncate(fd, 7));
	R(pread(fd, buf, 100, 0));
	IS(!memcmp(buf, "abc\0\0\0\0", 7));
	R(fallocate(fd, 0, 0, 5000));
	R(fstat(fd, &st));
	N(st.st_size);
	IS(st.st_blocks > 0);
	R(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 50000));
	R(fstat(fd, &st));
	N(st.st_size);
	R(pwrite(fd, "zzzz", 4, 4094));
	R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	R(pread(fd, buf, 4, 4094));
	IS(!memcmp(buf, "zz\0\0", 4));
	R(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	R(fallocate(fd, 0, -1, 10));
	R(fallocate(fd, 0, 0, 0));
	R(posix_fallocate(fd, 0, 6000));
	R(fstat(fd, &st));
	N(st.st_size);
	R(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	R(posix_fadvise(fd, 0, 0, 77));
	R(fsync(fd));
	R(fdatasync(fd));
	R(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	R(syncfs(fd));
	R(readahead(fd, 0, 4096));
	R(unlink("s"));
	R(fstat(fd, &st));
	N(st.st_nlink);
	R(pread(fd, buf, 3, 0));
	IS(!memcmp(buf, "abc", 3));
	close(fd);
	R(open("s", O_RDONLY));
	put("t", "content");
	fd = must(open("t", O_RDWR | O_TRUNC));
	R(fstat(fd, &st));
	N(st.st_size);
	close(fd);
}

static void on_xfsz(int s, siginfo_t *i, void *c) { SAY("SIGXFSZ"); }

static void limits(void)
{
	AREA("limits");
	int fd = must(open("big", O_RDWR | O_CREAT, 0644));
	handle(SIGXFSZ, on_xfsz, 0);
	struct rlimit old, l = {1000, RLIM_INFINITY};
	getrlimit(RLIMIT_FSIZE, &old);
	l.rlim_max = old.rlim_max;
	R(setrlimit(RLIMIT_FSIZE, &l));
	R(pwrite(fd, buf, 10, 995));
	R(pwrite(fd, buf, 10, 1000));
	R(ftruncate(fd, 2000));
	R(setrlimit(RLIMIT_FSIZE, &old));
	R(pwrite(fd, buf, 10, 1000));
	close(fd);
	struct rlimit n;
	getrlimit(RLIMIT_NOFILE, &old);
	n = old;
	n.rlim_cur = 10;
	R(setrlimit(RLIMIT_NOFILE, &n));
	int last = -1, got;
	while ((got = dup(1)) >= 0)
		last = got;
	N(errno == EMFILE);
	N(last);
	R(dup2(1, 10));
	R(fcntl(1, F_DUPFD, 10));
	R(open("f", O_RDONLY));
	R(setrlimit(RLIMIT_NOFILE, &old));
	R(dup2(1, 100));
	R(close(100));
	R(syscall(SYS_close_range, 3, ~0u, 0));
	R(fcntl(3, F_GETFD));
	R(syscall(SYS_close_range, 5, 3, 0));
}

static void devices(void)
{
	AREA("devices");
	int fd = must(open("/dev/null", O_RDWR));
	R(write(fd, buf, 8192));
	R(read(fd, buf, 10));
	R(lseek(fd, 100, SEEK_SET));
	struct stat st;
	fstat(fd, &st);
	IS(S_ISCHR(st.st_mode));
	X(st.st_rdev);
	close(fd);
	fd = must(open("/dev/zero", O_RDWR));
	memset(buf, 1, sizeof buf);
	R(read(fd, buf, sizeof buf));
	N(buf[0] + buf[8191]);
	R(write(fd, buf, 5));
	close(fd);
	fd = must(open("/dev/full", O_RDWR));
	R(write(fd, buf, 1));
	R(read(fd, buf, 1));
	close(fd);
	fd = must(open("/dev/urandom", O_RDONLY));
	R(read(fd, buf, 100));
	close(fd);
	R(open("/dev/null", O_RDONLY | O_DIRECTORY));
	R(open("/dev/none", O_RDONLY));
	fd = must(open("/dev/fd/1", O_WRONLY));
	R(write(fd, "through /dev/fd\n", 16));
	close(fd);
	must(close(0));
	R(open("/dev/null", O_RDONLY)); // the lowest free number
}

static void identity(void)
{
	AREA("identity");
	struct stat a, b;
	put("i", "x");
	must(stat("i", &a));
	int fd = must(open("i", O_RDONLY));
	must(fstat(fd, &b));
	IS(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	must(stat(".", &b));
	IS(a.st_dev == b.st_dev);
	X(a.st_mode);
	N(a.st_nlink);
	R(fstat(999, &a));
	R(stat("none", &a));
	R(syscall(SYS_stat, "i", 8));
	R(fstatat(fd, "x", &a, 0));
	R(fstatat(fd, "", &a, AT_EMPTY_PATH));
	N(a.st_size);
	R(fstatat(AT_FDCWD, "", &a, 0));
	R(fstatat(AT_FDCWD, "i", &a, 0x8000000));
	struct statx sx;
	R(statx(AT_FDCWD, "i", 0, STATX_BASIC_STATS, &sx));
	IS((sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	X(sx.stx_mode);
	IS(sx.stx_ino == a.st_ino);
	R(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
	N(sx.stx_size);
	R(statx(AT_FDCWD, "i", 0, 0x80000000, &sx));
	R(statx(AT_FDCWD, "i", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
	close(fd);
}

int main(void)
{
	scratch();
	flags();
	positions();
	sizes();
	identity();
	limits();
	devices();
}
