// A library that dynamic.c opens at run time: constructors, thread-local data, a dependency on the program.
extern void program_say(const char *s);

static int constructed;
__thread int plug_local = 11;
static __thread char plug_large[20000];
int plug_data = 5;
static int *plug_pointer = &plug_data; // a relocation

__attribute__((constructor)) static void construct(void) { constructed = 1; }

__attribute__((destructor)) static void destruct(void) { program_say("plug: destructor"); }

int plug_state(void) { return constructed * 100 + *plug_pointer; }

int plug_next(void)
{
	plug_large[19999]++;
	return plug_local++ + plug_large[19999] - 1;
}

typedef int (*resolver)(void);
static int resolved(void) { return 77; }
static resolver resolve(void) { return resolved; }
int plug_indirect(void) __attribute__((ifunc("resolve")));
