// The allocator and stdio under load, with threads: what most programs do all day.
#include "check.h"
#include <malloc.h>
#include <pthread.h>

static void *churn(void *arg)
{
	enum { slots = 64 };
	unsigned seed = (long)arg * 7919 + 1;
	unsigned char *p[slots] = {};
	size_t n[slots] = {};
	long bad = 0;
	for (int i = 0; i < 6000; i++) {
		seed = seed * 1103515245 + 12345;
		int s = seed >> 16 & 63;
		size_t size = (seed >> 8) % (i % 100 == 0 ? 400000 : 3000) + 1;
		if (p[s] && (p[s][0] != (unsigned char)s || p[s][n[s] - 1] != (unsigned char)s))
			bad++;
		if (seed & 0x40000000) {
			p[s] = realloc(p[s], size);
		} else {
			free(p[s]);
			p[s] = malloc(size);
		}
		n[s] = size;
		p[s][0] = p[s][size - 1] = s;
	}
	for (int s = 0; s < slots; s++)
		free(p[s]);
	return (void *)bad;
}

static int compare(const void *a, const void *b) { return *(int *)a - *(int *)b; }

int main(void)
{
	AREA("malloc");
	pthread_t t[6];
	long bad = 0;
	for (long i = 0; i < 6; i++)
		pthread_create(&t[i], 0, churn, (void *)i);
	for (int i = 0; i < 6; i++) {
		void *r;
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	N(bad);
	char *big = malloc(100 << 20);
	IS(big != 0);
	for (size_t i = 0; i < 32 << 20; i += 4096)
		big[i] = 1;
	free(big);
	IS(malloc(1UL << 62) == 0 && errno == ENOMEM);
	void *a;
	E(posix_memalign(&a, 1 << 16, 100));
	IS(((uintptr_t)a & 0xffff) == 0);
	int *c = calloc(1 << 20, sizeof *c), sum = 0;
	for (int i = 0; i < 1 << 20; i += 1000)
		sum += c[i];
	N(sum);
	AREA("stdio");
	scratch();
	FILE *f = fopen("f", "w+");
	for (int i = 0; i < 20000; i++)
		fprintf(f, "%d %s\n", i, "line");
	N(ftell(f));
	rewind(f);
	int lines = 0, x;
	char s[10];
	while (fscanf(f, "%d %9s", &x, s) == 2)
		lines += x == lines;
	N(lines);
	fseek(f, -5, SEEK_END);
	IS(fgets(s, sizeof s, f) && !strcmp(s, "line\n"));
	IS(fgetc(f) == EOF && feof(f));
	fclose(f);
	f = fopen("f", "a");
	fputs("more", f);
	N(ftell(f));
	fclose(f);
	IS(!fopen("none", "r") && errno == ENOENT);
	IS(!fopen("f", "wx") && errno == EEXIST);
	f = tmpfile();
	IS(f && fputs("x", f) >= 0);
	char *m;
	size_t size;
	f = open_memstream(&m, &size);
	fprintf(f, "%05.1f|%-5s|%+d|%x", 3.14159, "ab", 5, 255);
	fclose(f);
	S(m);
	int v[] = {5, 3, 9, 1};
	qsort(v, 4, sizeof *v, compare);
	SAY("%d %d %d %d", v[0], v[1], v[2], v[3]);
	setlinebuf(stdout);
	fputs("standard output\n", stdout);
	fflush(stdout);
}
