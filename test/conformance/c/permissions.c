// needs: root
// Modes, owners, and what another user may do.
#include "check.h"
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <grp.h>

static unsigned mode(const char *path)
{
	struct stat st;
	return stat(path, &st) ? 0 : st.st_mode;
}

static const char *owner(const char *path)
{
	static char b[64];
	struct stat st;
	if (lstat(path, &st))
		return errname(errno);
	snprintf(b, sizeof b, "%d:%d", (int)st.st_uid, (int)st.st_gid);
	return b;
}

static void modes(void)
{
	AREA("modes");
	int fd = must(open("f", O_CREAT | O_RDWR, 0666));
	X(mode("f"));
	N(umask(077));
	close(must(open("g", O_CREAT | O_RDWR, 0777)));
	X(mode("g"));
	N(umask(022));
	R(chmod("f", 07777));
	X(mode("f"));
	R(fchmod(fd, 0640));
	X(mode("f"));
	R(chmod("none", 0600));
	R(fchmod(99, 0600));
	R(fchmodat(AT_FDCWD, "f", 0600, 0));
	R(fchmodat(99, "f", 0600, 0));
	R(chmod("f", 0xfffff000 | 0644));
	X(mode("f"));
	R(chmod("f", 06755));
	R(chown("f", 1000, 1000)); // takes the bits away
	X(mode("f"));
	S(owner("f"));
	R(chown("f", -1, 7));
	S(owner("f"));
	R(fchown(fd, 0, -1));
	S(owner("f"));
	must(symlink("f", "l"));
	R(lchown("l", 5, 6));
	S(owner("l"));
	S(owner("f"));
	R(fchownat(AT_FDCWD, "l", 8, 9, AT_SYMLINK_NOFOLLOW));
	S(owner("l"));
	R(fchownat(fd, "", 3, 4, AT_EMPTY_PATH));
	S(owner("f"));
	R(chown("none", 1, 1));
	close(fd);
	must(mkdir("sg", 0755));
	must(chown("sg", 0, 33));
	must(chmod("sg", 02775));
	must(mkdir("sg/sub", 0755));
	put("sg/file", "");
	S(owner("sg/sub"));
	X(mode("sg/sub"));
	S(owner("sg/file"));
}

static void other(void)
{
	AREA("another user");
	must(chmod(".", 0755));
	must(mkdir("closed", 0700));
	put("closed/x", "");
	must(mkdir("sticky", 0777));
	must(chmod("sticky", 01777));
	put("sticky/roots", "");
	must(mkdir("search", 0711));
	put("search/f", "seen");
	must(mkdir("list", 0744));
	put("list/f", "seen");
	put("secret", "secret");
	must(chmod("secret", 0600));
	put("group", "group");
	must(chown("group", 0, 77));
	must(chmod("group", 0640));
	int open_before = must(open("secret", O_RDONLY));
	gid_t groups[] = {77, 78};
	R(setgroups(2, groups));
	N(getgroups(0, 0));
	R(setresgid(1001, 1001, 1001));
	R(setresuid(1000, 1000, -1)); // 0 stays saved
	R(open("secret", O_RDONLY));
	R(access("secret", R_OK));
	R(read(open_before, (char[3]){}, 3));
	OK(open("group", O_RDONLY));
	R(open("group", O_RDWR));
	R(open("closed/x", O_RDONLY));
	R(stat("closed/x", &(struct stat){}));
	S(text("search/f"));
	R(open("search", O_RDONLY));
	R(open("list", O_RDONLY) >= 0);
	R(open("list/f", O_RDONLY));
	R(open("newfile", O_CREAT | O_RDWR, 0600));
	R(mkdir("newdir", 0700));
	R(unlink("secret"));
	R(unlink("sticky/roots"));
	R(rename("sticky/roots", "sticky/mine"));
	OK(open("sticky/own", O_CREAT | O_RDWR, 0600));
	S(owner("sticky/own"));
	R(chown("sticky/own", 0, -1));
	R(chown("sticky/own", -1, 77));
	R(chown("sticky/own", -1, 55));
	R(chmod("secret", 0666));
	R(utimensat(AT_FDCWD, "secret", 0, 0));
	R(chmod("sticky/own", 02755)); // of a group that it is not in? 77 is one of its own
	X(mode("sticky/own"));
	R(unlink("sticky/own"));
	R(truncate("search/f", 0));
	R(setpriority(0, 0, -5));
	R(chroot("."));
	R(setuid(55));
	R(seteuid(0));
	OK(open("secret", O_RDONLY));
	R(access("secret", R_OK)); // by the real ids
	R(faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS));
	R(setresuid(0, 0, 0));
	R(setfsuid(1000));
	R(open("secret", O_RDONLY));
	R(setfsuid(0));
	OK(open("secret", O_RDONLY));
}

static void bits(void)
{
	AREA("set-id bits");
	put("s", "s");
	must(chmod("s", 06777));
	must(chown("s", 1000, 1000));
	must(chmod("s", 06777));
	R(setresuid(1000, 1000, 0));
	int fd = must(open("s", O_WRONLY));
	R(write(fd, "x", 1));
	SAY("after a write: 0x%x", mode("s"));
	close(fd);
	R(setresuid(0, 0, 0));
	put("noexec", "#!/bin/true\n");
	R(access("noexec", X_OK)); // not even root
	must(chmod("noexec", 0010));
	R(access("noexec", X_OK));
	R(access("noexec", R_OK | W_OK));
}

int main(void)
{
	scratch();
	modes();
	other();
	bits();
}
