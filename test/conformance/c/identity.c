// needs: root
// Who the process is: all the ways to change it, and capabilities.
#include "check.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>

static void who(void)
{
	uid_t a, b, c;
	gid_t d, e, f;
	getresuid(&a, &b, &c);
	getresgid(&d, &e, &f);
	SAY("users %d %d %d, groups %d %d %d", a, b, c, d, e, f);
}

static void caps(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {};
	R(syscall(SYS_capget, &h, d));
	SAY("some: %d, to change users: %d", d[0].effective != 0, d[0].effective >> CAP_SETUID & 1);
}

int main(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {};
	AREA("host name");
	R(sethostname((void *)8, 4));
	R(sethostname("x", 65));
	R(sethostname("x", -1));
	AREA("capabilities");
	caps();
	must(syscall(SYS_capget, &h, d));
	R(syscall(SYS_capset, &h, d));
	d[0].effective &= ~(1u << CAP_SYS_BOOT);
	d[0].permitted &= ~(1u << CAP_SYS_BOOT);
	R(syscall(SYS_capset, &h, d));
	d[0].permitted |= 1u << CAP_SYS_BOOT; // what has been given up does not come back
	R(syscall(SYS_capset, &h, d));
	h.pid = 0x3fffffff;
	R(syscall(SYS_capset, &h, d));
	h.version = 1;
	R(syscall(SYS_capset, &h, d));
	X(h.version);
	R(syscall(SYS_capset, 8, d));

	AREA("groups");
	gid_t list[3] = {30, 10, 20}, got[3];
	R(setgroups(3, list));
	R(getgroups(0, got));
	R(getgroups(2, got));
	R(getgroups(3, got));
	R(syscall(SYS_setgroups, 70000, list));
	R(syscall(SYS_setgroups, 3, 8));
	R(setfsgid(77));
	R(setfsgid(-1));
	R(setfsgid(0));
	R(syscall(SYS_setregid, 5, 6));
	who();
	R(syscall(SYS_setregid, -1, 5));
	who();
	R(syscall(SYS_setgid, 8));
	who();
	R(syscall(SYS_setresgid, 1, 2, 3));
	who();

	AREA("users");
	R(setfsuid(66));
	R(setfsuid(-1));
	R(setfsuid(0));
	R(syscall(SYS_setresuid, 100, 101, 0));
	who();
	caps();
	R(syscall(SYS_setresgid, 9, 9, 9));
	R(setgroups(0, list));
	R(syscall(SYS_setregid, 2, 3));
	who();
	R(syscall(SYS_setreuid, 0, -1));
	R(syscall(SYS_setreuid, 101, 100));
	who();
	R(syscall(SYS_setuid, 0));
	R(syscall(SYS_setreuid, 100, 100));
	who();
	R(syscall(SYS_setuid, 101));
	R(syscall(SYS_setresuid, 0, 0, 0));
	who();
	caps();
}
