// Walking of paths: links, loops, dots, slashes, long names, openat2.
#include "check.h"
#include <linux/openat2.h>

static char longname[5000];

static int open2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .resolve = resolve};
	int fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
	if (fd >= 0)
		close(fd);
	return fd;
}

static void links(void)
{
	AREA("links");
	must(mkdir("d", 0755));
	must(mkdir("d/e", 0755));
	put("d/f", "f");
	must(symlink("d", "toD"));
	must(symlink("d/", "toDslash"));
	must(symlink("../d/f", "d/up"));
	must(symlink("loop2", "loop1"));
	must(symlink("loop1", "loop2"));
	must(symlink("self/x", "self"));
	must(symlink(".", "dot"));
	must(symlink("d/f", "toF"));
	S(text("toD/f"));
	S(text("toDslash/f"));
	S(text("d/up"));
	S(text("toD/../d/e/../up"));
	S(text("dot/dot/dot/dot/d/f"));
	S(text("loop1"));
	S(text("loop1/x"));
	S(text("self"));
	S(text("toF/"));
	S(text("toF/."));
	S(text("d/f/.."));
	S(text("d/none/../f"));
	S(text("d//./e/.././//f"));
	S(text("./d/e/../../d/f"));
	char name[16], next[16];
	must(symlink("d/f", "c0"));
	for (int i = 1; i <= 41; i++) { // Linux follows 40 links
		snprintf(name, sizeof name, "c%d", i);
		snprintf(next, sizeof next, "c%d", i - 1);
		must(symlink(next, name));
	}
	S(text("c39"));
	S(text("c40"));
	struct stat st;
	R(lstat("toD", &st));
	IS(S_ISLNK(st.st_mode));
	N(st.st_size);
	R(lstat("toD/", &st));
	IS(S_ISDIR(st.st_mode));
	R(lstat("toF/", &st));
	R(stat("loop1", &st));
	R(lstat("loop1", &st));
	R(rmdir("toD"));
	R(rmdir("toD/"));
	R(mkdir("loop1", 0755));
	R(unlink("toDslash/"));
	R(rename("toD/", "moved"));
	R(rename("toD", "moved"));
	S(text("moved/f"));
	R(symlink("x", "toF"));
	R(symlink("", "empty"));
	R(symlink("x", "s/"));
}

static void names(void)
{
	AREA("names");
	memset(longname, 'n', sizeof longname - 1);
	longname[255] = 0;
	R(open(longname, O_CREAT | O_RDWR, 0600) >= 0);
	longname[255] = 'n';
	longname[256] = 0;
	R(open(longname, O_CREAT | O_RDWR, 0600));
	R(mkdir(longname, 0700));
	for (int i = 0; i < 4999; i++)
		longname[i] = i % 2 ? '/' : '.';
	longname[4094] = '.';
	longname[4095] = 0;
	OK(open(longname, O_RDONLY)); // 4095 and the NUL
	longname[4095] = '/';
	longname[4096] = 0;
	R(open(longname, O_RDONLY));
	longname[4095] = 0;
	R(symlink(longname, "longlink"));
	R(readlink("longlink", longname, sizeof longname) > 0);
	OK(open("sp ace\n\x80\xff", O_CREAT | O_RDWR, 0600));
	OK(open("...", O_CREAT | O_RDWR, 0600));
	R(open("a\0b", O_RDONLY));
	R(open((char *)-4096, O_RDONLY));
	R(open("/../../..", O_RDONLY) >= 0);
	R(open("//", O_RDONLY) >= 0);
}

static void dots(void)
{
	AREA("dots and descriptors");
	int d = must(open("d", O_RDONLY | O_DIRECTORY)), f = must(open("d/f", O_RDONLY));
	int p = must(open("d", O_PATH));
	struct stat st;
	R(fstatat(d, "f", &st, 0));
	R(fstatat(p, "f", &st, 0));
	R(fstatat(f, "x", &st, 0));
	R(fstatat(f, "/", &st, 0));
	R(fstatat(77, "f", &st, 0));
	R(fstatat(77, "/", &st, 0));
	R(fstatat(d, "", &st, 0));
	R(fstatat(d, "..", &st, 0));
	R(faccessat(d, "f", R_OK, 0));
	R(faccessat(d, "f", 8, 0));
	R(open2(AT_FDCWD, "d/up", O_RDONLY, 0) >= 0);
	R(open2(AT_FDCWD, "d/up", O_RDONLY, RESOLVE_NO_SYMLINKS));
	R(open2(d, "up", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "../d/f", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "/f", O_RDONLY, RESOLVE_BENEATH));
	R(open2(d, "e/../f", O_RDONLY, RESOLVE_BENEATH) >= 0);
	R(open2(d, "/f", O_RDONLY, RESOLVE_IN_ROOT) >= 0);
	R(open2(d, "../../f", O_RDONLY, RESOLVE_IN_ROOT) >= 0);
	R(open2(d, "up", O_RDONLY, RESOLVE_IN_ROOT));
	R(open2(AT_FDCWD, "/proc/self/fd/0", O_RDONLY, RESOLVE_NO_MAGICLINKS));
	R(open2(AT_FDCWD, "/proc/self/status", O_RDONLY, RESOLVE_NO_XDEV));
	R(open2(AT_FDCWD, "d", O_RDONLY, 0x1000));
	R(open2(AT_FDCWD, "d", 1ULL << 40, 0));
	R(syscall(SYS_openat2, AT_FDCWD, "d", &(struct open_how){}, 4));
	R(syscall(SYS_openat2, AT_FDCWD, "d", &(struct {struct open_how h; long more; }){}, sizeof(struct open_how) + 8) >= 0);
	R(syscall(SYS_openat2, AT_FDCWD, "d", &(struct {struct open_how h; long more; }){.more = 1}, sizeof(struct open_how) + 8));
	char name[64], b[256];
	snprintf(name, sizeof name, "/proc/self/fd/%d", f);
	S(text(name));
	ssize_t n = readlink(name, b, sizeof b - 1);
	b[n < 0 ? 0 : n] = 0;
	IS(n > 4 && !strcmp(b + n - 4, "/d/f"));
	R(unlink("d/f"));
	n = readlink(name, b, sizeof b - 1);
	b[n < 0 ? 0 : n] = 0;
	IS(n > 14 && !strcmp(b + n - 14, "/d/f (deleted)"));
	S(text(name)); // a magic link reaches the file still
	snprintf(name, sizeof name, "/proc/self/fd/%d/e", p);
	R(stat(name, &st));
	R(readlink("/proc/self/fd/77", b, sizeof b));
	R(readlink("d", b, sizeof b));
	R(readlink("moved", b, 0));
	R(readlink("moved", b, 1) == 1);
}

int main(void)
{
	scratch();
	links();
	names();
	dots();
}
