// Terminals: what is none.
#include "check.h"
#include <sys/ioctl.h>
#include <termios.h>

int main(void)
{
	scratch();
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
}
