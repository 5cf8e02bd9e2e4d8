// Times of files: what changes them, and setting them.
#include "check.h"
#include <sys/time.h>
#include <utime.h>

static struct stat st, before;

static void look(const char *path) { before = st; must(stat(path, &st)); }

static int later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

// changed says which of the times is later than it was.
static const char *changed(const char *path)
{
	static char s[8];
	look(path);
	char *p = s;
	if (later(st.st_mtim, before.st_mtim))
		*p++ = 'm';
	if (later(st.st_ctim, before.st_ctim))
		*p++ = 'c';
	*p = 0;
	ms(15);
	return s;
}

int main(void)
{
	scratch();
	AREA("setting");
	put("f", "hello");
	struct timespec t[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
	R(utimensat(AT_FDCWD, "f", t, 0));
	look("f");
	N(st.st_atim.tv_sec);
	N(st.st_atim.tv_nsec);
	N(st.st_mtim.tv_sec);
	N(st.st_mtim.tv_nsec);
	IS(st.st_ctim.tv_sec > 1100000000);
	struct timespec omit[2] = {{5, UTIME_OMIT}, {1200000000, 0}};
	R(utimensat(AT_FDCWD, "f", omit, 0));
	look("f");
	N(st.st_atim.tv_sec);
	N(st.st_mtim.tv_sec);
	struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
	R(utimensat(AT_FDCWD, "f", now, 0));
	look("f");
	IS(st.st_atim.tv_sec > 1500000000);
	N(st.st_mtim.tv_sec);
	struct timespec bad[2] = {{0, 1000000000}, {0, 0}};
	R(utimensat(AT_FDCWD, "f", bad, 0));
	R(utimensat(AT_FDCWD, "none", 0, 0));
	R(utimensat(AT_FDCWD, "f", 0, 0x4000000));
	int fd = must(open("f", O_RDONLY));
	R(futimens(fd, t));
	look("f");
	N(st.st_mtim.tv_sec);
	R(utimensat(fd, 0, 0, 0));
	must(symlink("f", "l"));
	R(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
	must(lstat("l", &st));
	N(st.st_mtim.tv_sec);
	look("f");
	IS(st.st_mtim.tv_sec > 1500000000);
	struct timespec past[2] = {{-86400, 0}, {-1, 999999999}};
	R(utimensat(AT_FDCWD, "f", past, 0));
	look("f");
	N(st.st_atim.tv_sec);
	N(st.st_mtim.tv_sec);
	N(st.st_mtim.tv_nsec);
	struct timeval tv[2] = {{10, 20}, {30, 40}};
	R(utimes("f", tv));
	look("f");
	N(st.st_mtim.tv_nsec);
	R(utime("f", &(struct utimbuf){77, 88}));
	look("f");
	N(st.st_atim.tv_sec);
	N(st.st_mtim.tv_sec);

	AREA("changing");
	fd = must(open("g", O_CREAT | O_RDWR, 0644));
	must(mkdir("d", 0755));
	look("g");
	ms(15);
	R(write(fd, "x", 1));
	S(changed("g"));
	R(write(fd, "x", 0));
	S(changed("g"));
	R(fchmod(fd, 0600));
	S(changed("g"));
	R(link("g", "h"));
	S(changed("g"));
	R(unlink("h"));
	S(changed("g"));
	R(rename("g", "g2"));
	R(rename("g2", "g"));
	S(changed("g"));
	R(ftruncate(fd, 10));
	S(changed("g"));
	R(ftruncate(fd, 10));
	S(changed("g"));
	R(pread(fd, &st, 3, 0));
	S(changed("g"));
	R(chown("g", -1, -1));
	changed("g");
	close(must(open("g", O_RDWR | O_TRUNC)));
	S(changed("g"));
	look("d");
	ms(15);
	put("d/x", "");
	S(changed("d"));
	R(chmod("d/x", 0600));
	put("d/x", "more");
	S(changed("d"));
	R(rename("d/x", "d/y"));
	S(changed("d"));
	R(mkdir("d/e", 0700));
	S(changed("d"));
	put("d/e/in", "");
	S(changed("d"));
	R(unlink("d/y"));
	S(changed("d"));
	struct statx sx;
	R(statx(AT_FDCWD, "g", 0, STATX_BASIC_STATS | STATX_BTIME, &sx));
	IS(!(sx.stx_mask & STATX_BTIME) || sx.stx_btime.tv_sec <= sx.stx_ctime.tv_sec);
}
