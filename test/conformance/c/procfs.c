// /proc, /sys and /dev as programs read them.
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>

static char b[1 << 16];

// load reads a whole file.
static int load(const char *path)
{
	int fd = open(path, O_RDONLY), n = 0, r;
	if (fd < 0)
		return -errno;
	while ((r = read(fd, b + n, sizeof b - 1 - n)) > 0)
		n += r;
	b[n] = 0;
	close(fd);
	return n;
}

// field is the number after a name.
static long field(const char *path, const char *name)
{
	if (load(path) < 0)
		return -1;
	char *p = strstr(b, name);
	return p ? strtol(p + strlen(name), 0, 0) : -2;
}

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;
	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static int stop;

static int tid;

static void *sleeper(void *arg)
{
	if (arg) {
		prctl(PR_SET_NAME, "sleeper");
		__atomic_store_n(&tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	}
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		ms(5);
	return 0;
}

// mapped finds the line of /proc/self/maps for an address and returns its flags.
static const char *mapped(void *p)
{
	static char flags[8];
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[400];
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx %5s", &from, &to, flags) == 3 && (unsigned long)p >= from && (unsigned long)p < to) {
			fclose(f);
			return flags;
		}
	fclose(f);
	return "none";
}

int main(int argc, char **argv)
{
	char link[300] = "", line[300];
	AREA("self");
	IS(field("/proc/self/status", "Pid:") == getpid());
	IS(field("/proc/self/status", "Tgid:") == getpid());
	N(field("/proc/self/status", "Threads:"));
	IS(field("/proc/self/status", "VmRSS:") > 50);
	IS(field("/proc/self/status", "VmSize:") > 50);
	IS(field("/proc/self/status", "Uid:") == (long)getuid());
	IS(strstr(b, "\nSigBlk:") && strstr(b, "\nCapEff:") && strstr(b, "\nCpus_allowed:") && strstr(b, "\nState:\tR"));
	IS(readlink("/proc/self", link, 299) > 0 && atoi(link) == getpid());
	memset(link, 0, sizeof link);
	IS(readlink("/proc/self/exe", link, 299) > 0 && strrchr(link, '/'));
	char *end = strrchr(argv[0], '/');
	IS(!strcmp(strrchr(link, '/') + 1, end ? end + 1 : argv[0]));
	IS(open("/proc/self/exe", O_RDONLY) >= 0);
	memset(link, 0, sizeof link);
	must(chdir("/tmp"));
	readlink("/proc/self/cwd", link, 299);
	S(link);
	memset(link, 0, sizeof link);
	readlink("/proc/self/root", link, 299);
	S(link);
	load("/proc/self/cmdline");
	IS(!strcmp(b, argv[0]));
	IS(load("/proc/self/environ") >= 0);
	load("/proc/self/stat");
	char name[32], state;
	int pid = 0;
	IS(sscanf(b, "%d %31s %c", &pid, name, &state) == 3 && pid == getpid() && name[0] == '(' && state == 'R');
	int fields = 1;
	for (char *p = b; *p; p++)
		fields += *p == ' ';
	N(fields);
	load("/proc/self/statm");
	IS(strtol(b, 0, 10) > 10);
	IS(load("/proc/self/limits") > 500 && strstr(b, "Max open files"));
	IS(load("/proc/self/mounts") > 0 && strstr(b, " / "));
	IS(load("/proc/self/mountinfo") > 0 && strstr(b, " / "));
	IS(load("/proc/self/cgroup") >= 0);
	IS(load("/proc/self/auxv") >= 100);
	IS(load("/proc/self/oom_score_adj") > 0);
	IS(load("/proc/self/io") > 0 || 1);
	IS(load("/proc/self/smaps") > 0);

	AREA("maps");
	char *p = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(p + 4096, 4096, PROT_NONE);
	S(mapped(p));
	S(mapped(p + 4096));
	S(mapped(mmap(0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0)));
	S(mapped((void *)main));
	S(mapped(&argc));
	S(mapped(b));
	S(mapped((void *)8));
	load("/proc/self/maps");
	IS(strstr(b, "[stack]") && strstr(b, end ? end : argv[0]));

	AREA("descriptors and tasks");
	int fd = must(open("/dev/null", O_WRONLY | O_APPEND));
	snprintf(line, sizeof line, "/proc/self/fd/%d", fd);
	memset(link, 0, sizeof link);
	readlink(line, link, 299);
	S(link);
	snprintf(line, sizeof line, "/proc/self/fdinfo/%d", fd);
	N(field(line, "pos:"));
	IS(load(line) > 0 && strstr(b, "flags:\t0102001"));
	int before = entries("/proc/self/fd");
	close(fd);
	N(entries("/proc/self/fd") - before);
	N(entries("/proc/self/task"));
	pthread_t t[3];
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], 0, sleeper, i ? 0 : b);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		ms(5);
	ms(20);
	snprintf(line, sizeof line, "/proc/%d", tid); // is there, and not listed
	R(chdir(line));
	N(entries("task"));
	IS(field("status", "Pid:") == tid && field("status", "Tgid:") == getpid());
	IS(load("comm") > 0 && !strcmp(b, "sleeper\n"));
	IS(load("stat") > 0 && atoi(b) == tid && strstr(b, "(sleeper)"));
	IS(load("maps") > 0 && entries("fd") > 0);
	IS(readlink("exe", link, 299) > 0);
	R(open("none", O_RDONLY));
	int found = 0;
	DIR *d = opendir("/proc");
	for (struct dirent *e; (e = readdir(d));)
		found |= atoi(e->d_name) == tid;
	closedir(d);
	N(found);
	R(chdir("/"));
	N(entries("/proc/self/task"));
	snprintf(line, sizeof line, "/proc/self/task/%d/comm", getpid());
	IS(load(line) > 0);
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], 0);
	snprintf(line, sizeof line, "/proc/%d/status", getpid());
	IS(load(line) > 0);
	R(open("/proc/999999/status", O_RDONLY));
	R(open("/proc/self/none", O_RDONLY));
	R(open("/proc/newfile", O_CREAT | O_RDWR, 0600));
	R(mkdir("/proc/x", 0700));
	IS(unlink("/proc/self/status") < 0);

	AREA("system");
	IS(field("/proc/meminfo", "MemTotal:") > 10000);
	IS(field("/proc/meminfo", "MemAvailable:") > 1000);
	IS(field("/proc/stat", "cpu ") >= 0 && strstr(b, "\nbtime ") && strstr(b, "\ncpu0 "));
	IS(load("/proc/cpuinfo") > 0 && strstr(b, "processor\t: 0") && strstr(b, "flags\t\t:") && strstr(b, "model name"));
	IS(load("/proc/uptime") > 0 && atof(b) > 0);
	IS(load("/proc/loadavg") > 0);
	IS(load("/proc/version") > 0 && !strncmp(b, "Linux version ", 14));
	IS(load("/proc/filesystems") > 0 && strstr(b, "tmpfs"));
	IS(load("/proc/mounts") > 0);
	IS(load("/proc/sys/kernel/osrelease") > 0);
	IS(load("/proc/sys/kernel/pid_max") > 0);
	IS(load("/proc/sys/vm/overcommit_memory") > 0);
	IS(load("/proc/sys/vm/max_map_count") > 0);
	IS(load("/proc/sys/net/core/somaxconn") > 0 && atoi(b) >= 128);
	IS(load("/proc/sys/fs/file-max") > 0);
	IS(load("/proc/sys/kernel/random/boot_id") == 37);
	IS(load("/proc/sys/kernel/random/uuid") == 37);
	IS(load("/proc/net/dev") > 0 && strstr(b, "lo:"));
	IS(load("/proc/net/tcp") > 0);
	IS(load("/proc/net/if_inet6") > 0 || 1);
	IS(load("/sys/devices/system/cpu/online") > 0 && b[0] == '0');
	IS(load("/sys/devices/system/cpu/possible") > 0);
	IS(load("/sys/class/net/lo/mtu") > 0 && atoi(b) >= 1500);
	IS(load("/sys/kernel/mm/transparent_hugepage/enabled") > 0);
	R(access("/dev/null", W_OK));
	R(access("/dev/shm", F_OK));
	R(access("/dev/tty", F_OK));
	R(access("/dev/stdout", F_OK));
	R(access("/dev/random", R_OK));
	struct statfs s;
	R(statfs("/proc", &s));
	X(s.f_type);
	R(statfs("/", &s));
	IS(s.f_bsize > 0 && s.f_blocks > 0 && s.f_namelen == 255);
	R(statfs("/none", &s));
	struct stat st;
	R(stat("/proc/self/status", &st));
	N(st.st_size);
	IS(S_ISREG(st.st_mode));
	must(stat("/proc/self/fd", &st));
	IS(S_ISDIR(st.st_mode));
	fd = must(open("/proc/self/status", O_RDONLY));
	R(read(fd, b, 5));
	R(lseek(fd, 0, SEEK_SET));
	R(pread(fd, b, 5, 1));
	SAY("%.5s", b);
}
