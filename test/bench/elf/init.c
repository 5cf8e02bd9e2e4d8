// Init is the first process of a Linux guest that runs a program which needs
// more than a kernel: it mounts what there is of /proc and /sys, loads the
// modules of /modules in the order of their names and then gives eth0 its
// address (a kernel without modules got it from its command line), and becomes
// the program whose path and arguments are in /init.args, each ended by a NUL.

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
	printf("init: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int visible(const struct dirent *d) { return d->d_name[0] != '.'; }

// modules loads all modules and returns how many there were.
static int modules(void)
{
	struct dirent **names;
	int n = scandir("/modules", &names, visible, alphasort);
	for (int i = 0; i < n; i++) {
		char path[300];
		snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
			fail(path);
		close(fd);
	}
	return n;
}

static void set(int fd, unsigned long request, const char *address)
{
	struct ifreq r = {.ifr_name = "eth0"};
	struct sockaddr_in *in = (struct sockaddr_in *)&r.ifr_addr;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = inet_addr(address);
	if (ioctl(fd, request, &r) < 0)
		fail(address);
}

static void network(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set(fd, SIOCSIFADDR, "10.0.2.15");
	set(fd, SIOCSIFNETMASK, "255.255.255.0");
	struct ifreq r = {.ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_RUNNING};
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		fail("eth0");
	close(fd);
}

int main(void)
{
	mount("proc", "/proc", "proc", 0, NULL); // not every kernel has it
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	if (modules() > 0)
		network();

	static char text[4096], *argv[64], *env[] = {"PATH=/usr/bin:/bin", "HOME=/", NULL};
	int fd = open("/init.args", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);
	if (n <= 0)
		fail("/init.args");
	int argc = 0;
	for (char *s = text; s < text + n && argc < 63; s += strlen(s) + 1)
		argv[argc++] = s;
	execve(argv[0], argv, env);
	fail(argv[0]);
}
