// modes: dynamic nopie
// link: -ldl -rdynamic
// libs: needed
// opens: plug
// Dynamic linking: libraries at the start and at run time, their thread-local data and constructors.
#include "check.h"
#include <dlfcn.h>
#include <libgen.h>
#include <link.h>
#include <pthread.h>

// program_say is a symbol that the library finds in the program.
void program_say(const char *s) { say("%s", s); }

extern __thread int needed_local;
extern int needed_order;
int needed_add(int);
int needed_calls_weak(void);
int needed_weak(void) { return 2; } // the program's comes first
static int own_order;

__attribute__((constructor)) static void construct(void) { own_order = needed_order ? 1 : 2; }
__attribute__((destructor)) static void destruct(void) { SAY("program: destructor"); }

static int (*next)(void);

static void *thread(void *arg)
{
	needed_local = 100;
	int a = next(), b = next();
	return (void *)(long)(needed_add(1) * 10000 + a * 100 + b);
}

static int visit(struct dl_phdr_info *i, size_t n, void *arg)
{
	int *counts = arg;
	counts[0]++;
	counts[1] += strstr(i->dlpi_name, "libneeded.so") != 0;
	counts[2] += strstr(i->dlpi_name, "libplug.so") != 0;
	counts[3] += strstr(i->dlpi_name, "ld-linux") != 0;
	return 0;
}

static void modules(void)
{
	int counts[4] = {};
	dl_iterate_phdr(visit, counts);
	SAY("modules: some %d, needed %d, plug %d, ld.so %d", counts[0] > 3, counts[1], counts[2], counts[3]);
}

int main(int argc, char **argv)
{
	char path[400] = "", self[300] = "";
	AREA("at the start");
	N(needed_order);
	N(own_order);
	N(needed_add(1));
	N(needed_calls_weak());
	modules();
	AREA("at run time");
	readlink("/proc/self/exe", self, sizeof self - 1);
	snprintf(path, sizeof path, "%s/libplug.so", dirname(self));
	IS(dlopen("/none/lib.so", RTLD_NOW) == 0 && dlerror() != 0);
	void *h = dlopen(path, RTLD_NOW);
	if (!h) {
		SAY("dlopen: %s", dlerror());
		return 1;
	}
	int (*state)(void) = dlsym(h, "plug_state");
	next = dlsym(h, "plug_next");
	int (*indirect)(void) = dlsym(h, "plug_indirect");
	N(state());
	N(indirect());
	N(next());
	N(next());
	pthread_t t[3];
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], 0, thread, 0);
	for (int i = 0; i < 3; i++) {
		void *r;
		pthread_join(t[i], &r);
		N((long)r);
	}
	N(next());
	N(needed_local);
	*(int *)dlsym(h, "plug_data") = 9;
	N(state());
	IS(dlsym(h, "none") == 0);
	IS(dlsym(RTLD_DEFAULT, "printf") != 0);
	Dl_info info;
	R(dladdr((void *)state, &info));
	S(info.dli_sname);
	S(basename((char *)info.dli_fname));
	modules();
	IS(dlopen(path, RTLD_NOW) == h);
	R(dlclose(h));
	R(dlclose(h));
	modules();
	h = dlopen(path, RTLD_LAZY | RTLD_GLOBAL);
	N(((int (*)(void))dlsym(h, "plug_state"))());
	IS(dlsym(RTLD_DEFAULT, "plug_state") != 0);
	return 5;
}
