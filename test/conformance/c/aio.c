// Linux AIO: io_setup, io_submit, io_getevents, io_cancel.
#include "check.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>

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
	R(submit(12345, 1, l));
	R(submit(c, -1, l));
	R(submit(c, 0, l));
	R(syscall(SYS_io_destroy, c));
	R(syscall(SYS_io_destroy, c));
}
