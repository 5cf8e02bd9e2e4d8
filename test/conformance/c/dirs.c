// Directories: making, reading, removing, renaming.
#include "check.h"
#include <dirent.h>

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

// list prints a directory's entries, sorted.
static void list(const char *path)
{
	char *names[300];
	int n = 0;
	DIR *d = opendir(path);
	if (!d) {
		SAY("list %s: %s", path, errname(errno));
		return;
	}
	for (struct dirent *e; n < 300 && (e = readdir(d));)
		asprintf(&names[n++], "%s:%d", e->d_name, e->d_type);
	closedir(d);
	qsort(names, n, sizeof *names, by_name);
	char line[900] = "";
	for (int i = 0; i < n && strlen(line) < 800; i++)
		strcat(strcat(line, " "), names[i]);
	SAY("list %s:%s", path, line);
}

static int links(const char *path)
{
	struct stat st;
	return stat(path, &st) ? -errno : (int)st.st_nlink;
}

static void making(void)
{
	AREA("making");
	R(mkdir("d", 0777));
	R(mkdir("d", 0777));
	R(mkdir("d/", 0777));
	R(mkdir("slash/", 0700));
	R(mkdir("none/x", 0777));
	R(mkdir("", 0777));
	R(mkdir(".", 0777));
	R(mkdir("/", 0777));
	put("f", "x");
	R(mkdir("f", 0777));
	R(mkdir("f/x", 0777));
	R(mkdir("d/e", 01777));
	struct stat st;
	stat("d", &st);
	X(st.st_mode);
	stat("d/e", &st);
	X(st.st_mode);
	N(links("d"));
	R(rmdir("d"));
	R(rmdir("d/."));
	R(rmdir("d/e/.."));
	R(rmdir("f"));
	R(rmdir("none"));
	R(rmdir("/"));
	R(unlink("d"));
	R(unlink("f/"));
	R(unlink("none"));
	R(unlinkat(AT_FDCWD, "d/e", AT_REMOVEDIR));
	N(links("d"));
	R(unlinkat(AT_FDCWD, "d", 0));
	R(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
	R(unlinkat(AT_FDCWD, "f", 0x8000));
	R(rmdir("slash/"));
	R(mkdirat(99, "x", 0777));
	int fd = must(open("d", O_RDONLY | O_DIRECTORY));
	R(mkdirat(fd, "in", 0700));
	char b[64];
	R(read(fd, b, sizeof b));
	R(write(fd, b, 1));
	list("d");
	list(".");
	R(rmdir("d/in"));
	R(rmdir("d"));
	R(mkdirat(fd, "gone", 0700));
	R(openat(fd, "gone", O_CREAT | O_WRONLY, 0600));
	R(fstat(fd, &st));
	N(st.st_nlink);
	R(syscall(SYS_getdents64, fd, b, sizeof b));
	close(fd);
}

static void reading(void)
{
	AREA("reading");
	must(mkdir("many", 0755));
	char name[64];
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "many/file-%03d", i);
		put(name, "");
	}
	DIR *d = opendir("many");
	int n = 0;
	long at = 0;
	char then[64] = "";
	for (struct dirent *e; (e = readdir(d));) {
		if (++n == 100)
			at = telldir(d);
		if (n == 101)
			strcpy(then, e->d_name);
	}
	N(n);
	seekdir(d, at);
	struct dirent *e = readdir(d);
	IS(e && !strcmp(e->d_name, then));
	rewinddir(d);
	for (n = 0; (e = readdir(d)); n++) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "many/%s", e->d_name);
		unlink(name); // while it is read: each is seen once
	}
	N(n);
	closedir(d);
	list("many");
	char b[1024];
	int fd = must(open("many", O_RDONLY));
	R(syscall(SYS_getdents64, fd, b, 10));
	R(syscall(SYS_getdents64, fd, b, sizeof b));
	R(syscall(SYS_getdents64, fd, b, sizeof b));
	R(lseek(fd, 0, SEEK_SET));
	R(syscall(SYS_getdents64, fd, (void *)8, sizeof b));
	close(fd);
	fd = must(open("f", O_RDONLY));
	R(syscall(SYS_getdents64, fd, b, sizeof b));
	close(fd);
	R(syscall(SYS_getdents64, 99, b, sizeof b));
	mkfifo("many/p", 0600);
	symlink("x", "many/l");
	mkdir("many/d", 0700);
	list("many");
}

static void renaming(void)
{
	AREA("renaming");
	put("a", "a");
	put("b", "b");
	R(rename("a", "b"));
	S(text("b"));
	R(rename("a", "c"));
	R(rename("b", "b"));
	R(rename("b", "none/x"));
	must(mkdir("d1", 0755));
	must(mkdir("d2", 0755));
	must(mkdir("d2/sub", 0755));
	R(rename("b", "d1"));
	R(rename("d1", "b"));
	R(rename("d1", "d2"));
	R(rename("d2", "d2/sub/x"));
	R(rename("d2", "d1"));
	list("d1");
	R(rename("d1/sub", "d1/.."));
	R(rename("d1/.", "x"));
	R(rename("b/", "x"));
	R(rename("b", "x/"));
	R(rename("d1/", "d3/"));
	N(links("d3"));
	put("c", "c");
	R(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE));
	R(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "e", RENAME_NOREPLACE));
	R(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "c", RENAME_EXCHANGE));
	S(text("e"));
	S(text("c"));
	R(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "none", RENAME_EXCHANGE));
	R(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "d3", RENAME_EXCHANGE));
	list("e");
	R(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "c", RENAME_EXCHANGE | RENAME_NOREPLACE));
	int fd = must(open("c", O_RDWR));
	R(link("c", "c2"));
	R(rename("c", "c2")); // the same file: nothing happens
	R(access("c", F_OK));
	put("z", "z");
	R(rename("z", "c"));
	R(pread(fd, (char[9]){}, 9, 0));
	S(text("c"));
	struct stat st;
	fstat(fd, &st);
	N(st.st_nlink);
	close(fd);
}

static void working(void)
{
	AREA("working directory");
	char b[PATH_MAX], c[PATH_MAX];
	must(mkdir("w", 0755));
	getcwd(b, sizeof b);
	R(chdir("w"));
	getcwd(c, sizeof c);
	IS(!strncmp(b, c, strlen(b)) && !strcmp(c + strlen(b), "/w"));
	R(syscall(SYS_getcwd, c, 2));
	R(syscall(SYS_getcwd, (void *)8, 100));
	R(rename("../w", "../w2"));
	getcwd(c, sizeof c);
	S(strrchr(c, '/'));
	R(rmdir("../w2"));
	IS(!getcwd(c, sizeof c) && errno == ENOENT);
	R(open("x", O_CREAT | O_WRONLY, 0600));
	R(chdir(".."));
	R(chdir(b));
	R(chdir("f"));
	R(chdir("none"));
	int fd = must(open("many", O_RDONLY));
	R(fchdir(fd));
	close(fd);
	R(chdir("/.."));
	S(getcwd(c, sizeof c));
	R(fchdir(99));
	R(chdir(b));
}

int main(void)
{
	scratch();
	making();
	reading();
	renaming();
	working();
}
