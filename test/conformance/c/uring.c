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

static int map_ring(struct io_uring_params p);

static int setup(unsigned entries)
{
	struct io_uring_params p = {};
	ring = syscall(SYS_io_uring_setup, entries, &p);
	if (ring < 0)
		return -1;
	return map_ring(p);
}

static int setup_flags(unsigned entries, struct io_uring_params *p)
{
	ring = syscall(SYS_io_uring_setup, entries, p);
	if (ring < 0)
		return -1;
	return map_ring(*p);
}

static int map_ring(struct io_uring_params p)
{
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

// all prints n completions with their flags, in order.
static void all(int n)
{
	for (int i = 0; i < n; i++) {
		if (*cq_head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) && enter(0, 1) < 0) {
			SAY("enter: %s", errname(errno));
			return;
		}
		struct io_uring_cqe *c = &cqes[*cq_head & *cq_mask];
		SAY("completion %llu: %s%d flags 0x%x", (unsigned long long)c->user_data, c->res < 0 ? errname(-c->res) : "", c->res < 0 ? 0 : c->res,
			c->flags & ~IORING_CQE_F_SOCK_NONEMPTY);
		__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	}
}

// none says how many completions there are.
static void none(void) { N(__atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) - *cq_head); }

static long reg(int op, void *arg, unsigned n) { return syscall(SYS_io_uring_register, ring, op, arg, n); }

static void queues(void)
{
	AREA("queues");
	for (unsigned i = 0; i < 4; i++) {
		unsigned sizes[4][3] = {{5, 0, 0}, {8, IORING_SETUP_CQSIZE, 64}, {8, IORING_SETUP_CQSIZE, 4}, {100000, IORING_SETUP_CLAMP, 0}};
		struct io_uring_params p = {.flags = sizes[i][1], .cq_entries = sizes[i][2]};
		int fd = syscall(SYS_io_uring_setup, sizes[i][0], &p);
		SAY("%u: %s %u %u", i, fd < 0 ? errname(errno) : "ok", p.sq_entries, p.cq_entries);
		if (fd >= 0)
			close(fd);
	}
	struct io_uring_params p = {};
	must(setup_flags(4, &p));
	X(p.features & (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS | IORING_FEAT_FAST_POLL |
		IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS | IORING_FEAT_CQE_SKIP | IORING_FEAT_LINKED_FILE));
	char one;
	R(read(ring, &one, 1));
	R(write(ring, &one, 1));
	R(lseek(ring, 0, SEEK_SET));
	for (int i = 0; i < 3; i++) { // more completions than there is room for
		for (int k = 0; k < 4; k++)
			sqe(IORING_OP_NOP, -1, 0, 0, 0, 10 * i + k);
		R(enter(4, 0));
	}
	none();
	all(12);
	none();
	R(enter(5, 0)); // there are none
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 1)->flags = 0x80;
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 2);
	R(enter(2, 0)); // ends with the first
	all(1);
	R(enter(1, 0));
	all(1);
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 3)->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe(IORING_OP_READ, 99, &one, 1, 0, 4)->flags = IOSQE_CQE_SKIP_SUCCESS;
	R(enter(2, 0));
	all(1);
	none();
	R(syscall(SYS_io_uring_enter, ring, 0, 0, 0x8000, 0, 0));
	R(syscall(SYS_io_uring_enter, 99, 0, 0, 0, 0, 0));
	struct __kernel_timespec ts = {0, 10000000};
	struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&ts};
	R(syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
	R(syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, 8));
}

static void timeouts(void)
{
	AREA("timeouts");
	struct __kernel_timespec ts = {0, 10000000}, hour = {3600, 0}, bad = {0, -1};
	sqe(IORING_OP_TIMEOUT, -1, &hour, 1, 2, 1);
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 2);
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 3);
	R(enter(3, 3));
	done(3);
	sqe(IORING_OP_TIMEOUT, -1, &hour, 1, 0, 1);
	sqe(IORING_OP_TIMEOUT_REMOVE, -1, (void *)1, 0, 0, 2);
	R(enter(2, 2));
	done(2);
	sqe(IORING_OP_TIMEOUT, -1, &hour, 1, 0, 1);
	sqe(IORING_OP_TIMEOUT_REMOVE, -1, (void *)1, 0, (uintptr_t)&ts, 2)->timeout_flags = IORING_TIMEOUT_UPDATE;
	R(enter(2, 2));
	done(2);
	sqe(IORING_OP_TIMEOUT_REMOVE, -1, (void *)77, 0, 0, 1);
	sqe(IORING_OP_TIMEOUT, -1, &bad, 1, 0, 2);
	R(enter(2, 2));
	done(2);
	sqe(IORING_OP_TIMEOUT, -1, &ts, 2, 0, 1);
	R(enter(1, 1));
	done(1);
	long long at = now_ns(CLOCK_MONOTONIC) + 10000000;
	struct __kernel_timespec abs = {at / 1000000000, at % 1000000000};
	sqe(IORING_OP_TIMEOUT, -1, &abs, 1, 0, 3)->timeout_flags = IORING_TIMEOUT_ABS;
	R(enter(1, 1));
	IS(now_ns(CLOCK_MONOTONIC) >= at);
	done(1);
	sqe(IORING_OP_TIMEOUT, -1, &ts, 1, 0, 1)->timeout_flags = IORING_TIMEOUT_ETIME_SUCCESS;
	sqes[(*sq_tail - 1) & *sq_mask].flags = IOSQE_IO_LINK;
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 2);
	R(enter(2, 2));
	done(2);
}

static void chains(void)
{
	AREA("chains");
	char b[8];
	int p[2];
	must(pipe(p));
	struct __kernel_timespec ts = {0, 10000000}, hour = {3600, 0};
	sqe(IORING_OP_READ, p[0], b, 1, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_LINK_TIMEOUT, -1, &ts, 1, 0, 2);
	R(enter(2, 2));
	done(2);
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_LINK_TIMEOUT, -1, &hour, 1, 0, 2)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 3);
	R(enter(3, 3));
	done(3);
	sqe(IORING_OP_LINK_TIMEOUT, -1, &hour, 1, 0, 1);
	R(enter(1, 1));
	done(1);
	sqe(IORING_OP_READ, 99, b, 1, 0, 1)->flags = IOSQE_IO_HARDLINK;
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 2);
	R(enter(2, 2));
	done(2);
	sqe(IORING_OP_READ, p[0], b, 1, 0, 1);
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 2)->flags = IOSQE_IO_DRAIN;
	R(enter(2, 0));
	none();
	must(write(p[1], "x", 1));
	all(2);
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(200, -1, 0, 0, 0, 2)->flags = IOSQE_IO_LINK; // breaks what is before it, too
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 3);
	R(enter(3, 3));
	done(3);
	sqe(IORING_OP_READ, p[0], b, 1, 0, 1)->flags = IOSQE_ASYNC;
	R(enter(1, 0));
	ms(20);
	sqe(IORING_OP_ASYNC_CANCEL, p[0], 0, 0, 0, 2)->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
	R(enter(1, 2));
	done(2);
	sqe(IORING_OP_ASYNC_CANCEL, -1, (void *)5, 0, 0, 1);
	sqe(IORING_OP_ASYNC_CANCEL, -1, 0, 0, 0, 2)->cancel_flags = IORING_ASYNC_CANCEL_ANY;
	R(enter(2, 2));
	done(2);
	close(p[0]);
	sqe(IORING_OP_WRITE, p[1], "x", 1, 0, 1);
	handle(SIGPIPE, (void *)SIG_IGN, 0);
	R(enter(1, 1));
	done(1);
	close(p[1]);
}

// many has requests with more than one completion. l is a listening socket.
static void many(int l, struct sockaddr_in *a)
{
	AREA("many completions");
	sqe(IORING_OP_ACCEPT, l, 0, 0, 0, 1)->ioprio = IORING_ACCEPT_MULTISHOT;
	R(enter(1, 0));
	int c[2], s[2];
	for (int i = 0; i < 2; i++) {
		c[i] = must(socket(AF_INET, SOCK_STREAM, 0));
		must(connect(c[i], (void *)a, sizeof *a));
		R(enter(0, 1));
		struct io_uring_cqe *q = &cqes[*cq_head & *cq_mask];
		s[i] = q->res;
		IS(q->res > 2 && q->user_data == 1 && q->flags == IORING_CQE_F_MORE);
		__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	}
	sqe(IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 2);
	R(enter(1, 2));
	done(2);
	static char space[4][16];
	sqe(IORING_OP_PROVIDE_BUFFERS, 4, space, 16, 0, 3)->buf_group = 7;
	R(enter(1, 1));
	all(1);
	struct io_uring_sqe *q = sqe(IORING_OP_RECV, s[0], 0, 0, 0, 4);
	q->ioprio = IORING_RECV_MULTISHOT, q->flags = IOSQE_BUFFER_SELECT, q->buf_group = 7;
	R(enter(1, 0));
	for (int i = 0; i < 2; i++) {
		must(send(c[0], "message", 7, 0));
		R(enter(0, 1));
		all(1);
		SAY("%.7s", space[i]);
	}
	must(shutdown(c[0], SHUT_WR));
	R(enter(0, 1));
	all(1);
	q = sqe(IORING_OP_RECV, s[1], 0, 0, 0, 5);
	q->flags = IOSQE_BUFFER_SELECT, q->buf_group = 8; // no such group
	sqe(IORING_OP_SEND, s[0], "z", 1, 0, 6);
	sqe(IORING_OP_SEND, 1, "z", 1, 0, 7);
	R(enter(3, 3));
	done(3);
	sqe(IORING_OP_RECV, s[1], space, 64, 0, 8)->msg_flags = MSG_WAITALL;
	R(enter(1, 0));
	static char text[64];
	memset(text, 'a', 64);
	must(send(c[1], text, 30, 0));
	ms(5);
	must(send(c[1], text, 34, 0));
	all(1);
	struct iovec v = {space, 64};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	sqe(IORING_OP_RECVMSG, s[1], &m, 1, 0, 9);
	R(enter(1, 0));
	v = (struct iovec){text, 10};
	sqe(IORING_OP_SENDMSG, c[1], &m, 1, 0, 10);
	R(enter(1, 2));
	done(2);
	sqe(IORING_OP_SHUTDOWN, s[1], 0, SHUT_RDWR, 0, 11);
	sqe(IORING_OP_SHUTDOWN, 1, 0, SHUT_RDWR, 0, 12);
	R(enter(2, 2));
	done(2);
	int e = must(eventfd(0, 0));
	q = sqe(IORING_OP_POLL_ADD, e, 0, IORING_POLL_ADD_MULTI, 0, 13);
	q->poll32_events = POLLIN;
	R(enter(1, 0));
	uint64_t one = 1;
	for (int i = 0; i < 2; i++) {
		must(write(e, &one, 8));
		all(1);
		must(read(e, &one, 8));
	}
	sqe(IORING_OP_POLL_REMOVE, -1, (void *)13, 0, 0, 14);
	sqe(IORING_OP_POLL_REMOVE, -1, (void *)13, 0, 0, 15);
	R(enter(2, 3));
	done(3);
	q = sqe(IORING_OP_POLL_ADD, e, 0, 0, 0, 16);
	q->poll32_events = POLLIN | POLLOUT;
	sqe(IORING_OP_POLL_ADD, 99, 0, 0, 0, 17)->poll32_events = POLLIN;
	R(enter(2, 2));
	done(2);
	for (int i = 0; i < 2; i++)
		close(c[i]), close(s[i]);
	close(e);
}

static void buffers(void)
{
	AREA("buffers");
	int p[2];
	must(pipe(p));
	static struct io_uring_buf_ring *r;
	r = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct io_uring_buf_reg b = {.ring_addr = (uintptr_t)r, .ring_entries = 4, .bgid = 3};
	R(reg(IORING_REGISTER_PBUF_RING, &b, 1));
	R(reg(IORING_REGISTER_PBUF_RING, &b, 1));
	b.bgid = 4, b.ring_entries = 3;
	R(reg(IORING_REGISTER_PBUF_RING, &b, 1));
	static char space[2][8];
	for (int i = 0; i < 2; i++)
		r->bufs[i].addr = (uintptr_t)space[i], r->bufs[i].len = 8, r->bufs[i].bid = 20 + i;
	__atomic_store_n(&r->tail, 2, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++) {
		struct io_uring_sqe *q = sqe(IORING_OP_READ, p[0], 0, 8, 0, i);
		q->flags = IOSQE_BUFFER_SELECT, q->buf_group = 3;
		must(write(p[1], "12345678", i + 1));
		R(enter(1, 1));
		all(1);
	}
	SAY("%.1s %.2s", space[0], space[1]);
	b.bgid = 3;
	R(reg(IORING_UNREGISTER_PBUF_RING, &b, 1));
	R(reg(IORING_UNREGISTER_PBUF_RING, &b, 1));
	sqe(IORING_OP_PROVIDE_BUFFERS, 2, space, 8, 0, 1)->buf_group = 9;
	sqe(IORING_OP_REMOVE_BUFFERS, 5, 0, 0, 0, 2)->buf_group = 9;
	sqe(IORING_OP_REMOVE_BUFFERS, 5, 0, 0, 0, 3)->buf_group = 10;
	sqe(IORING_OP_PROVIDE_BUFFERS, 0, space, 8, 0, 4)->buf_group = 9;
	R(enter(4, 4));
	done(4);
	struct io_uring_sqe *q = sqe(IORING_OP_WRITE, p[1], "x", 1, 0, 5);
	q->flags = IOSQE_BUFFER_SELECT;
	R(enter(1, 1));
	done(1);
	close(p[0]), close(p[1]);
}

// direct has files without descriptors.
static void direct(void)
{
	AREA("direct");
	char b[16] = "";
	put("d", "direct");
	int files[4] = {-1, -1, -1, -1};
	R(reg(IORING_REGISTER_FILES, files, 4));
	struct io_uring_sqe *q = sqe(IORING_OP_OPENAT, AT_FDCWD, "d", 0, 0, 1);
	q->file_index = 2, q->flags = IOSQE_IO_LINK;
	q = sqe(IORING_OP_READ, 1, b, 16, 0, 2);
	q->flags = IOSQE_FIXED_FILE;
	R(enter(2, 2));
	done(2);
	S(b);
	q = sqe(IORING_OP_OPENAT, AT_FDCWD, "d", 0, 0, 3);
	q->file_index = IORING_FILE_INDEX_ALLOC;
	q = sqe(IORING_OP_OPENAT, AT_FDCWD, "d", 0, 0, 4);
	q->file_index = 5;
	q = sqe(IORING_OP_CLOSE, 0, 0, 0, 0, 5);
	q->file_index = 2;
	q = sqe(IORING_OP_CLOSE, 0, 0, 0, 0, 6);
	q->file_index = 2;
	for (int i = 0; i < 4; i++) {
		R(enter(1, 1));
		all(1);
	}
	int fd = must(open("d", O_RDONLY));
	struct io_uring_files_update u = {.offset = 3, .fds = (uintptr_t)&fd};
	R(reg(IORING_REGISTER_FILES_UPDATE, &u, 1));
	R(reg(IORING_REGISTER_FILES_UPDATE, &u, 2));
	sqe(IORING_OP_FILES_UPDATE, -1, &fd, 1, 2, 7);
	q = sqe(IORING_OP_FSYNC, 2, 0, 0, 0, 8);
	q->flags = IOSQE_FIXED_FILE;
	q = sqe(IORING_OP_FSYNC, 9, 0, 0, 0, 9);
	q->flags = IOSQE_FIXED_FILE;
	for (int i = 0; i < 3; i++) {
		R(enter(1, 1));
		all(1);
	}
	R(reg(IORING_REGISTER_FILES, files, 4));
	R(reg(IORING_UNREGISTER_FILES, 0, 0));
	R(reg(IORING_UNREGISTER_FILES, 0, 0));
	close(fd);
}

// names has operations by path, and others that are system calls of their own.
static void names(void)
{
	AREA("calls");
	put("n", "0123456789");
	// Linux makes these in any order that the links leave it.
	sqe(IORING_OP_MKDIRAT, AT_FDCWD, "dir", 0755, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_RENAMEAT, AT_FDCWD, "n", AT_FDCWD, (uintptr_t) "dir/m", 2)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_SYMLINKAT, AT_FDCWD, "m", 0, (uintptr_t) "dir/s", 3)->flags = IOSQE_IO_LINK;
	sqe(IORING_OP_LINKAT, AT_FDCWD, "dir/m", AT_FDCWD, (uintptr_t) "dir/h", 4);
	R(enter(4, 4));
	all(4);
	S(text("dir/s"));
	S(text("dir/h"));
	sqe(IORING_OP_UNLINKAT, AT_FDCWD, "dir/h", 0, 0, 5);
	sqe(IORING_OP_UNLINKAT, AT_FDCWD, "dir", 0, 0, 6)->unlink_flags = AT_REMOVEDIR;
	sqe(IORING_OP_MKDIRAT, AT_FDCWD, "dir", 0755, 0, 7);
	R(enter(3, 3));
	done(3);
	int f = must(open("dir/m", O_RDWR)), p[2];
	must(pipe(p));
	sqe(IORING_OP_FALLOCATE, f, (void *)100, 0, 0, 8);
	sqe(IORING_OP_FADVISE, f, 0, 10, 0, 9)->fadvise_advice = POSIX_FADV_WILLNEED;
	struct io_uring_sqe *q = sqe(IORING_OP_SPLICE, p[1], (void *)2, 5, -1, 10);
	q->splice_fd_in = f;
	R(enter(3, 3));
	done(3);
	char b[16] = "";
	R(read(p[0], b, 16));
	S(b);
	int e = must(syscall(SYS_epoll_create1, 0));
	struct { uint32_t events; uint64_t data; } __attribute__((packed)) ev = {POLLIN, 5};
	sqe(IORING_OP_EPOLL_CTL, e, &ev, 1, p[0], 11);
	sqe(IORING_OP_EPOLL_CTL, e, &ev, 1, p[0], 12);
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = 'x';
	sqe(IORING_OP_MADVISE, -1, page, 4096, 0, 13)->fadvise_advice = MADV_DONTNEED;
	R(enter(3, 3));
	done(3);
	N(page[0]);
	sqe(IORING_OP_SOCKET, AF_UNIX, 0, 0, SOCK_STREAM, 14);
	R(enter(1, 1));
	struct io_uring_cqe *c = &cqes[*cq_head & *cq_mask];
	IS(c->res > 2);
	close(c->res);
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	sqe(IORING_OP_CLOSE, ring, 0, 0, 0, 15);
	sqe(IORING_OP_CLOSE, 99, 0, 0, 0, 16);
	sqe(IORING_OP_READ, f, b, 4, 1000, 17);
	sqe(IORING_OP_READ, p[1], b, 4, 0, 18);
	R(enter(4, 4));
	all(4);
	close(e), close(f), close(p[0]), close(p[1]);
}

static void registering(void)
{
	AREA("register");
	static struct {
		struct io_uring_probe p;
		struct io_uring_probe_op ops[64];
	} probe;
	R(reg(IORING_REGISTER_PROBE, &probe, 64));
	for (int op = 0; op < IORING_OP_URING_CMD; op++)
		if (!(probe.ops[op].flags & IO_URING_OP_SUPPORTED))
			SAY("operation %d is not there", op);
	R(reg(IORING_REGISTER_PROBE, &probe, 64));
	R(reg(9999, 0, 0));
	struct iovec v[2] = {{&probe, 100}, {(void *)8, 100}};
	R(reg(IORING_REGISTER_BUFFERS, v, 2));
	R(reg(IORING_REGISTER_BUFFERS, v, 1));
	R(reg(IORING_REGISTER_BUFFERS, v, 1));
	sqe(IORING_OP_WRITE_FIXED, 1, (char *)&probe + 50, 51, 0, 1);
	sqe(IORING_OP_WRITE_FIXED, 1, &probe, 1, 0, 2)->buf_index = 1;
	for (int i = 0; i < 2; i++) {
		R(enter(1, 1));
		all(1);
	}
	R(reg(IORING_UNREGISTER_BUFFERS, 0, 0));
	R(reg(IORING_UNREGISTER_BUFFERS, 0, 0));
	int e = 1;
	R(reg(IORING_REGISTER_EVENTFD, &e, 1));
	R(reg(IORING_UNREGISTER_EVENTFD, 0, 0));
	R(reg(IORING_REGISTER_ENABLE_RINGS, 0, 0));
	close(ring);
}

// rings has two of them, and the ways in which one may be submitted from.
static void rings(void)
{
	AREA("rings");
	struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER};
	must(setup_flags(4, &p));
	sqe(IORING_OP_NOP, -1, 0, 0, 0, 1);
	R(enter(1, 0));
	R(reg(IORING_REGISTER_ENABLE_RINGS, 0, 0));
	R(enter(1, 1));
	all(1);
	int other = syscall(SYS_io_uring_setup, 4, &(struct io_uring_params){});
	must(other);
	sqe(IORING_OP_MSG_RING, other, 0, 55, 66, 2);
	sqe(IORING_OP_MSG_RING, 1, 0, 55, 66, 3);
	for (int i = 0; i < 2; i++) {
		R(enter(1, 1));
		all(1);
	}
	struct pollfd pf = {other, POLLIN, 0};
	R(poll(&pf, 1, 1000));
	X(pf.revents);
	close(other);
	close(ring);
	struct io_uring_params sq = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 10};
	if (setup_flags(4, &sq)) {
		SAY("polling: %s", errname(errno));
		return;
	}
	for (int i = 0; i < 3; i++) {
		sqe(IORING_OP_NOP, -1, 0, 0, 0, i);
		ms(20); // it sleeps by then, or has seen it
		syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP, 0, 0);
		all(1);
	}
	close(ring);
}

static void refused(void)
{
	AREA("refused");
	unsigned flags[] = {1u << 30, IORING_SETUP_SQ_AFF, IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SQPOLL | IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_CQSIZE};
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct io_uring_params p = {.flags = flags[i]};
		R(syscall(SYS_io_uring_setup, 4, &p));
	}
	struct io_uring_params p = {.resv = {1}};
	R(syscall(SYS_io_uring_setup, 4, &p));
	R(syscall(SYS_io_uring_setup, 100000, &(struct io_uring_params){}));
	R(syscall(SYS_io_uring_register, 1, IORING_REGISTER_PROBE, 0, 0) < 0);
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
	close(ev);
	R(close(ring));
	queues();
	timeouts();
	chains();
	many(l, &a);
	buffers();
	direct();
	names();
	registering();
	rings();
	refused();
}
