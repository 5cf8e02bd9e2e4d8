// A library that dynamic.c is linked with.
#include <stdlib.h>

__thread int needed_local = 3;
int needed_order;
extern int program_order;

__attribute__((constructor(101))) static void first(void) { needed_order = 1; }
__attribute__((constructor(102))) static void second(void) { needed_order = needed_order * 10 + 2; }

int needed_add(int a) { return a + needed_local; }

int needed_weak(void) __attribute__((weak));
int needed_weak(void) { return 1; }

int needed_calls_weak(void) { return needed_weak(); }
