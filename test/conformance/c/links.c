// Hard links, symbolic links, special files.
#include "check.h"
#include <sys/sysmacros.h>

static int count(const char *path)
{
	struct stat st;
	return lstat(path, &st) ? -errno : (int)st.st_nlink;
}

int main(void)
{
	scratch();
	AREA("hard");
	char b[64];
	put("a", "one");
	must(mkdir("d", 0755));
	R(link("a", "b"));
	N(count("a"));
	R(link("a", "b"));
	R(link("a", "none/b"));
	R(link("none", "c"));
	R(link("d", "e"));
	R(link("a", "d/"));
	R(link("a", "x/"));
	put("b", "two");
	S(text("a"));
	R(unlink("a"));
	N(count("b"));
	S(text("b"));
	R(symlink("b", "s"));
	R(link("s", "hs")); // the link itself
	N(count("s"));
	R(readlink("hs", b, sizeof b));
	R(linkat(AT_FDCWD, "s", AT_FDCWD, "hb", AT_SYMLINK_FOLLOW));
	N(count("b"));
	R(linkat(AT_FDCWD, "s", AT_FDCWD, "x", 0x10000));
	R(linkat(AT_FDCWD, "", AT_FDCWD, "x", 0));
	int fd = must(open("b", O_RDONLY));
	int dir = must(open("d", O_RDONLY));
	R(linkat(dir, "../b", dir, "in", 0));
	S(text("d/in"));
	R(linkat(fd, "", AT_FDCWD, "byfd", AT_EMPTY_PATH));
	R(linkat(fd, "x", AT_FDCWD, "y", 0));
	N(count("b"));

	AREA("soft");
	R(readlink("s", b, sizeof b));
	IS(!memcmp(b, "b", 1));
	R(readlink("b", b, sizeof b));
	R(readlink("none", b, sizeof b));
	R(readlink("s", b, -1));
	R(readlink("s", (void *)8, 10));
	R(symlinkat("in", dir, "t"));
	S(text("d/t"));
	R(symlinkat("in", dir, "t"));
	R(readlinkat(dir, "t", b, sizeof b));
	R(chmod("s", 0600));
	struct stat st;
	lstat("s", &st);
	X(st.st_mode);
	stat("b", &st);
	X(st.st_mode);
	R(symlink("none", "dang"));
	R(stat("dang", &st));
	R(lstat("dang", &st));
	N(st.st_size);
	R(access("dang", F_OK));
	R(faccessat(AT_FDCWD, "dang", F_OK, AT_SYMLINK_NOFOLLOW));
	R(unlink("dang"));
	R(lstat("dang", &st));

	AREA("special");
	R(mkfifo("p", 0644));
	R(mkfifo("p", 0644));
	stat("p", &st);
	X(st.st_mode);
	R(mknod("n", S_IFREG | 0600, 0));
	stat("n", &st);
	X(st.st_mode);
	R(mknod("n", S_IFREG | 0600, 0));
	R(mknod("dir", S_IFDIR | 0600, 0));
	R(mknod("bad", 0xd000 | 0600, 0));
	R(mknod("sock", S_IFSOCK | 0600, 0));
	stat("sock", &st);
	X(st.st_mode);
	R(open("sock", O_RDONLY));
	R(mknodat(dir, "fifo", S_IFIFO | 0600, 0));
	R(lseek(must(open("p", O_RDWR)), 0, SEEK_CUR));
	R(unlink("p"));
}
