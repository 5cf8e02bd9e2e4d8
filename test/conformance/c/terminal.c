// Terminals: what is none, and pseudo-terminals.
#include "check.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

int main(void)
{
	scratch();
	AREA("no terminal");
	struct termios t;
	struct winsize w;
	int p[2];
	must(pipe(p));
	put("f", "x");
	int f = must(open("f", O_RDWR)), n = must(open("/dev/null", O_RDWR));
	R(isatty(p[0]));
	R(isatty(f));
	R(isatty(n));
	R(isatty(99));
	R(tcgetattr(f, &t));
	R(ioctl(p[0], TIOCGWINSZ, &w));
	R(ioctl(f, TCGETS, &t));
	R(ioctl(99, TCGETS, &t));
	R(tcgetpgrp(n));
	S(ttyname(f) ? "a name" : "no name");
	R(ioctl(f, FIOCLEX));
	N(fcntl(f, F_GETFD));
	R(ioctl(f, FIONCLEX));
	N(fcntl(f, F_GETFD));

	AREA("pseudo-terminal");
	int m = posix_openpt(O_RDWR | O_NOCTTY);
	if (m < 0) {
		SAY("posix_openpt: %s", errname(errno));
		return 0;
	}
	R(grantpt(m));
	R(unlockpt(m));
	char name[64], b[100];
	R(ptsname_r(m, name, sizeof name));
	IS(!strncmp(name, "/dev/pts/", 9));
	int s = must(open(name, O_RDWR | O_NOCTTY));
	R(isatty(s));
	R(isatty(m));
	R(tcgetattr(s, &t));
	X(t.c_lflag & (ICANON | ECHO | ISIG));
	X(t.c_oflag & (OPOST | ONLCR));
	w = (struct winsize){24, 80};
	R(ioctl(m, TIOCSWINSZ, &w));
	w = (struct winsize){};
	R(ioctl(s, TIOCGWINSZ, &w));
	SAY("%d %d", w.ws_row, w.ws_col);
	R(write(m, "line\n", 5));
	memset(b, 0, sizeof b);
	R(read(s, b, 100));
	R(read(m, b, 100)); // the echo
	SAY("%02x %02x %02x", b[3], b[4], b[5]);
	R(write(s, "out\n", 4));
	R(read(m, b, 100));
	R(write(m, "wrong\177\177\177ote\n", 12));
	memset(b, 0, sizeof b);
	R(read(s, b, 100));
	S(strtok(b, "\n"));
	R(tcflush(m, TCIOFLUSH));
	cfmakeraw(&t);
	R(tcsetattr(s, TCSANOW, &t));
	R(write(m, "ab", 2));
	R(read(s, b, 100));
	struct pollfd q = {s, POLLIN, 0};
	R(poll(&q, 1, 0));
	close(m);
	R(read(s, b, 100));
	R(write(s, "x", 1));
}
