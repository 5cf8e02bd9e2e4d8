// inotify.
#include "check.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int fd;
static uint32_t cookie;

// events prints what has happened.
static void events(void)
{
	static char b[8192] __attribute__((aligned(8)));
	ssize_t n = read(fd, b, sizeof b);
	if (n < 0) {
		SAY("events: %s", errname(errno));
		return;
	}
	for (char *p = b; p < b + n;) {
		struct inotify_event *e = (void *)p;
		const char *same = e->cookie == 0 ? "" : e->cookie == cookie ? " the same cookie" : " a cookie";
		cookie = e->cookie;
		SAY("event: wd %d mask 0x%x%s%s%s", e->wd, e->mask, same, e->len ? " " : "", e->len ? e->name : "");
		p += sizeof *e + e->len;
	}
}

int main(void)
{
	scratch();
	R(inotify_init1(0x1000000));
	fd = must(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	N(fcntl(fd, F_GETFD));
	events();
	must(mkdir("d", 0755));
	R(inotify_add_watch(fd, "none", IN_ALL_EVENTS));
	R(inotify_add_watch(fd, "d", 0));
	R(inotify_add_watch(99, "d", IN_CREATE));
	R(inotify_add_watch(1, "d", IN_CREATE));
	R(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
	R(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
	int f = must(open("d/f", O_CREAT | O_RDWR, 0644));
	events();
	must(write(f, "x", 1));
	must(write(f, "x", 1)); // equal events become one
	must(pread(f, &(char){0}, 1, 0));
	must(fchmod(f, 0600));
	must(ftruncate(f, 0));
	close(f);
	int n = 0;
	R(ioctl(fd, FIONREAD, &n));
	IS(n > 0);
	R(read(fd, &(char[8]){}, 8));
	events();
	must(rename("d/f", "d/g"));
	events();
	must(rename("d/g", "out"));
	events();
	must(rename("out", "d/in"));
	must(link("d/in", "d/hard"));
	must(symlink("in", "d/soft"));
	events();
	must(mkdir("d/sub", 0755));
	must(rmdir("d/sub"));
	must(unlink("d/hard"));
	must(utimensat(AT_FDCWD, "d/in", 0, 0));
	events();
	R(inotify_add_watch(fd, "d/in", IN_MODIFY | IN_DELETE_SELF | IN_ATTRIB | IN_MASK_ADD));
	R(inotify_add_watch(fd, "d/in", IN_MODIFY | IN_MASK_CREATE));
	f = must(open("d/in", O_RDWR));
	must(write(f, "y", 1));
	events();
	must(unlink("d/in"));
	events();
	close(f);
	events();
	R(inotify_rm_watch(fd, 2));
	R(inotify_rm_watch(fd, 1));
	events();
	R(inotify_add_watch(fd, "d", IN_CREATE | IN_ONESHOT));
	put("d/1", "");
	put("d/2", "");
	events();
	put("file", "");
	R(inotify_add_watch(fd, "file", IN_ALL_EVENTS | IN_ONLYDIR));
	R(inotify_add_watch(fd, "d", IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR));
	must(rename("d", "d2"));
	must(unlink("d2/1"));
	must(unlink("d2/2"));
	must(unlink("d2/soft"));
	must(rmdir("d2"));
	struct pollfd p = {fd, POLLIN, 0};
	N(poll(&p, 1, 0));
	events();
	N(poll(&p, 1, 0));
}
