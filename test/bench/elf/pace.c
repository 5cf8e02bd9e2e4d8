// Pace is preloaded (ld.so(8), LD_PRELOAD) into the clients of the servers. It
// lets a moment pass after each connect. QEMU's user network listens with a
// backlog of one, so that of connections which are opened together some hang:
// then redis-benchmark waits for ever, or is measured with fewer than it was
// told to open. Connections are opened before the measurement begins.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
	int result = real(fd, address, size);
	int reason = errno;
	usleep(10000);
	errno = reason;
	return result;
}
