// Extended attributes.
#include "check.h"
#include <sys/xattr.h>

static int has(const char *list, ssize_t n, const char *name)
{
	for (ssize_t i = 0; i < n; i += strlen(list + i) + 1)
		if (!strcmp(list + i, name))
			return 1;
	return 0;
}

int main(void)
{
	scratch();
	char b[256];
	static char big[70000];
	put("f", "x");
	must(symlink("f", "l"));
	must(mkdir("d", 0755));
	int fd = must(open("f", O_RDWR));
	R(getxattr("f", "user.a", b, sizeof b));
	R(setxattr("f", "user.a", "one", 3, 0));
	R(getxattr("f", "user.a", b, sizeof b));
	IS(!memcmp(b, "one", 3));
	R(getxattr("f", "user.a", 0, 0));
	R(getxattr("f", "user.a", b, 2));
	R(setxattr("f", "user.a", "three", 5, XATTR_CREATE));
	R(setxattr("f", "user.a", "three", 5, XATTR_REPLACE));
	R(setxattr("f", "user.none", "x", 1, XATTR_REPLACE));
	R(setxattr("f", "user.b", "", 0, XATTR_CREATE));
	R(getxattr("f", "user.b", b, sizeof b));
	R(setxattr("f", "user.c", "x", 1, 4));
	ssize_t n = listxattr("f", b, sizeof b);
	IS(has(b, n, "user.a") && has(b, n, "user.b"));
	IS(n >= 14 && listxattr("f", 0, 0) == n);
	R(listxattr("f", b, 3));
	R(fgetxattr(fd, "user.a", b, sizeof b));
	R(fsetxattr(fd, "user.c", "ccc", 3, 0));
	R(getxattr("l", "user.c", b, sizeof b));
	R(lgetxattr("l", "user.c", b, sizeof b));
	R(lsetxattr("l", "user.c", "ccc", 3, 0));
	R(removexattr("f", "user.b"));
	R(removexattr("f", "user.b"));
	R(fremovexattr(fd, "user.c"));
	R(getxattr("none", "user.a", b, sizeof b));
	R(setxattr("f", "noprefix", "x", 1, 0));
	R(setxattr("f", "other.x", "x", 1, 0));
	R(setxattr("f", "user.", "x", 1, 0));
	R(setxattr("f", "", "x", 1, 0));
	memset(big, 'n', 300);
	memcpy(big, "user.", 5);
	R(setxattr("f", big, "x", 1, 0));
	R(setxattr("f", "user.big", big, sizeof big, 0));
	R(setxattr("d", "user.d", "dir", 3, 0));
	R(getxattr("d", "user.d", b, sizeof b));
	R(fgetxattr(99, "user.a", b, sizeof b));
	R(setxattr("f", "user.a", (void *)8, 10, 0));
	must(unlink("f"));
	R(fgetxattr(fd, "user.a", b, sizeof b));
	R(mkfifo("p", 0600));
	R(setxattr("p", "user.x", "x", 1, 0));
}
