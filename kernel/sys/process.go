package sys

import (
	"slices"
	"strings"
	"syscall"

	"kiln/kernel/fs"
)

// The process and its machine. There is one process; its number, threads and
// signal handlers are metal's.

// Release is the version of Linux whose behaviour Kiln follows (uname(2)), and
// Version what uname calls that.
const (
	Release = "6.1.0-kiln"
	Version = "#1 SMP"
)

func (c *Calls) pid() int { return int(c.m.Syscall(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)) }

func uname(c *Calls, a args) (uintptr, error) {
	var u syscall.Utsname
	for _, f := range []struct {
		to   *[65]int8
		from string
	}{{&u.Sysname, "Linux"}, {&u.Nodename, c.Hostname()}, {&u.Release, Release}, {&u.Version, Version}, {&u.Machine, "x86_64"}, {&u.Domainname, "(none)"}} {
		for i := range min(len(f.from), 64) {
			f.to[i] = int8(f.from[i])
		}
	}
	return none(put(c, a.p1, u))
}

func sethostname(c *Calls, a args) (uintptr, error) {
	if c.view.Cred().EUID != 0 {
		return 0, syscall.EPERM
	}
	if a.a2 > 64 {
		return 0, syscall.EINVAL
	}
	b, err := c.source(a.p1, a.a2)
	if err == nil {
		s := strings.Clone(string(b))
		c.hostname.Store(&s)
	}
	return 0, err
}

// self reports whether a process number means this process.
func (c *Calls) self(pid uintptr) bool { return int32(pid) == 0 || int(int32(pid)) == c.pid() }

// kill sends signals to this process, or its group, which is the same.
func kill(c *Calls, a args) (uintptr, error) {
	if a.a2 > 64 {
		return 0, syscall.EINVAL
	}
	pid := int32(a.a1)
	if pid < -1 {
		pid = -pid
	}
	if pid != -1 && !c.self(uintptr(pid)) {
		return 0, syscall.ESRCH
	}
	if a.a2 != 0 {
		c.m.Signal(int(a.a2))
	}
	return 0, nil
}

// What would make another process fails, and the first time says why.

func execve(c *Calls, a args) (uintptr, error) {
	name, err := str(c, a.p1)
	if err != nil {
		return 0, err
	}
	return c.noProcess(" (exec of " + name + ")")
}

func execveat(c *Calls, a args) (uintptr, error) { return execve(c, argsOf(arguments{p1: a.p2})) }

func noProcess(c *Calls, a args) (uintptr, error) { return c.noProcess("") }

func (c *Calls) noProcess(what string) (uintptr, error) {
	c.complaint.Do(func() {
		c.m.Complain("kiln: a unikernel runs one program: this one cannot start another" + what)
	})
	return 0, syscall.ENOSYS
}

// setpgid: a session leader stays in its group.
func setpgid(c *Calls, a args) (uintptr, error) {
	switch {
	case int32(a.a2) < 0:
		return 0, syscall.EINVAL
	case !c.self(a.a1):
		return 0, syscall.ESRCH
	}
	return 0, syscall.EPERM
}

// schedSetaffinity: threads run on any CPU. Who asks for that has it; to be
// kept to some of the CPUs is not possible.
func schedSetaffinity(c *Calls, a args) (uintptr, error) {
	if a.a2 < 8 {
		return 0, syscall.EINVAL
	}
	mask, err := get[uint64](c, a.p3)
	if err != nil {
		return 0, err
	}
	all := uint64(1)<<c.m.CPUs() - 1
	switch mask & all {
	case all:
		return 0, nil
	case 0:
		return 0, syscall.EINVAL
	}
	return 0, syscall.ENOSYS
}

func getpgid(c *Calls, a args) (uintptr, error) {
	if !c.self(a.a1) {
		return 0, syscall.ESRCH
	}
	return uintptr(c.pid()), nil
}

// Identity. These calls change the stored one, which file permissions go by.

func getuid(c *Calls, a args) (uintptr, error)  { return uintptr(c.view.Cred().UID), nil }
func geteuid(c *Calls, a args) (uintptr, error) { return uintptr(c.view.Cred().EUID), nil }
func getgid(c *Calls, a args) (uintptr, error)  { return uintptr(c.view.Cred().GID), nil }
func getegid(c *Calls, a args) (uintptr, error) { return uintptr(c.view.Cred().EGID), nil }

func getresuid(c *Calls, a args) (uintptr, error) {
	cred := c.view.Cred()
	return none(put3(c, a, cred.UID, cred.EUID, cred.SUID))
}

func getresgid(c *Calls, a args) (uintptr, error) {
	cred := c.view.Cred()
	return none(put3(c, a, cred.GID, cred.EGID, cred.SGID))
}

func put3(c *Calls, a args, x, y, z uint32) error {
	if err := put(c, a.p1, x); err != nil {
		return err
	}
	if err := put(c, a.p2, y); err != nil {
		return err
	}
	return put(c, a.p3, z)
}

// ids are the three user or group IDs of a process.
type ids struct{ real, effective, saved uint32 }

// change sets the IDs that are not -1. Without privilege each must be one of
// those that the process has.
func (i ids) change(privileged bool, to [3]uintptr) (ids, error) {
	out := i
	for n, p := range [3]*uint32{&out.real, &out.effective, &out.saved} {
		id := uint32(to[n])
		if id == ^uint32(0) {
			continue
		}
		if !privileged && id != i.real && id != i.effective && id != i.saved {
			return i, syscall.EPERM
		}
		*p = id
	}
	return out, nil
}

const same = ^uintptr(0)

// setCred changes who the process is, for metal too, which is asked for it by
// functions without a way to fail.
func (c *Calls) setCred(cred *fs.Cred) {
	c.view.SetCred(cred)
	c.m.SetIDs(cred)
}

func (c *Calls) setUIDs(to [3]uintptr) (uintptr, error) {
	cred := *c.view.Cred()
	i, err := ids{cred.UID, cred.EUID, cred.SUID}.change(cred.EUID == 0, to)
	if err != nil {
		return 0, err
	}
	cred.UID, cred.EUID, cred.SUID, cred.FSUID = i.real, i.effective, i.saved, i.effective
	c.setCred(&cred)
	return 0, nil
}

func (c *Calls) setGIDs(to [3]uintptr) (uintptr, error) {
	cred := *c.view.Cred()
	i, err := ids{cred.GID, cred.EGID, cred.SGID}.change(cred.EUID == 0, to)
	if err != nil {
		return 0, err
	}
	cred.GID, cred.EGID, cred.SGID, cred.FSGID = i.real, i.effective, i.saved, i.effective
	c.setCred(&cred)
	return 0, nil
}

// all is what setuid and setgid change: everything for root.
func (c *Calls) all(id uintptr) [3]uintptr {
	if c.view.Cred().EUID == 0 {
		return [3]uintptr{id, id, id}
	}
	return [3]uintptr{same, id, same}
}

// regained is what setreuid and setregid change: the saved ID follows.
func regained(a args, real uint32) [3]uintptr {
	if uint32(a.a1) != ^uint32(0) || uint32(a.a2) != ^uint32(0) && uint32(a.a2) != real {
		return [3]uintptr{a.a1, a.a2, a.a2}
	}
	return [3]uintptr{a.a1, a.a2, same}
}

func setuid(c *Calls, a args) (uintptr, error)    { return c.setUIDs(c.all(a.a1)) }
func setgid(c *Calls, a args) (uintptr, error)    { return c.setGIDs(c.all(a.a1)) }
func setresuid(c *Calls, a args) (uintptr, error) { return c.setUIDs([3]uintptr{a.a1, a.a2, a.a3}) }
func setresgid(c *Calls, a args) (uintptr, error) { return c.setGIDs([3]uintptr{a.a1, a.a2, a.a3}) }

func setreuid(c *Calls, a args) (uintptr, error) {
	cred := c.view.Cred()
	if cred.EUID != 0 && !mayBeReal(uint32(a.a1), cred.UID, cred.EUID) {
		return 0, syscall.EPERM
	}
	return c.setUIDs(regained(a, cred.UID))
}

func setregid(c *Calls, a args) (uintptr, error) {
	cred := c.view.Cred()
	if cred.EUID != 0 && !mayBeReal(uint32(a.a1), cred.GID, cred.EGID) {
		return 0, syscall.EPERM
	}
	return c.setGIDs(regained(a, cred.GID))
}

// mayBeReal reports whether the real ID may become id without privilege: not by
// the saved one.
func mayBeReal(id, real, effective uint32) bool {
	return id == ^uint32(0) || id == real || id == effective
}

func setfsuid(c *Calls, a args) (uintptr, error) {
	cred := *c.view.Cred()
	old, id := cred.FSUID, uint32(a.a1)
	if id != ^uint32(0) && (cred.EUID == 0 || id == cred.UID || id == cred.EUID || id == cred.SUID) {
		cred.FSUID = id
		c.view.SetCred(&cred)
	}
	return uintptr(old), nil
}

func setfsgid(c *Calls, a args) (uintptr, error) {
	cred := *c.view.Cred()
	old, id := cred.FSGID, uint32(a.a1)
	if id != ^uint32(0) && (cred.EUID == 0 || id == cred.GID || id == cred.EGID || id == cred.SGID) {
		cred.FSGID = id
		c.view.SetCred(&cred)
	}
	return uintptr(old), nil
}

func getgroups(c *Calls, a args) (uintptr, error) {
	g := c.view.Cred().Groups
	if int32(a.a1) < 0 {
		return 0, syscall.EINVAL
	}
	if a.a1 == 0 {
		return uintptr(len(g)), nil
	}
	if int(a.a1) < len(g) {
		return 0, syscall.EINVAL
	}
	return uintptr(len(g)), putList(c, a.p2, g)
}

func setgroups(c *Calls, a args) (uintptr, error) {
	cred := *c.view.Cred()
	if cred.EUID != 0 {
		return 0, syscall.EPERM
	}
	if a.a1 > 65536 {
		return 0, syscall.EINVAL
	}
	groups, err := getList[uint32](c, a.p2, int(a.a1))
	if err != nil {
		return 0, err
	}
	cred.Groups = groups
	slices.Sort(cred.Groups)
	c.view.SetCred(&cred)
	return 0, nil
}

// Capabilities (capabilities(7)): root has all of them.

const (
	capVersion1 = 0x19980330 // one word of each set; the others have two
	capVersion2 = 0x20071026
	capVersion3 = 0x20080522
	capWords    = 2
	allCaps     = 1<<41 - 1 // up to CAP_CHECKPOINT_RESTORE
)

type capHeader struct {
	version uint32
	pid     int32
}

type capData struct{ effective, permitted, inheritable uint32 }

func capget(c *Calls, a args) (uintptr, error) {
	h, err := get[capHeader](c, a.p1)
	if err != nil {
		return 0, err
	}
	words := capWords
	switch h.version {
	case capVersion1:
		words = 1
	case capVersion2, capVersion3:
	default:
		if err := put(c, a.p1, capHeader{capVersion3, h.pid}); err != nil {
			return 0, err
		}
		if isNull(a.p2) { // a way to ask for the version
			return 0, nil
		}
		return 0, syscall.EINVAL
	}
	if h.pid < 0 {
		return 0, syscall.EINVAL
	}
	if !c.self(uintptr(h.pid)) {
		return 0, syscall.ESRCH
	}
	caps := c.caps()
	for i := range words {
		set := uint32(caps >> (32 * i))
		if err := put(c, element[capData](a.p2, i), capData{effective: set, permitted: set}); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// Operations of prctl.
const (
	prSetPdeathsig   = 1
	prGetDumpable    = 3
	prSetDumpable    = 4
	prGetKeepCaps    = 7
	prSetKeepCaps    = 8
	prSetName        = 15
	prGetName        = 16
	prSetNoNewPrivs  = 38
	prGetNoNewPrivs  = 39
	prSetTHPDisable  = 41
	prSetChildReaper = 36
	commLen          = 16
)

func prctl(c *Calls, a args) (uintptr, error) {
	switch a.a1 {
	case prSetName, prSetPdeathsig, prSetDumpable, prSetTHPDisable, prSetChildReaper:
		return 0, nil
	case prGetDumpable:
		return 1, nil
	case prSetNoNewPrivs: // nothing can be executed that would give any
		if a.a2 != 1 || a.a3 != 0 || a.a4 != 0 || a.a5 != 0 {
			return 0, syscall.EINVAL
		}
		c.noNewPrivs.Store(1)
		return 0, nil
	case prGetNoNewPrivs:
		return uintptr(c.noNewPrivs.Load()), nil
	case prSetKeepCaps: // of the process: its threads have no identities of their own
		if a.a2 > 1 {
			return 0, syscall.EINVAL
		}
		c.keepCaps.Store(a.a2 == 1)
		return 0, nil
	case prGetKeepCaps:
		if c.keepCaps.Load() {
			return 1, nil
		}
		return 0, nil
	case prGetName:
		return none(put(c, a.p2, [commLen]byte{'m', 'a', 'i', 'n'}))
	}
	return 0, errUnhandled // what is a thread's own is metal's
}
