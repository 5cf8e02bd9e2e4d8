package sys

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The calls for a path, for a link itself, and for a descriptor.
var attrCalls = []struct {
	how                    string
	set, get, list, remove uintptr
}{
	{"path", syscall.SYS_SETXATTR, syscall.SYS_GETXATTR, syscall.SYS_LISTXATTR, syscall.SYS_REMOVEXATTR},
	{"link", syscall.SYS_LSETXATTR, syscall.SYS_LGETXATTR, syscall.SYS_LLISTXATTR, syscall.SYS_LREMOVEXATTR},
	{"descriptor", syscall.SYS_FSETXATTR, syscall.SYS_FGETXATTR, syscall.SYS_FLISTXATTR, syscall.SYS_FREMOVEXATTR},
}

func TestExtendedAttributesLikeLinux(t *testing.T) {
	host, _ := systems(t)
	host.call(syscall.SYS_OPENAT, cwd, path("probe"), syscall.O_CREAT, 0o644)
	if _, e := host.call(syscall.SYS_SETXATTR, path("probe"), "user.a", []byte("x"), 1, 0); e != 0 {
		t.Skip("the host's file system has no extended attributes of users to compare with: ", e)
	}
	both(t, func(s system, log func(string, ...any)) {
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDONLY, 0o644)
		s.call(syscall.SYS_SYMLINKAT, "f", cwd, path("l"))
		s.call(syscall.SYS_MKDIRAT, cwd, path("d"), 0o755)
		s.call(syscall.SYS_MKNODAT, cwd, path("p"), syscall.S_IFIFO|0o644)
		targets := map[string][]any{"path": {path("f"), path("d"), path("l"), path("p"), path("no")}, "link": {path("l"), path("f")}, "descriptor": {int(fd), 9999}}
		names := []string{"user.a", "user.b", "user.", "user", "", "trusted.t", "trusted.", "security.s", "system.x", "other.y", "user." + strings.Repeat("n", 250),
			"user." + strings.Repeat("n", 251), strings.Repeat("n", 5000)}
		for _, c := range attrCalls {
			for _, target := range targets[c.how] {
				for _, name := range names {
					what := c.how + " " + name[:min(len(name), 9)]
					for _, flags := range []int{fsAttrReplace, 0, fsAttrCreate, fsAttrReplace, 3, 4} {
						_, e := s.call(c.set, target, name, []byte("value"), 5, flags)
						log("%s: set %d: %v", what, flags, e)
					}
					for _, n := range []int{0, 3, 5, 100} {
						buf := make([]byte, 100)
						k, e := s.call(c.get, target, name, buf, n)
						log("%s: get %d: %d %v %q", what, n, int(k), e, buf[:5])
					}
				}
				for _, n := range []int{0, 4, 1000} {
					buf := make([]byte, 1000)
					k, e := s.call(c.list, target, buf, n)
					list := strings.Split(string(buf), "\x00")
					slices.Sort(list)
					log("%s: list %d: %d %v %q", c.how, n, int(k), e, list[len(list)-5:])
				}
				for _, name := range names {
					for range 2 {
						_, e := s.call(c.remove, target, name)
						log("%s: remove %.9s: %v", c.how, name, e)
					}
				}
			}
		}
		_, e := s.call(syscall.SYS_SETXATTR, path("f"), "user.big", make([]byte, 65537), 65537, 0)
		log("too big: %v", e)
		_, e = s.call(syscall.SYS_SETXATTR, path("f"), "user.empty", nil, 0, 0)
		k, e2 := s.call(syscall.SYS_GETXATTR, path("f"), "user.empty", make([]byte, 9), 9)
		log("empty: %v, %d %v", e, k, e2)
		k, e = s.call(syscall.SYS_GETXATTR, path("proc"), "user.empty", make([]byte, 9), 9)
		log("none: %d %v", int(k), e)
	})
}

const fsAttrCreate, fsAttrReplace = 1, 2

// Who is not root sees and sets less.
func TestExtendedAttributesNeedPermission(t *testing.T) {
	_, s := systems(t)
	s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT, 0o644)
	for _, name := range []string{"user.a", "trusted.b", "security.c"} {
		if _, e := s.call(syscall.SYS_SETXATTR, path("f"), name, []byte("1"), 1, 0); e != 0 {
			t.Error(name, e)
		}
	}
	s.call(syscall.SYS_SETRESUID, 1000, 1000, 1000)
	for name, want := range map[string]syscall.Errno{"user.a": syscall.EACCES, "trusted.b": syscall.EPERM, "security.c": syscall.EPERM} {
		if _, e := s.call(syscall.SYS_SETXATTR, path("f"), name, []byte("2"), 1, 0); e != want {
			t.Errorf("set %s: %v, want %v", name, e, want)
		}
	}
	for name, want := range map[string]syscall.Errno{"user.a": 0, "trusted.b": syscall.ENODATA, "security.c": 0} {
		if _, e := s.call(syscall.SYS_GETXATTR, path("f"), name, make([]byte, 1), 1); e != want {
			t.Errorf("get %s: %v, want %v", name, e, want)
		}
	}
	buf := make([]byte, 100)
	n, e := s.call(syscall.SYS_LISTXATTR, path("f"), buf, 100)
	if got := string(buf[:n]); got != "security.c\x00user.a\x00" {
		t.Errorf("%q %v", got, e)
	}
}
