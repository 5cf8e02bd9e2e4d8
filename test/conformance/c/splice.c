// sendfile, splice, tee, vmsplice, copy_file_range.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char b[200000];

static void *drain(void *arg)
{
	long total = 0;
	unsigned sum = 0;
	ssize_t n;
	static char in[10000];
	while ((n = read(*(int *)arg, in, sizeof in)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)in[i];
		total += n;
	}
	SAY("drained %ld, sum %u", total, sum);
	return 0;
}

static void sendfiles(void)
{
	AREA("sendfile");
	int in = must(open("in", O_RDWR | O_CREAT, 0644)), out = must(open("out", O_RDWR | O_CREAT, 0644)), s[2], p[2];
	for (size_t i = 0; i < sizeof b; i++)
		b[i] = i * 7 + i / 256;
	must(write(in, b, sizeof b));
	off_t at = 10;
	R(sendfile(out, in, &at, 100));
	N(at);
	R(lseek(in, 0, SEEK_CUR));
	R(lseek(in, 5, SEEK_SET));
	R(sendfile(out, in, 0, 100));
	R(lseek(in, 0, SEEK_CUR));
	R(lseek(out, 0, SEEK_CUR));
	at = sizeof b - 5;
	R(sendfile(out, in, &at, 100));
	R(sendfile(out, in, &at, 100));
	at = -1;
	R(sendfile(out, in, &at, 100));
	R(sendfile(99, in, 0, 100));
	R(sendfile(out, 99, 0, 100));
	R(sendfile(must(open("in", O_RDONLY)), in, 0, 10));
	R(sendfile(out, must(open("in", O_WRONLY)), 0, 10));
	R(sendfile(must(open("out", O_WRONLY | O_APPEND)), in, 0, 10));
	must(pipe(p));
	R(sendfile(out, p[0], 0, 10));
	at = 0;
	R(sendfile(p[1], in, &at, 1000));
	R(read(p[0], b, sizeof b));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pthread_t t;
	pthread_create(&t, 0, drain, &s[1]);
	at = 0;
	R(sendfile(s[0], in, &at, 1 << 30));
	close(s[0]);
	pthread_join(t, 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	ssize_t n;
	for (n = 1, at = 0; n > 0; at = 0)
		n = sendfile(s[0], in, &at, sizeof b);
	N(errno == EAGAIN);
	close(in);
	close(out);
}

static void splices(void)
{
	AREA("splice");
	int in = must(open("in", O_RDONLY)), out = must(open("out2", O_RDWR | O_CREAT, 0644)), p[2], q[2];
	must(pipe(p));
	must(pipe(q));
	loff_t at = 100;
	R(splice(in, &at, p[1], 0, 1000, 0));
	N(at);
	R(splice(p[0], 0, out, 0, 300, SPLICE_F_MOVE));
	at = 5000;
	R(splice(p[0], 0, out, &at, 10000, 0));
	struct stat st;
	fstat(out, &st);
	N(st.st_size);
	R(splice(p[0], 0, out, 0, 10, SPLICE_F_NONBLOCK));
	R(splice(in, 0, out, 0, 10, 0)); // neither is a pipe
	R(splice(p[0], &at, out, 0, 10, 0));
	R(splice(in, 0, p[1], 0, 10, 0x100));
	R(splice(p[0], 0, p[1], 0, 10, 0));
	R(splice(in, 0, p[0], 0, 10, 0));
	R(splice(in, 0, p[1], 0, 0, 0));
	R(write(p[1], "pipe to pipe", 12));
	R(splice(p[0], 0, q[1], 0, 4, 0));
	R(read(q[0], b, 100));
	R(tee(p[0], q[1], 100, 0));
	R(read(q[0], b, 100));
	R(read(p[0], b, 100));
	SAY("%.8s", b);
	R(tee(p[0], q[1], 100, SPLICE_F_NONBLOCK));
	R(tee(in, q[1], 10, 0));
	struct iovec v[2] = {{"from ", 5}, {"memory", 6}};
	R(vmsplice(p[1], v, 2, 0));
	R(read(p[0], b, 100));
	SAY("%.11s", b);
	must(write(p[1], "to memory", 9));
	v[0] = (struct iovec){b, 9};
	R(vmsplice(p[0], v, 1, 0));
	int s[2];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(write(s[0], "socket", 6));
	R(splice(s[1], 0, p[1], 0, 100, 0));
	R(splice(p[0], 0, s[1], 0, 100, 0));
	R(read(s[0], b, 100));
	close(p[1]);
	R(splice(p[0], 0, out, 0, 10, 0));
}

static void copies(void)
{
	AREA("copy_file_range");
	int in = must(open("in", O_RDONLY)), out = must(open("out3", O_RDWR | O_CREAT, 0644)), p[2];
	loff_t from = 50, to = 10;
	R(copy_file_range(in, &from, out, &to, 500, 0));
	SAY("%d %d", (int)from, (int)to);
	R(copy_file_range(in, 0, out, 0, 100, 0));
	R(lseek(in, 0, SEEK_CUR));
	R(lseek(out, 0, SEEK_CUR));
	R(copy_file_range(in, 0, out, 0, 1 << 30, 0) > 0);
	from = 1 << 30;
	R(copy_file_range(in, &from, out, 0, 100, 0));
	R(copy_file_range(in, 0, out, 0, 10, 1));
	R(copy_file_range(out, 0, in, 0, 10, 0));
	must(pipe(p));
	R(copy_file_range(p[0], 0, out, 0, 10, 0));
	R(copy_file_range(must(open(".", O_RDONLY)), 0, out, 0, 10, 0));
	from = 0, to = 5;
	R(copy_file_range(out, &from, out, &to, 100, 0)); // overlapping
	to = 1000;
	R(copy_file_range(out, &from, out, &to, 100, 0));
	R(copy_file_range(in, 0, must(open("out3", O_WRONLY | O_APPEND)), 0, 10, 0));
}

int main(void)
{
	scratch();
	sendfiles();
	splices();
	copies();
}
