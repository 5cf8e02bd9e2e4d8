// System V shared memory, semaphores and message queues.
#include "check.h"
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
union semun { int val; struct semid_ds *buf; unsigned short *array; };

// joined prints what a thread has returned.
static void joined(pthread_t t)
{
	void *r;
	pthread_join(t, &r);
	N((long)r);
}

static int line_of_maps(const char *what)
{
	char line[512];
	int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	while (f && fgets(line, sizeof line, f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

static void shm(void)
{
	AREA("shared memory");
	struct shmid_ds ds;
	key_t key = 0x4b31 + getpid() * 65536;
	R(shmget(key, 4096, 0600));
	R(shmget(key, 0, IPC_CREAT | 0600));
	int id = must(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0640));
	R(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0600));
	R(shmget(key, 5001, 0));
	IS(shmget(key, 100, 0) == id);
	OK(shmctl(id, IPC_STAT, &ds));
	N(ds.shm_segsz);
	N(ds.shm_nattch);
	X(ds.shm_perm.mode);
	IS(ds.shm_perm.uid == getuid() && ds.shm_perm.cgid == getgid());
	IS(ds.shm_cpid == getpid());
	N(ds.shm_lpid);
	N(ds.shm_atime);
	IS(ds.shm_ctime > 1000000000);
	char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
	IS(a != (void *)-1 && b != (void *)-1 && a != b);
	strcpy(a + 4990, "here");
	S(b + 4990);
	a[8191] = 7; // the page is there to its end
	N(b[8191]);
	char name[64];
	snprintf(name, sizeof name, "/SYSV%08x (deleted)", key);
	N(line_of_maps(name));
	OK(shmctl(id, IPC_STAT, &ds));
	N(ds.shm_nattch);
	IS(ds.shm_lpid == getpid() && ds.shm_atime > 0);
	R(mprotect((void *)b, 4096, PROT_READ | PROT_WRITE));
	R(shmdt(a + 4096));
	R(shmdt(a + 1));
	R((long)shmat(id, a, 0));
	R((long)shmat(id, a + 1, 0));
	R((long)shmat(id + 1, NULL, 0));
	R((long)shmat(-1, NULL, 0));
	R((long)shmat(id, NULL, SHM_REMAP));
	char *place = mmap(0, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	IS(shmat(id, place + 4097, SHM_RND | SHM_REMAP) == place + 4096);
	S(place + 4096 + 4990);
	OK(munmap(place + 4096, 4096)); // half of it
	OK(shmctl(id, IPC_STAT, &ds));
	N(ds.shm_nattch);
	R(shmdt(place + 4096 + 4096));
	OK(shmdt(place + 4096));
	OK(shmctl(id, IPC_STAT, &ds));
	N(ds.shm_nattch);
	ds.shm_perm.mode = 0600;
	OK(shmctl(id, IPC_SET, &ds));
	OK(shmctl(id, IPC_RMID, NULL));
	R(shmget(key, 100, 0));
	OK(shmctl(id, IPC_STAT, &ds));
	X(ds.shm_perm.mode);
	N(ds.shm_perm.__key);
	char *c = shmat(id, NULL, 0);
	S(c + 4990);
	OK(shmdt(c));
	OK(shmdt(a));
	S(b + 4990);
	OK(shmdt(b));
	R(shmdt(b));
	R(shmctl(id, IPC_STAT, &ds));
	R(shmctl(id, 77, &ds));
	R(shmctl(-1, IPC_STAT, &ds));
	id = must(shmget(IPC_PRIVATE, 1, 0600));
	int other = must(shmget(IPC_PRIVATE, 1, 0600));
	IS(other != id);
	OK(shmctl(other, IPC_RMID, 0));
	R(shmctl(id, IPC_STAT, (void *)8));
	R(shmctl(id, 77, &ds));
	R(shmctl(id, SHM_LOCK, 0));
	OK(shmctl(id, IPC_STAT, &ds));
	X(ds.shm_perm.mode);
	OK(shmctl(id, IPC_RMID, 0));
}

static int sem;

static int op(int num, int n, int flags)
{
	struct sembuf o = {num, n, flags};
	return semop(sem, &o, 1);
}

static void *taker(void *arg)
{
	return (void *)(long)(op(0, -3, 0) ? errno : 0);
}

static void *zero(void *arg)
{
	return (void *)(long)(op(1, 0, 0) ? errno : 0);
}

static void *removed(void *arg)
{
	return (void *)(long)(op(0, -1000, 0) ? errno : 0);
}

static void on_signal(int s) { }

static pthread_t first;
static void *interrupter(void *arg)
{
	ms(100);
	pthread_kill(first, SIGUSR1);
	return NULL;
}

static void sems(void)
{
	AREA("semaphores");
	struct semid_ds ds;
	union semun u;
	unsigned short all[3] = {1, 2, 3};
	key_t key = 0x4b32 + getpid() * 65536;
	R(semget(key, 3, 0));
	R(semget(key, 0, IPC_CREAT));
	R(semget(key, -1, IPC_CREAT));
	sem = must(semget(key, 3, IPC_CREAT | 0600));
	R(semget(key, 4, 0));
	IS(semget(key, 0, 0) == sem);
	u.buf = &ds;
	OK(semctl(sem, 0, IPC_STAT, u));
	N(ds.sem_nsems);
	N(ds.sem_otime);
	u.val = 5;
	R(semctl(sem, 0, SETVAL, u));
	R(semctl(sem, 0, GETVAL));
	R(semctl(sem, 3, GETVAL));
	R(semctl(sem, -1, GETVAL));
	u.val = 40000;
	R(semctl(sem, 0, SETVAL, u));
	u.val = -1;
	R(semctl(sem, 0, SETVAL, u));
	u.array = all;
	OK(semctl(sem, 0, SETALL, u));
	OK(semctl(sem, 0, GETALL, u));
	SAY("%d %d %d", all[0], all[1], all[2]);
	R(op(3, 1, 0));
	R(op(0, -5, IPC_NOWAIT));
	R(op(0, 0, IPC_NOWAIT));
	R(op(0, 32767, IPC_NOWAIT));
	R(op(0, -1, 0));
	R(op(0, 0, 0));
	IS(semctl(sem, 0, GETPID) == getpid());
	struct sembuf two[2] = {{1, -1, 0}, {0, -1, IPC_NOWAIT}};
	R(semop(sem, two, 2)); // all or nothing
	R(semctl(sem, 1, GETVAL));
	R(semop(sem, two, 0));
	R(semop(sem, two, 1000));
	R(semop(sem, (void *)8, 1));
	R(semop(-1, two, 1));
	R(semop(sem + 1, two, 1));
	struct timespec ts = {0, 30000000}, bad = {0, 1000000000};
	struct sembuf wait = {0, -1, 0};
	R(semtimedop(sem, &wait, 1, &ts));
	R(semtimedop(sem, &wait, 1, &bad));
	pthread_t t, z;
	must(pthread_create(&t, 0, taker, 0));
	must(pthread_create(&z, 0, zero, 0));
	ms(150);
	R(semctl(sem, 0, GETNCNT));
	R(semctl(sem, 0, GETZCNT));
	R(semctl(sem, 1, GETZCNT));
	OK(op(0, 2, 0));
	ms(50);
	R(semctl(sem, 0, GETVAL));
	OK(op(0, 2, 0));
	joined(t);
	R(semctl(sem, 0, GETVAL));
	OK(op(1, -2, 0));
	joined(z);
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &sa, 0);
	first = pthread_self();
	must(pthread_create(&t, 0, interrupter, 0));
	R(op(0, -100, 0));
	joined(t);
	must(pthread_create(&t, 0, removed, 0));
	ms(100);
	OK(semctl(sem, 0, IPC_RMID));
	joined(t);
	R(semctl(sem, 0, GETVAL));
}

struct message {
	long type;
	char text[8200];
};

static int queue;

static void *sender(void *arg)
{
	struct message m = {9, "late"};
	ms(100);
	return (void *)(long)(msgsnd(queue, &m, 5, 0) ? errno : 0);
}

static void *drain(void *arg)
{
	struct message m;
	ms(100);
	return (void *)(long)(msgrcv(queue, &m, 8192, 0, 0) < 0 ? errno : 0);
}

static void *destroy(void *arg)
{
	ms(100);
	return (void *)(long)(msgctl(queue, IPC_RMID, 0) ? errno : 0);
}

static void put_message(long type, const char *text)
{
	struct message m = {type};
	strcpy(m.text, text);
	R(msgsnd(queue, &m, strlen(text) + 1, 0));
}

static void take(long type, int flags, size_t size)
{
	struct message m = {0};
	int n = msgrcv(queue, &m, size, type, flags | IPC_NOWAIT);
	if (n < 0)
		SAY("take %ld: %s", type, errname(errno));
	else
		SAY("take %ld: %d bytes of type %ld: %.*s", type, n, m.type, n, m.text);
}

static void messages(void)
{
	AREA("messages");
	struct msqid_ds ds;
	struct message m = {1};
	key_t key = 0x4b33 + getpid() * 65536;
	R(msgget(key, 0));
	queue = must(msgget(key, IPC_CREAT | 0600));
	R(msgget(key, IPC_CREAT | IPC_EXCL | 0600));
	IS(msgget(key, 0) == queue);
	OK(msgctl(queue, IPC_STAT, &ds));
	N(ds.msg_qnum);
	N(ds.msg_qbytes);
	put_message(3, "three");
	put_message(1, "one");
	put_message(2, "two");
	put_message(2, "zwei");
	OK(msgctl(queue, IPC_STAT, &ds));
	N(ds.msg_qnum);
	IS(ds.msg_lspid == getpid() && ds.msg_lrpid == 0);
	take(2, 0, 100);
	take(-2, 0, 100);
	take(3, MSG_EXCEPT, 100);
	take(0, 0, 3);
	take(0, MSG_NOERROR, 3);
	take(0, 0, 100);
	m.type = 0;
	R(msgsnd(queue, &m, 1, 0));
	m.type = 1;
	R(msgsnd(queue, &m, 8193, 0));
	R(msgsnd(queue, &m, -1, 0));
	R(msgsnd(queue, (void *)8, 1, 0));
	R(msgsnd(-1, &m, 1, 0));
	R(msgrcv(queue, &m, -1, 0, IPC_NOWAIT));
	R(msgrcv(queue + 32768 * 1000, &m, 1, 0, IPC_NOWAIT)); // the queue of another day
	R(msgsnd(queue, &m, 0, 0));
	take(0, 0, 0);
	pthread_t t;
	must(pthread_create(&t, 0, sender, 0));
	R(msgrcv(queue, &m, 100, 9, 0));
	S(m.text);
	joined(t);
	m.type = 1;
	R(msgsnd(queue, &m, 8192, IPC_NOWAIT));
	R(msgsnd(queue, &m, 8192, IPC_NOWAIT));
	R(msgsnd(queue, &m, 1, IPC_NOWAIT));
	must(pthread_create(&t, 0, drain, 0));
	R(msgsnd(queue, &m, 1, 0));
	joined(t);
	OK(msgctl(queue, IPC_STAT, &ds));
	N(ds.msg_qnum);
	ds.msg_qbytes = 100;
	OK(msgctl(queue, IPC_SET, &ds));
	R(msgsnd(queue, &m, 8, IPC_NOWAIT));
	must(pthread_create(&t, 0, destroy, 0));
	R(msgrcv(queue, &m, 100, 55, 0));
	joined(t);
	R(msgctl(queue, IPC_STAT, &ds));
}

int main(void)
{
	shm();
	sems();
	messages();
	return 0;
}
