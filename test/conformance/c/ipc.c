// link: -lrt
// System V's and POSIX's shared memory, semaphores and message queues, among threads.
#include "check.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void shared(void)
{
	AREA("shared memory");
	struct shmid_ds d;
	int id = shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0600);
	OK(id);
	char *a = shmat(id, 0, 0), *b = shmat(id, 0, SHM_RDONLY);
	IS(a != (void *)-1 && b != (void *)-1 && a != b);
	strcpy(a, "attached");
	S(b);
	R(shmctl(id, IPC_STAT, &d));
	N(d.shm_segsz);
	N(d.shm_nattch);
	X(d.shm_perm.mode & 0777);
	IS(d.shm_cpid == getpid() && d.shm_lpid == getpid());
	R(shmdt(b));
	R(shmdt(b));
	R(shmdt(a + 4096));
	R(shmctl(id, IPC_RMID, 0));
	S(a); // until the last one detaches
	R(shmctl(id, IPC_STAT, &d) == 0 ? (d.shm_perm.mode & SHM_DEST) != 0 : -1);
	R(shmdt(a));
	R(shmctl(id, IPC_STAT, &d));
	IS(shmat(id, 0, 0) == (void *)-1 && errno == EINVAL);
	R(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
	key_t key = 0x4b000000 | getpid() & 0xffffff;
	R(shmget(key, 100, 0));
	id = must(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600));
	R(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600));
	R(shmget(key, 100, 0) == id ? 0 : -1);
	R(shmget(key, 5000, 0));
	char *at = mmap(0, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	IS(shmat(id, at, 0) == (void *)-1 && errno == EINVAL);
	IS(shmat(id, at + 5, SHM_RND | SHM_REMAP) == at);
	at[0] = 1;
	R(shmdt(at));
	R(shmctl(id, 99, &d));
	R(shmctl(id, IPC_RMID, 0));
}

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int sems;

static void *gives(void *arg)
{
	ms(30);
	struct sembuf up[2] = {{0, 1, 0}, {1, 2, 0}};
	semop(sems, up, 2);
	return 0;
}

static void semaphores(void)
{
	AREA("semaphores");
	pthread_t t;
	sems = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
	OK(sems);
	unsigned short all[3] = {1, 0, 7};
	R(semctl(sems, 0, SETALL, (union semun){.array = all}));
	R(semctl(sems, 2, GETVAL));
	R(semctl(sems, 0, SETVAL, (union semun){.val = 2}));
	R(semctl(sems, 0, SETVAL, (union semun){.val = -1}));
	R(semctl(sems, 0, SETVAL, (union semun){.val = 40000}));
	R(semctl(sems, 5, GETVAL));
	struct sembuf down = {0, -3, IPC_NOWAIT};
	R(semop(sems, &down, 1));
	down.sem_op = -2;
	R(semop(sems, &down, 1));
	R(semctl(sems, 0, GETVAL));
	IS(semctl(sems, 0, GETPID) == getpid());
	struct sembuf both[2] = {{0, -1, 0}, {1, -2, 0}};
	pthread_create(&t, 0, gives, 0);
	R(semop(sems, both, 2)); // waits for both
	pthread_join(t, 0);
	struct timespec ts = {0, 1000000};
	R(semtimedop(sems, both, 2, &ts));
	struct sembuf zero = {1, 0, IPC_NOWAIT};
	R(semop(sems, &zero, 1));
	zero.sem_num = 2;
	R(semop(sems, &zero, 1));
	zero.sem_num = 9;
	R(semop(sems, &zero, 1));
	R(semop(sems, &zero, 0));
	struct semid_ds d;
	R(semctl(sems, 0, IPC_STAT, (union semun){.buf = &d}));
	N(d.sem_nsems);
	R(semctl(sems, 0, GETALL, (union semun){.array = all}));
	SAY("%d %d %d", all[0], all[1], all[2]);
	R(semctl(sems, 0, GETNCNT));
	R(semctl(sems, 0, GETZCNT));
	R(semctl(sems, 0, IPC_RMID));
	R(semop(sems, both, 2));
	R(semget(IPC_PRIVATE, 0, 0600));
	R(semget(0x4b694c6f, 1, 0));
}

struct message {
	long type;
	char text[100];
};

static int queue;

static void *sends(void *arg)
{
	ms(30);
	struct message m = {9, "later"};
	msgsnd(queue, &m, 6, 0);
	return 0;
}

static void messages(void)
{
	AREA("messages");
	pthread_t t;
	queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	OK(queue);
	struct message m = {2, "second"};
	R(msgsnd(queue, &m, 7, 0));
	m = (struct message){1, "first"};
	R(msgsnd(queue, &m, 6, 0));
	m.type = 0;
	R(msgsnd(queue, &m, 6, 0));
	m.type = 1;
	R(msgsnd(queue, &m, 100000, 0));
	struct msqid_ds d;
	R(msgctl(queue, IPC_STAT, &d));
	SAY("%d messages, %d bytes", (int)d.msg_qnum, (int)d.__msg_cbytes);
	R(msgrcv(queue, &m, 3, 1, 0));
	R(msgrcv(queue, &m, 3, 1, MSG_NOERROR));
	R(msgrcv(queue, &m, 100, 1, IPC_NOWAIT));
	R(msgrcv(queue, &m, 100, -5, IPC_NOWAIT));
	SAY("%ld %s", m.type, m.text);
	pthread_create(&t, 0, sends, 0);
	R(msgrcv(queue, &m, 100, 0, 0));
	SAY("%ld %s", m.type, m.text);
	pthread_join(t, 0);
	R(msgctl(queue, IPC_RMID, 0));
	R(msgrcv(queue, &m, 100, 0, 0));
	R(msgget(0x4b694c70, 0));
}

static void *posts(void *arg)
{
	ms(30);
	mq_send(*(mqd_t *)arg, "posted", 7, 3);
	return 0;
}

static void posix(void)
{
	AREA("POSIX queues");
	pthread_t t;
	struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 64}, o;
	char b[100], name[40];
	unsigned prio;
	snprintf(name, sizeof name, "/check.%d.%lld", getpid(), now_ns(CLOCK_REALTIME));
	OK(mq_open(name, O_RDWR));
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a);
	OK(q);
	OK(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a));
	R(mq_send(q, "low", 4, 1));
	R(mq_send(q, "high", 5, 7));
	R(mq_send(q, "", 0, 1));
	R(mq_send(q, b, 65, 1));
	struct timespec past = {1, 0};
	R(mq_timedsend(q, "x", 1, 1, &past));
	R(mq_getattr(q, &o));
	SAY("%ld of %ld, %ld bytes, flags %ld", o.mq_curmsgs, o.mq_maxmsg, o.mq_msgsize, o.mq_flags);
	struct pollfd p = {q, POLLIN | POLLOUT, 0};
	R(poll(&p, 1, 0));
	X(p.revents);
	R(mq_receive(q, b, 10, &prio));
	for (int i = 0; i < 3; i++) {
		R(mq_receive(q, b, 64, &prio));
		N(prio);
	}
	R(mq_timedreceive(q, b, 64, &prio, &past));
	pthread_create(&t, 0, posts, &q);
	R(mq_receive(q, b, 64, &prio));
	SAY("%s %u", b, prio);
	pthread_join(t, 0);
	a.mq_flags = O_NONBLOCK;
	R(mq_setattr(q, &a, &o));
	R(mq_receive(q, b, 64, &prio));
	struct sigevent e = {.sigev_notify = SIGEV_NONE};
	R(mq_notify(q, &e));
	R(mq_notify(q, &e));
	R(mq_notify(q, 0));
	R(mq_unlink(name));
	R(mq_unlink(name));
	R(mq_send(q, "still", 6, 0));
	R(mq_close(q));
	R(mq_close(q));
	OK(mq_open("no-slash", O_RDWR | O_CREAT, 0600, 0));
	a.mq_maxmsg = 0;
	OK(mq_open(name, O_RDWR | O_CREAT, 0600, &a));
}

int main(void)
{
	shared();
	semaphores();
	messages();
	posix();
}
