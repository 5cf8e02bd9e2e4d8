// io_uring, without a library.
#include "check.h"
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

static int ring;
static unsigned *sq_head, *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;

static struct io_uring_sqe *sqe(int op, int fd, const void *addr, unsigned len, uint64_t off, uint64_t data)
{
	unsigned i = *sq_tail & *sq_mask;
	memset(&sqes[i], 0, sizeof sqes[i]);
	sqes[i].opcode = op;
	sqes[i].fd = fd;
	sqes[i].addr = (uintptr_t)addr;
	sqes[i].len = len;
	sqes[i].off = off;
	sqes[i].user_data = data;
	sq_array[i] = i;
	__atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
	return &sqes[i];
}

static int enter(unsigned submit, unsigned wait)
{
	return syscall(SYS_io_uring_enter, ring, submit, wait, wait ? IORING_ENTER_GETEVENTS : 0, 0, 0);
}

// done prints completions, sorted by their data.
static void done(int n)
{
	struct io_uring_cqe c[16];
	int got = 0;
	while (got < n) {
		while (got < n && *cq_head != __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE)) {
			c[got++] = cqes[*cq_head & *cq_mask];
			__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
		}
		if (got < n && enter(0, 1) < 0) {
			SAY("enter: %s", errname(errno));
			return;
		}
	}
	for (int want = 0; want < 1000; want++)
		for (int i = 0; i < n; i++)
			if (c[i].user_data == (unsigned)want)
				SAY("completion %d: %s%d", want, c[i].res < 0 ? errname(-c[i].res) : "", c[i].res < 0 ? 0 : c[i].res);
}

static int setup(unsigned entries)
{
	struct io_uring_params p = {};
	ring = syscall(SYS_io_uring_setup, entries, &p);
	if (ring < 0)
		return -1;
	char *sq = mmap(0, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	char *cq = sq;
	if (!(p.features & IORING_FEAT_SINGLE_MMAP))
		cq = mmap(0, p.cq_off.cqes + p.cq_entries * sizeof *cqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	else { // one mapping, of the larger size
		munmap(sq, p.sq_off.array + p.sq_entries * 4);
		size_t a = p.sq_off.array + p.sq_entries * 4, c = p.cq_off.cqes + p.cq_entries * sizeof *cqes;
		sq = cq = mmap(0, a > c ? a : c, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	}
	sqes = mmap(0, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	sq_head = (void *)(sq + p.sq_off.head), sq_tail = (void *)(sq + p.sq_off.tail);
	sq_mask = (void *)(sq + p.sq_off.ring_mask), sq_array = (void *)(sq + p.sq_off.array);
	cq_head = (void *)(cq + p.cq_off.head), cq_tail = (void *)(cq + p.cq_off.tail);
	cq_mask = (void *)(cq + p.cq_off.ring_mask), cqes = (void *)(cq + p.cq_off.cqes);
	SAY("entries %u %u", p.sq_entries, p.cq_entries);
	return 0;
}

int main(void)
{
	scratch();
	char b[100];
	R(syscall(SYS_io_uring_setup, 0, &(struct io_uring_params){}));
	R(syscall(SYS_io_uring_setup, 8, 8));
	IS(syscall(SYS_io_uring_enter, 1, 1, 0, 0, 0, 0) < 0);
	if (setup(6)) {
		SAY("setup: %s", errname(errno));
		return 0;
	}
	AREA("files");
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 1);
	R(enter(1, 1));
	done(1);
	sqe(IORING_OP_OPENAT, AT_FDCWD, "f", 0644, 0, 2)->open_flags = O_CREAT | O_RDWR;
	R(enter(1, 1));
	unsigned at = *cq_head & *cq_mask;
	int f = cqes[at].res;
	(*cq_head)++;
	IS(f > 2);
	struct iovec v = {"vector", 6};
	sqe(IORING_OP_WRITE, f, "hello world", 11, 0, 3)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_FSYNC, f, 0, 0, 0, 4)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_READ, f, b, 100, 6, 5);
	R(enter(3, 3));
	done(3);
	SAY("%.5s", b);
	sqe(IORING_OP_WRITEV, f, &v, 1, 20, 6);
	sqe(IORING_OP_READ, 99, b, 1, 0, 7);
	sqe(IORING_OP_READ, f, (void *)8, 10, 0, 8);
	sqe(200, f, 0, 0, 0, 9);
	R(enter(4, 4));
	done(4);
	struct statx sx;
	sqe(IORING_OP_STATX, AT_FDCWD, "f", STATX_SIZE, (uintptr_t)&sx, 10);
	R(enter(1, 1));
	done(1);
	N(sx.stx_size);
	sqe(IORING_OP_READ, f, b, 3, -1, 11);
	R(enter(1, 1));
	done(1);
	N(lseek(f, 0, SEEK_CUR));
	sqe(IORING_OP_READ, 99, b, 3, 0, 12)->flags = IOSQE_IO_LINK; // fails
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 13); // and so does what is linked to it
	R(enter(2, 2));
	done(2);
	AREA("waiting");
	int p[2];
	must(pipe(p));
	sqe(IORING_OP_READ, p[0], b, 10, 0, 14);
	R(enter(1, 0));
	R(*cq_head == *cq_tail);
	sqe(IORING_OP_WRITE, p[1], "pipe", 4, 0, 15);
	R(enter(1, 2));
	done(2);
	struct __kernel_timespec ts = {0, 20000000};
	sqe(IORING_OP_TIMEOUT, -1, &ts, 1, 0, 16);
	long long start = now_ns(CLOCK_MONOTONIC);
	R(enter(1, 1));
	IS(took(start, 20));
	done(1);
	sqe(IORING_OP_POLL_ADD, p[0], 0, 0, 0, 17)->poll32_events = POLLIN;
	R(enter(1, 0));
	must(write(p[1], "x", 1));
	done(1);
	must(read(p[0], b, 1));
	sqe(IORING_OP_READ, p[0], b, 10, 0, 18);
	R(enter(1, 0));
	sqe(IORING_OP_ASYNC_CANCEL, -1, (void *)18, 0, 0, 19);
	R(enter(1, 2));
	done(2);
	AREA("sockets");
	int l = must(socket(AF_INET, SOCK_STREAM, 0)), c = must(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	must(bind(l, (void *)&a, sizeof a));
	must(listen(l, 5));
	must(getsockname(l, (void *)&a, &n));
	sqe(IORING_OP_ACCEPT, l, 0, 0, 0, 20);
	sqe(IORING_OP_CONNECT, c, &a, 0, sizeof a, 21);
	R(enter(2, 2));
	int s = -1;
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *q = &cqes[(*cq_head + i) & *cq_mask];
		if (q->user_data == 20)
			s = q->res;
		else
			N(q->res);
	}
	*cq_head += 2;
	IS(s > 2);
	sqe(IORING_OP_RECV, s, b, 100, 0, 22);
	sqe(IORING_OP_SEND, c, "network", 7, 0, 23);
	R(enter(2, 2));
	done(2);
	SAY("%.7s", b);
	AREA("registered");
	int ev = must(eventfd(0, EFD_NONBLOCK));
	R(syscall(SYS_io_uring_register, ring, IORING_REGISTER_EVENTFD, &ev, 1));
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 24);
	R(enter(1, 1));
	done(1);
	uint64_t count;
	R(read(ev, &count, 8));
	static char fixed[4096];
	v = (struct iovec){fixed, sizeof fixed};
	R(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &v, 1));
	sqe(IORING_OP_READ_FIXED, f, fixed, 11, 0, 25)->buf_index = 0;
	R(enter(1, 1));
	done(1);
	S(fixed);
	int files[2] = {f, -1};
	R(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, files, 2));
	sqe(IORING_OP_READ, 0, b, 5, 0, 26)->flags = IOSQE_FIXED_FILE;
	R(enter(1, 1));
	done(1);
	sqe(IORING_OP_CLOSE, s, 0, 0, 0, 27);
	R(enter(1, 1));
	done(1);
	struct pollfd pf = {ring, POLLIN, 0};
	R(poll(&pf, 1, 0));
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 28);
	R(enter(1, 0));
	R(poll(&pf, 1, 1000));
	done(1);
	R(close(ring));
}
