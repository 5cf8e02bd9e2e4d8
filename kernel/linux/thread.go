//go:build kiln_linux

package linux

// Threads: how they begin and end.

import (
	"slices"
	"strings"
	"syscall"
)

// Flags of clone(2).
const (
	cloneSignal       = 0xff // the signal at the end, of a process
	cloneVM           = 0x100
	cloneFS           = 0x200
	cloneFiles        = 0x400
	cloneSighand      = 0x800
	clonePIDFD        = 0x1000
	cloneThread       = 0x10000
	cloneNewNS        = 0x20000
	cloneSettls       = 0x80000
	cloneParentSettid = 0x100000
	cloneChildClear   = 0x200000
	cloneDetached     = 0x400000
	cloneChildSettid  = 0x1000000
	cloneNew          = 0x7e020080 // namespaces
	cloneClearSighand = 1 << 32
	cloneIntoCgroup   = 1 << 33
	cloneUnknown      = ^uint64(1<<34 - 1)

	threadFlags = cloneVM | cloneFS | cloneFiles | cloneSighand | cloneThread
)

// maxThreads is the limit of threads (RLIMIT_NPROC), if none is set.
const maxThreads = 30000

// cloneArgs is what a new thread begins with.
type cloneArgs struct {
	flags, stack, parentTID, childTID, tls uint64
}

func clone(t *Task, a *[6]uint64) (uint64, error) {
	flags := a[0] & (1<<32 - 1)
	if err := checkClone(flags); err != nil {
		return 0, err
	}
	if flags&cloneThread == 0 {
		return t.noProcess("clone", flags)
	}
	return t.newThread(cloneArgs{flags: flags &^ cloneSignal, stack: a[1], parentTID: a[2], childTID: a[3], tls: a[4]})
}

// clone3: struct clone_args is flags, pidfd, child_tid, parent_tid, exit_signal,
// stack, stack_size, tls, and more.
func clone3(t *Task, a *[6]uint64) (uint64, error) {
	const least = 64
	switch {
	case a[1] < least:
		return 0, syscall.EINVAL
	case a[1] > pageSize:
		return 0, syscall.E2BIG
	}
	w, err := t.words(a[0], 8)
	if err != nil {
		return 0, err
	}
	for at := uint64(least); at+8 <= a[1]; at += 8 { // set_tid and what is newer
		v, err := t.get64(a[0] + at)
		if err != nil {
			return 0, err
		}
		if v != 0 && at >= 88 {
			return 0, syscall.E2BIG
		}
		if v != 0 && at != 80 {
			return 0, syscall.EINVAL
		}
	}
	if w[0]&(cloneSignal|cloneDetached) != 0 || (w[5] == 0) != (w[6] == 0) {
		return 0, syscall.EINVAL
	}
	if err := checkClone(w[0]); err != nil {
		return 0, err
	}
	if w[0]&cloneThread == 0 {
		return t.noProcess("clone3", w[0])
	}
	if w[4] != 0 {
		return 0, syscall.EINVAL
	}
	return t.newThread(cloneArgs{flags: w[0], childTID: w[2], parentTID: w[3], stack: w[5] + w[6], tls: w[7]})
}

// checkClone refuses what makes no sense for processes and threads.
func checkClone(flags uint64) error {
	if flags&cloneThread != 0 && flags&cloneSighand == 0 ||
		flags&cloneSighand != 0 && (flags&cloneVM == 0 || flags&cloneClearSighand != 0) ||
		flags&cloneNewNS != 0 && flags&cloneFS != 0 || flags&cloneUnknown != 0 {
		return syscall.EINVAL
	}
	return nil
}

// newThread starts a thread that continues where t does.
func (t *Task) newThread(c cloneArgs) (uint64, error) {
	switch {
	case c.flags&(cloneNew|cloneIntoCgroup|clonePIDFD) != 0:
		return 0, syscall.EINVAL
	case c.flags&threadFlags != threadFlags:
		return t.noProcess("clone", c.flags)
	case c.flags&cloneSettls != 0 && c.tls >= addressLimit:
		return 0, syscall.EPERM
	case t.p.count() >= t.p.threadLimit():
		return 0, syscall.EAGAIN
	}
	n := t.p.newTask()
	n.inherit(t)
	if c.stack != 0 {
		n.regs.SP = c.stack
	}
	if c.flags&cloneSettls != 0 {
		n.regs.FS = c.tls
	}
	n.regs.AX = 0
	if c.flags&cloneParentSettid != 0 {
		t.put32(c.parentTID, uint32(n.tid))
	}
	if c.flags&cloneChildSettid != 0 {
		t.put32(c.childTID, uint32(n.tid))
	}
	if c.flags&cloneChildClear != 0 {
		n.clearTID = c.childTID
	}
	tid := n.tid
	go n.run()
	if t.p.ending.Load() {
		n.interrupt() // end may have missed it
	}
	return uint64(tid), nil
}

// inherit makes n like its creator.
func (n *Task) inherit(t *Task) {
	to, from := n.regs, t.regs
	to.R15, to.R14, to.R13, to.R12, to.R11, to.R10, to.R9, to.R8 = from.R15, from.R14, from.R13, from.R12, from.R11, from.R10, from.R9, from.R8
	to.DI, to.SI, to.BP, to.DX, to.CX, to.BX, to.AX = from.DI, from.SI, from.BP, from.DX, from.CX, from.BX, from.AX
	to.IP, to.Flags, to.SP, to.FS, to.GS = from.IP, from.Flags, from.SP, from.FS, from.GS
	to.CopyFPFrom(from)
	n.sig.blocked = t.mask()
	n.name = t.name
	n.slack = t.slack
	t.p.mu.Lock()
	n.attributes = t.attributes
	n.filter.Store(t.filter.Load())
	t.p.mu.Unlock()
	if n.policy.reset {
		n.policy = schedPolicy{}
	}
}

// count is how many threads there are.
func (p *Program) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tasks)
}

func (p *Program) threadLimit() int {
	soft, _ := p.calls.Limit(6) // RLIMIT_NPROC
	return int(min(soft, maxThreads))
}

func exit(t *Task, a *[6]uint64) (uint64, error) {
	t.status = int(uint8(a[0]))
	t.ended = true
	return 0, errNoReturn
}

func exitGroup(t *Task, a *[6]uint64) (uint64, error) {
	t.p.end(int(uint8(a[0])))
	t.ended = true
	return 0, errNoReturn
}

func setTIDAddress(t *Task, a *[6]uint64) (uint64, error) {
	t.clearTID = a[0]
	return uint64(t.tid), nil
}

// What would make another process fails. The first time, a line says why.

func fork(t *Task, _ *[6]uint64) (uint64, error)  { return t.noProcess("fork", 0) }
func vfork(t *Task, _ *[6]uint64) (uint64, error) { return t.noProcess("vfork", 0) }

func execve(t *Task, a *[6]uint64) (uint64, error) {
	name, err := t.p.space.CopyString(a[0], 4096)
	if err != nil {
		return 0, err
	}
	return t.noExec("execve of " + name)
}

func execveat(t *Task, a *[6]uint64) (uint64, error) {
	name, err := t.p.space.CopyString(a[1], 4096)
	if err != nil {
		return 0, err
	}
	return t.noExec("execveat of " + name)
}

func (t *Task) noExec(what string) (uint64, error) {
	t.p.once.Do(func() {
		t.p.complain("kiln: " + what + ": a unikernel runs one program, and cannot start another")
	})
	return 0, syscall.ENOSYS
}

func (t *Task) noProcess(what string, flags uint64) (uint64, error) {
	if flags&cloneNew != 0 {
		return 0, syscall.EPERM // a namespace
	}
	if flags&clonePIDFD != 0 { // who asks for that has another way, or only wants to know whether it works
		return 0, syscall.ENOSYS
	}
	t.p.once.Do(func() {
		line := "kiln: " + what + ": a unikernel runs one process, and cannot start another"
		if hint := processHint(t.p.args); hint != "" {
			line += " (" + hint + ")"
		}
		t.p.complain(line)
	})
	return 0, syscall.ENOSYS
}

// processHint tells how to run a well-known program in one process. A script is
// named by one of the first arguments, its interpreter before.
func processHint(args []string) string {
	const searched = 4
	args = args[:min(len(args), searched)]
	for _, a := range slices.Backward(args) {
		name := a[strings.LastIndexByte(a, '/')+1:]
		for _, h := range processHints {
			if strings.HasPrefix(name, h.program) && (len(name) == len(h.program) || !isLetter(name[len(h.program)])) {
				return h.hint
			}
		}
	}
	return ""
}

// processHints are by the name of a program; digits may follow it.
var processHints = [...]struct{ program, hint string }{
	{"nginx", `nginx: -g "daemon off; master_process off;"`},
	{"redis-server", `redis: --daemonize no --save "" --appendonly no, or appendonly without rewrites: --auto-aof-rewrite-percentage 0`},
	{"valkey-server", `valkey: --daemonize no --save "" --auto-aof-rewrite-percentage 0`},
	{"memcached", "memcached: without -d"},
	{"php-fpm", "php-fpm always has worker processes: use the cli's server, php -S"},
	{"postgres", "PostgreSQL has a process per connection: it does not run as a unikernel"},
	{"sshd", "sshd has a process per connection: it does not run as a unikernel"},
	{"vsftpd", "vsftpd has a process per connection: it does not run as a unikernel"},
	{"varnishd", "varnishd works in a second process: it does not run as a unikernel"},
	{"apache2", "Apache: -X runs it in one process"},
	{"httpd", "Apache: -X runs it in one process"},
	{"lighttpd", "lighttpd: -D, server.max-worker = 0, and a configuration without include_shell"},
	{"haproxy", "haproxy: -db"},
	{"mosquitto", "mosquitto: without -d"},
	{"dnsmasq", "dnsmasq: --keep-in-foreground"},
	{"unbound", "unbound: -d"},
	{"named", "BIND: -g"},
	{"squid", "squid: -N, access_log none, pinger_enable off"},
	{"slapd", "slapd: -d none"},
	{"tinyproxy", "tinyproxy: -d"},
	{"gunicorn", "gunicorn has worker processes: use a server with threads, such as waitress"},
	{"uwsgi", "uWSGI has worker processes: use a server with threads, such as waitress"},
	{"uvicorn", "uvicorn: without --workers and --reload"},
	{"puma", "puma: -w 0"},
	{"unicorn", "unicorn has worker processes: use a server with threads, such as puma -w 0"},
	{"python", "Python: threads in place of multiprocessing and subprocess, as concurrent.futures.ThreadPoolExecutor has them"},
	{"node", "Node: worker_threads in place of child_process and cluster"},
	{"sh", "a shell starts programs: run the program itself"},
	{"bash", "a shell starts programs: run the program itself"},
	{"dash", "a shell starts programs: run the program itself"},
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
