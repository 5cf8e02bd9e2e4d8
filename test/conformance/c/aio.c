// Linux AIO: io_setup, io_submit, io_getevents, io_cancel.
#include "check.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

static long submit(aio_context_t c, long n, struct iocb **l) { return syscall(SYS_io_submit, c, n, l); }

static void events(aio_context_t c, int min, int max)
{
	struct io_event e[8];
	struct timespec ts = {2, 0};
	long n = syscall(SYS_io_getevents, c, min, max, e, &ts);
	if (n < 0)
		SAY("events: %s", errname(errno));
	for (int want = 0; want < 100; want++)
		for (int i = 0; i < n; i++)
			if (e[i].data == (unsigned)want)
				SAY("event %d: %s%d", want, e[i].res < 0 ? errname(-e[i].res) : "", e[i].res < 0 ? 0 : (int)e[i].res);
}

static struct iocb cb(int op, int fd, void *buf, size_t n, long off, int data)
{
	return (struct iocb){.aio_lio_opcode = op, .aio_fildes = fd, .aio_buf = (uintptr_t)buf, .aio_nbytes = n, .aio_offset = off, .aio_data = data};
}

int main(void)
{
	scratch();
	aio_context_t c = 0;
	char b[100] = "";
	R(syscall(SYS_io_setup, 0, &c));
	c = 5;
	R(syscall(SYS_io_setup, 8, &c));
	c = 0;
	R(syscall(SYS_io_setup, 8, &c));
	if (!c)
		return 1;
	int f = must(open("f", O_RDWR | O_CREAT, 0644));
	struct iocb w = cb(IOCB_CMD_PWRITE, f, "asynchronous", 12, 0, 1), r = cb(IOCB_CMD_PREAD, f, b, 100, 1, 2);
	struct iocb *l[4] = {&w};
	R(submit(c, 1, l));
	events(c, 1, 8);
	l[0] = &r;
	R(submit(c, 1, l));
	events(c, 1, 8);
	S(b);
	struct iocb bad = cb(IOCB_CMD_PREAD, 99, b, 1, 0, 3), op = cb(77, f, b, 1, 0, 4), fault = cb(IOCB_CMD_PREAD, f, (void *)8, 10, 0, 5);
	l[0] = &bad;
	R(submit(c, 1, l));
	l[0] = &op;
	R(submit(c, 1, l));
	l[0] = &r, l[1] = &bad;
	R(submit(c, 2, l)); // the first
	events(c, 1, 8);
	l[0] = &fault;
	R(submit(c, 1, l) == 1 || errno == EFAULT);
	events(c, 0, 8);
	int ev = must(eventfd(0, 0));
	w.aio_flags = IOCB_FLAG_RESFD;
	w.aio_resfd = ev;
	l[0] = &w;
	R(submit(c, 1, l));
	uint64_t n;
	R(read(ev, &n, 8));
	N(n);
	events(c, 1, 1);
	struct iocb s = cb(IOCB_CMD_FDSYNC, f, 0, 0, 0, 6);
	l[0] = &s;
	R(submit(c, 1, l));
	events(c, 1, 1);
	struct io_event e;
	struct timespec ts = {0, 10000000};
	R(syscall(SYS_io_getevents, c, 1, 1, &e, &ts));
	R(syscall(SYS_io_getevents, c, 2, 1, &e, &ts));
	R(syscall(SYS_io_getevents, 12345L, 1, 1, &e, &ts));
	struct {
		void *set;
		size_t size;
	} mask = {0, 8};
	R(syscall(SYS_io_pgetevents, c, 1, 1, &e, &ts, &mask));
	R(submit(c, 1, l));
	R(syscall(SYS_io_pgetevents, c, 1, 1, &e, 0L, 0L));
	N(e.data);
	uint64_t set = 0;
	mask.set = &set;
	mask.size = 4;
	R(syscall(SYS_io_pgetevents, c, 1, 1, &e, &ts, &mask));
	R(syscall(SYS_io_cancel, c, &s, &e)); // it is over
	R(syscall(SYS_io_cancel, 12345L, &s, &e));
	R(submit(12345, 1, l));
	R(submit(c, -1, l));
	R(submit(c, 0, l));
	R(syscall(SYS_io_getevents, c, 0, 1, &e, 0));
	AREA("vectors");
	struct iovec v[2] = {{"one ", 4}, {"two", 3}}, in[2] = {{b, 2}, {b + 50, 20}};
	memset(b, 0, sizeof b);
	struct iocb wv = cb(IOCB_CMD_PWRITEV, f, v, 2, 3, 7), rv = cb(IOCB_CMD_PREADV, f, in, 2, 3, 8);
	l[0] = &wv;
	R(submit(c, 1, l));
	events(c, 1, 8);
	l[0] = &rv;
	R(submit(c, 1, l));
	events(c, 1, 8);
	SAY("%.2s %.5s", b, b + 50);
	AREA("mistakes");
	int ro = must(open("f", O_RDONLY));
	struct iocb bads[] = {cb(IOCB_CMD_PWRITE, ro, b, 1, 0, 9), cb(IOCB_CMD_PREAD, f, b, 1, -1, 9), cb(IOCB_CMD_FSYNC, f, b, 1, 0, 9), cb(IOCB_CMD_NOOP, f, 0, 0, 0, 9)};
	for (int i = 0; i < 4; i++) {
		l[0] = &bads[i];
		R(submit(c, 1, l));
	}
	struct iocb flags = cb(IOCB_CMD_PREAD, f, b, 1, 0, 9);
	flags.aio_flags = IOCB_FLAG_RESFD;
	flags.aio_resfd = f;
	l[0] = &flags;
	R(submit(c, 1, l));
	flags.aio_flags = 0;
	flags.aio_rw_flags = 1 << 20;
	R(submit(c, 1, l));
	flags.aio_rw_flags = 0;
	flags.aio_reserved2 = 1;
	R(submit(c, 1, l));
	l[0] = (void *)8;
	R(submit(c, 1, l));
	R(submit(c, 1, (void *)8));
	events(c, 0, 8);
	AREA("poll");
	int p[2];
	must(pipe(p));
	struct iocb po = cb(IOCB_CMD_POLL, p[0], 0, 0, 0, 10);
	po.aio_buf = 1;
	l[0] = &po;
	R(submit(c, 1, l));
	events(c, 0, 8);
	must(write(p[1], "x", 1));
	R(syscall(SYS_io_getevents, c, 1, 1, &e, 0));
	N(e.res & 1); // more bits than were asked for may be set
	po.aio_data = 11;
	R(submit(c, 1, l)); // it is ready now
	events(c, 1, 8);
	must(read(p[0], b, 1));
	po.aio_data = 12;
	R(submit(c, 1, l));
	R(syscall(SYS_io_cancel, c, &po, &e));
	events(c, 1, 8);
	R(syscall(SYS_io_cancel, c, &po, &e));
	R(syscall(SYS_io_cancel, 12345L, &po, &e));
	AREA("ends");
	aio_context_t big = 0;
	R(syscall(SYS_io_setup, 0x7fffffff, &big));
	R(syscall(SYS_io_setup, 8, (void *)8));
	R(syscall(SYS_io_destroy, c));
	R(syscall(SYS_io_destroy, c));
}
