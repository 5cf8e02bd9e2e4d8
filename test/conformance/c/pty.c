// link: -lutil
// Pseudo-terminals: names, line discipline, sizes, raw mode, control, hang-up.
#include "check.h"
#include <dirent.h>
#include <poll.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <utmp.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

static int m, s;
static char name[64];

// show reads what comes from a terminal until nothing does for a while.
static void show(const char *what, int fd)
{
	static char out[4000];
	char b[500];
	size_t n = 0;
	struct pollfd p = {fd, POLLIN, 0};
	out[0] = 0;
	while (n < sizeof out - 2100 && poll(&p, 1, n ? 100 : 300) > 0) {
		ssize_t r = read(fd, b, sizeof b);
		if (r <= 0) {
			n += sprintf(out + n, r ? "<%s>" : "<end>", errname(errno));
			break;
		}
		for (int i = 0; i < r; i++)
			n += sprintf(out + n, b[i] >= ' ' && b[i] < 127 ? "%c" : "<%02x>", b[i] & 255);
		if (fd != m) // what the master gets at once is left to chance
			n += sprintf(out + n, "|");
	}
	SAY("%s: %s", what, out);
}

static void type(const char *text) { must(write(m, text, strlen(text))); }

// both shows what the slave reads and what has come out of the master.
static void both(const char *what, const char *text)
{
	char label[100];
	type(text);
	sprintf(label, "%s in", what);
	show(label, s);
	sprintf(label, "%s out", what);
	show(label, m);
}

static void flags(unsigned on, unsigned off)
{
	struct termios t;
	must(tcgetattr(s, &t));
	t.c_lflag = (t.c_lflag | on) & ~off;
	must(tcsetattr(s, TCSANOW, &t));
}

static void start(void)
{
	m = must(posix_openpt(O_RDWR | O_NOCTTY));
	must(grantpt(m));
	must(unlockpt(m));
	must(ptsname_r(m, name, sizeof name));
	s = must(open(name, O_RDWR | O_NOCTTY));
}

static void end(void)
{
	close(s);
	close(m);
}

static int listed(void)
{
	DIR *d = opendir("/dev/pts");
	int found = 0;
	if (!d)
		return -1;
	for (struct dirent *e; (e = readdir(d));)
		found |= !strcmp(e->d_name, name + 9);
	closedir(d);
	return found;
}

static void names(void)
{
	AREA("names");
	struct stat st, fst;
	int n, locked = 9;
	m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	IS(m >= 0);
	R(ioctl(m, TIOCGPTN, &n));
	R(ioctl(m, 0x80045439 /* TIOCGPTLCK */, &locked));
	N(locked);
	snprintf(name, sizeof name, "/dev/pts/%d", n);
	R(open(name, O_RDWR | O_NOCTTY));
	R(unlockpt(m));
	R(ioctl(m, 0x80045439, &locked));
	N(locked);
	R(grantpt(m));
	R(ptsname_r(m, name, 3));
	R(ptsname_r(m, name, sizeof name));
	IS(!strncmp(name, "/dev/pts/", 9) && atoi(name + 9) == n);
	N(listed());
	R(stat(name, &st));
	IS(S_ISCHR(st.st_mode));
	N(major(st.st_rdev));
	IS((int)minor(st.st_rdev) == n);
	s = open(name, O_RDWR | O_NOCTTY);
	IS(s >= 0);
	R(fstat(s, &fst));
	IS(fst.st_ino == st.st_ino && fst.st_dev == st.st_dev && fst.st_rdev == st.st_rdev);
	IS(ttyname(s) && !strcmp(ttyname(s), name));
	R(isatty(s));
	R(isatty(m));
	R(ioctl(s, TIOCGPTN, &n));
	R(lseek(s, 0, SEEK_SET));
	int p = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	IS(p >= 0);
	N(fcntl(p, F_GETFD));
	IS(ttyname(p) && !strcmp(ttyname(p), name));
	close(p);
	fstat(m, &fst);
	N(major(fst.st_rdev));
	N(minor(fst.st_rdev));
	close(m);
	R(stat(name, &st));
	N(listed());
	close(s);
	R(open("/dev/pts/99999", O_RDWR));
	R(open("/dev/pts/x", O_RDWR | O_CREAT, 0600));
	R(mkdir("/dev/pts/x", 0700));
	int master, slave;
	struct winsize w = {11, 22, 33, 44}, is = {0};
	R(openpty(&master, &slave, name, 0, &w) != 0);
	IS(!strcmp(name, ttyname(slave)));
	R(ioctl(slave, TIOCGWINSZ, &is));
	SAY("%d %d %d %d", is.ws_row, is.ws_col, is.ws_xpixel, is.ws_ypixel);
	close(slave);
	close(master);
}

static void attributes(void)
{
	AREA("attributes");
	struct termios t, u;
	start();
	R(tcgetattr(s, &t));
	X(t.c_iflag);
	X(t.c_oflag);
	X(t.c_cflag & ~(CBAUD | CBAUDEX));
	X(t.c_lflag);
	for (int i = 0; i < 17; i++)
		SAY("cc %d: %d", i, t.c_cc[i]);
	IS(cfgetospeed(&t) == B38400);
	t.c_cc[VMIN] = 7;
	cfsetspeed(&t, B9600);
	R(tcsetattr(s, TCSADRAIN, &t));
	R(tcgetattr(m, &u)); // the slave's
	N(u.c_cc[VMIN]);
	IS(cfgetospeed(&u) == B9600 && cfgetispeed(&u) == B9600);
	t.c_cflag = 0;
	R(tcsetattr(s, TCSAFLUSH, &t));
	tcgetattr(s, &u);
	X(u.c_cflag & (CSIZE | CREAD | PARENB));
	R(ioctl(s, TCGETS, 1));
	R(ioctl(s, TIOCSWINSZ, 1));
	R(tcflush(s, 7));
	R(tcflow(s, 7));
	R(tcsendbreak(s, 0));
	R(tcdrain(s));
	end();
}

static void lines(void)
{
	AREA("lines");
	start();
	struct pollfd q[2] = {{s, POLLIN | POLLOUT, 0}, {m, POLLIN | POLLOUT, 0}};
	int n = -1;
	N(poll(q, 2, 0));
	X(q[0].revents);
	X(q[1].revents);
	type("unfinished");
	show("echo", m);
	R(ioctl(s, FIONREAD, &n));
	N(n);
	N(poll(q, 1, 0));
	X(q[0].revents);
	type(" line\nmore");
	show("echo", m);
	R(ioctl(s, FIONREAD, &n));
	N(n);
	X((poll(q, 1, 0), q[0].revents));
	char b[4];
	R(read(s, b, 4));
	show("rest", s);
	both("second", "\n");
	both("erase", "wrong\177\177\177ote\n");
	both("erase all", "ab\177\177\177\177c\n");
	both("kill", "gone\025kept\n");
	both("word", "one two, three-four  \027\027x\n");
	both("literal", "a\026\003b\026\177\177c\n");
	both("reprint", "abc\022d\n");
	both("control", "a\001b\177\177\n");
	both("tab", "ab\tc\177\177d\n");
	both("tabs", "ab\t\t\177\177\177\n");
	both("carriage return", "a\rb\r");
	both("end of file", "\004");
	both("line and end", "abc\004");
	both("two lines", "1\n2\n\0043\n");
	type("xyz\004");
	ms(25);
	R(read(s, b, 3));
	fcntl(s, F_SETFL, O_NONBLOCK);
	R(read(s, b, 3));
	fcntl(s, F_SETFL, 0);
	show("echo", m);
	type("thrown away\n");
	ms(25);
	R(tcflush(s, TCIFLUSH));
	R(ioctl(s, FIONREAD, &n));
	N(n);
	show("echo", m);

	struct termios t;
	tcgetattr(s, &t);
	t.c_cc[VEOL] = ';';
	t.c_iflag |= IUTF8;
	tcsetattr(s, TCSANOW, &t);
	both("end of line", "a;b\n");
	both("characters", "a\303\244\342\202\254\177\177b\n");
	flags(0, ECHO);
	both("no echo", "abc\n");
	flags(ECHONL, 0);
	both("echo of newlines", "abc\n");
	flags(ECHO, ECHOE | ECHOKE | ECHONL);
	both("no erasing", "ab\177\025c\n");
	flags(0, ECHOK);
	both("no newline", "ab\025c\n");
	flags(ECHOE | ECHOK | ECHOKE, ECHOCTL);
	both("no carets", "a\001b\177\177\n");
	t.c_iflag = IGNCR | INLCR;
	tcsetattr(s, TCSANOW, &t);
	both("input modes", "a\rb\n\004");
	t.c_iflag = ISTRIP | IUCLC | ICRNL;
	tcsetattr(s, TCSANOW, &t);
	both("stripped", "A\341B\r");
	end();
	start();
	static char big[5001];
	memset(big, 'x', 5000);
	flags(0, ECHO);
	R(write(m, big, 5000));
	type("\n");
	ms(25);
	R(ioctl(s, FIONREAD, &n));
	N(n);
	R(read(s, big, 5000));
	IS(big[4095] == '\n');
	end();
}

static void output(void)
{
	AREA("output");
	start();
	struct termios t;
	int n = -1;
	R(write(s, "out\nput\tx\r\n", 11));
	show("cooked", m);
	tcgetattr(s, &t);
	t.c_oflag = OPOST | OCRNL | ONOCR | ONLRET | OLCUC | XTABS;
	tcsetattr(s, TCSANOW, &t);
	R(write(s, "\rab\tc\r\nd\n", 9));
	show("changed", m);
	t.c_oflag = 0;
	tcsetattr(s, TCSANOW, &t);
	R(write(s, "a\tb\r\n", 5));
	show("raw", m);
	R(write(s, "stay", 4));
	ms(25);
	R(ioctl(m, FIONREAD, &n));
	N(n);
	R(ioctl(m, TIOCOUTQ, &n));
	N(n);
	R(tcflush(m, TCIFLUSH));
	R(ioctl(m, FIONREAD, &n));
	N(n);

	t.c_oflag = OPOST | ONLCR;
	t.c_iflag |= IXON;
	tcsetattr(s, TCSANOW, &t);
	fcntl(s, F_SETFL, O_NONBLOCK);
	type("\023");
	ms(25);
	R(write(s, "x", 1));
	struct pollfd q = {s, POLLOUT, 0};
	N(poll(&q, 1, 0));
	type("\021");
	ms(25);
	N(poll(&q, 1, 0));
	R(write(s, "y", 1));
	show("started", m);
	R(tcflow(s, TCOOFF));
	R(write(s, "x", 1));
	R(tcflow(s, TCOON));
	R(write(s, "z", 1));
	show("again", m);

	// As long as nobody reads, there is an end.
	static char big[4096];
	long total = 0;
	for (long r; (r = write(s, big, sizeof big)) > 0 && total < 1 << 20;)
		total += r;
	IS(total >= 4096 && total < 1 << 20);
	for (long left = total; left > 0;) {
		long r = read(m, big, sizeof big);
		if (r <= 0)
			break;
		left -= r;
	}
	ms(25);
	N(poll(&q, 1, 0));
	end();
}

static int got[65], codes[65];

static void on_signal(int sig, siginfo_t *i, void *c) { got[sig]++, codes[sig] = i->si_code; }

static void raw(void)
{
	AREA("raw");
	start();
	struct termios t;
	char b[100];
	long long before;
	tcgetattr(s, &t);
	cfmakeraw(&t);
	tcsetattr(s, TCSANOW, &t);
	both("raw", "a\r\n\003\177\004");
	struct pollfd q = {s, POLLIN, 0};
	t.c_cc[VMIN] = 3;
	tcsetattr(s, TCSANOW, &t);
	type("ab");
	ms(25);
	N(poll(&q, 1, 0));
	type("c");
	N(poll(&q, 1, 1000));
	R(read(s, b, 100));
	type("abc");
	R(read(s, b, 2));
	fcntl(s, F_SETFL, O_NONBLOCK);
	R(read(s, b, 2));
	R(read(s, b, 2));
	fcntl(s, F_SETFL, 0);
	t.c_cc[VMIN] = 0;
	tcsetattr(s, TCSANOW, &t);
	R(read(s, b, 100));
	t.c_cc[VTIME] = 2;
	tcsetattr(s, TCSANOW, &t);
	before = now_ns(CLOCK_MONOTONIC);
	R(read(s, b, 100));
	IS(took(before, 150));
	type("x");
	R(read(s, b, 100));
	t.c_cc[VMIN] = 5;
	tcsetattr(s, TCSANOW, &t);
	type("abc");
	before = now_ns(CLOCK_MONOTONIC);
	R(read(s, b, 100));
	IS(took(before, 150));
	type("abcdefg");
	ms(25);
	R(read(s, b, 6));
	R(read(s, b, 6));
	// A line that was not finished can be read without lines, and the other way round.
	t.c_cc[VMIN] = 1, t.c_cc[VTIME] = 0;
	t.c_lflag |= ICANON;
	tcsetattr(s, TCSANOW, &t);
	type("part");
	ms(25);
	N(poll(&q, 1, 0));
	t.c_lflag &= ~ICANON;
	tcsetattr(s, TCSANOW, &t);
	N(poll(&q, 1, 0));
	t.c_lflag |= ICANON;
	tcsetattr(s, TCSANOW, &t);
	N(poll(&q, 1, 0));
	R(read(s, b, 100));
	type("lost");
	ms(25);
	t.c_lflag &= ~ICANON;
	R(tcsetattr(s, TCSAFLUSH, &t));
	N(poll(&q, 1, 0));
	fcntl(s, F_SETFL, O_NONBLOCK);
	fcntl(m, F_SETFL, O_NONBLOCK);
	R(read(s, b, 100));
	R(read(m, b, 100));

	int e = must(epoll_create1(0));
	struct epoll_event ev = {EPOLLIN | EPOLLET, {.fd = s}}, out[4];
	must(epoll_ctl(e, EPOLL_CTL_ADD, s, &ev));
	ev.data.fd = m;
	must(epoll_ctl(e, EPOLL_CTL_ADD, m, &ev));
	N(epoll_wait(e, out, 4, 0));
	type("x");
	N(epoll_wait(e, out, 4, 1000));
	IS(out[0].data.fd == s && out[0].events == EPOLLIN);
	write(s, "x", 1);
	N(epoll_wait(e, out, 4, 1000));
	IS(out[0].data.fd == m && out[0].events == EPOLLIN);
	N(epoll_wait(e, out, 4, 0));
	close(e);
	end();
}

static void packets(void)
{
	AREA("packets");
	int on = 1, is = 9;
	start();
	R(ioctl(m, TIOCPKT, &on));
	R(ioctl(m, 0x80045438 /* TIOCGPKT */, &is));
	N(is);
	R(ioctl(s, TIOCPKT, &on));
	write(s, "data", 4);
	show("data", m);
	tcflush(s, TCIFLUSH);
	struct pollfd q = {m, POLLIN | POLLPRI, 0};
	N(poll(&q, 1, 0));
	X(q.revents);
	show("flushed", m);
	tcflow(s, TCOOFF);
	show("stopped", m);
	tcflow(s, TCOON);
	show("started", m);
	on = 0;
	R(ioctl(m, TIOCPKT, &on));
	write(s, "data", 4);
	show("plain", m);
	end();
}

static void says(const char *what)
{
	int order[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGHUP, SIGCONT};
	char line[200] = "";
	ms(60);
	for (int i = 0; i < 6; i++)
		if (got[order[i]]) {
			sprintf(line + strlen(line), " %d*%d %s", order[i], got[order[i]], codes[order[i]] == SI_KERNEL ? "kernel" : "other");
			got[order[i]] = 0;
		}
	SAY("%s:%s", what, line);
}

static void session(void)
{
	AREA("session");
	int sid = 0, n;
	char b[10];
	struct winsize w = {24, 80};
	setsid(); // if it is not that already
	handle(SIGINT, on_signal, SA_RESTART);
	handle(SIGQUIT, on_signal, SA_RESTART);
	handle(SIGTSTP, on_signal, SA_RESTART);
	handle(SIGWINCH, on_signal, SA_RESTART);
	handle(SIGHUP, on_signal, SA_RESTART);
	handle(SIGCONT, on_signal, SA_RESTART);
	R(open("/dev/tty", O_RDWR));
	start();
	R(tcgetpgrp(s));
	R(tcgetpgrp(m));
	R(ioctl(s, TIOCGSID, &sid));
	R(tcsetpgrp(s, getpid()));
	R(ioctl(s, TIOCNOTTY));
	type("\003");
	R(ioctl(m, TIOCSWINSZ, &w));
	says("not controlling");
	show("echo", m);
	R(ioctl(s, TIOCSCTTY, 0));
	R(ioctl(s, TIOCSCTTY, 0));
	IS(tcgetpgrp(s) == getpid());
	IS(tcgetpgrp(m) == getpid());
	R(ioctl(s, TIOCGSID, &sid));
	IS(sid == getpid());
	IS(tcgetsid(s) == getpid());
	R(tcsetpgrp(s, getpid()));
	R(tcsetpgrp(s, 999999));
	R(tcsetpgrp(s, -1));
	type("ab");
	ms(60);
	type("\003");
	says("interrupt");
	show("echo", m);
	R(ioctl(s, FIONREAD, &n));
	N(n);
	type("\034");
	says("quit");
	type("\032");
	says("suspend");
	show("echo", m);
	flags(NOFLSH, 0);
	type("ab\003c\n");
	says("interrupt without flush");
	show("kept", s);
	show("echo", m);
	flags(0, ISIG);
	type("\003\n");
	says("no signals");
	show("kept", s);
	show("echo", m);
	w.ws_col = 100;
	R(ioctl(m, TIOCSWINSZ, &w));
	says("size");
	R(ioctl(s, TIOCSWINSZ, &w));
	says("same size");
	w.ws_row++;
	R(ioctl(s, TIOCSWINSZ, &w));
	says("size of the slave");
	memset(&w, 0, sizeof w);
	R(ioctl(m, TIOCGWINSZ, &w));
	SAY("%d %d", w.ws_row, w.ws_col);
	R(ioctl(m, 0x40045436 /* TIOCSIG */, SIGQUIT));
	says("TIOCSIG");
	R(ioctl(m, 0x40045436, SIGTERM));

	int tty = open("/dev/tty", O_RDWR);
	IS(tty >= 0);
	type("for tty\n");
	show("tty", tty);
	close(tty);
	show("echo", m);
	int m2 = must(posix_openpt(O_RDWR)), s2;
	unlockpt(m2);
	s2 = must(open(ptsname(m2), O_RDWR));
	R(ioctl(s2, TIOCSCTTY, 0));
	R(tcgetpgrp(s2));
	close(s2);
	close(m2);
	R(ioctl(s, TIOCNOTTY));
	says("given up");
	R(open("/dev/tty", O_RDWR));
	close(s);
	s = must(open(name, O_RDWR)); // takes it, without O_NOCTTY
	IS(tcgetpgrp(s) == getpid());
	close(m);
	says("hung up");
	R(open("/dev/tty", O_RDWR));
	R(tcgetpgrp(s));
	R(tcsetpgrp(s, getpid()));
	R(read(s, b, 10));
	close(s);
}

static void logged_in(void)
{
	AREA("login");
	int keep = must(dup(0)), keep1 = must(dup(1)), keep2 = must(dup(2));
	start();
	int r = login_tty(s);
	int is = isatty(0) && isatty(1) && isatty(2) && tcgetpgrp(0) == getpid();
	dup2(keep, 0);
	dup2(keep1, 1);
	dup2(keep2, 2);
	close(keep), close(keep1), close(keep2);
	N(r);
	N(is);
	close(m);
	says("hung up");
}

static void hangup(void)
{
	AREA("hang-up");
	char b[10];
	struct termios t;
	struct stat st;
	start();
	struct pollfd q[2] = {{m, POLLIN | POLLOUT, 0}, {s, POLLIN | POLLOUT, 0}};
	write(s, "last words", 10);
	ms(25);
	close(s);
	N(poll(q, 1, 0));
	X(q[0].revents);
	R(read(m, b, 10));
	R(read(m, b, 10));
	N(poll(q, 1, 0));
	X(q[0].revents);
	R(write(m, "kept\n", 5));
	ms(25);
	s = must(open(name, O_RDWR | O_NOCTTY));
	N(poll(q, 1, 0));
	X(q[0].revents);
	show("echo", m);
	show("kept", s);
	type("lost\n");
	ms(25);
	close(m);
	N(poll(&q[1], 1, 0));
	X(q[1].revents);
	R(read(s, b, 10));
	R(write(s, "x", 1));
	R(tcgetattr(s, &t));
	R(ioctl(s, FIONREAD, b));
	R(isatty(s));
	R(fstat(s, &st));
	IS(S_ISCHR(st.st_mode));
	N(ttyname(s) != 0);
	R(open(name, O_RDWR));
	close(s);
	start(); // the number is used again
	int old = s, n = atoi(name + 9);
	close(m);
	m = must(posix_openpt(O_RDWR | O_NOCTTY));
	IS(atoi(ptsname(m) + 9) != n); // unless the old one is still open
	close(m);
	close(old);
	m = must(posix_openpt(O_RDWR | O_NOCTTY));
	fcntl(m, F_SETFL, O_NONBLOCK);
	R(read(m, b, 10)); // there was no slave yet
	q[0] = (struct pollfd){m, POLLIN | POLLOUT, 0};
	N(poll(q, 1, 0));
	X(q[0].revents);
	close(m);
}

int main(void)
{
	names();
	attributes();
	lines();
	output();
	raw();
	packets();
	hangup();
	session();
	logged_in();
}
