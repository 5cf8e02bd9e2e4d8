// Pseudo-terminals: line discipline, sizes, raw mode, hang-up.
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

int main(void)
{
	struct termios t;
	struct winsize w;
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
