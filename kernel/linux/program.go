//go:build kiln_linux

package linux

import (
	"sync"
	"sync/atomic"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
	"kiln/kernel/sys"
)

// Config is what a program runs on.
type Config struct {
	Machine Machine
	Calls   *sys.Calls // on FDs and View
	FDs     *fs.FDTable
	View    *fs.View
	Random  func([]byte)
	Windows fs.Memory // for shared mappings
	Memory  uint64    // of the machine, in bytes
	// Complain writes a line of Kiln's own to the standard error.
	Complain func(line string)
}

// Program is the process. There is one.
type Program struct {
	m        Machine
	calls    *sys.Calls
	fds      *fs.FDTable
	view     *fs.View
	random   func([]byte)
	complain func(line string)
	windows  fs.Memory
	space    *mm.Space

	futexes  futexTable
	signals  signalHandlers
	timers   timers
	ipc      ipc
	requests requests
	table    *[512]handler
	once     sync.Once // tells that there can be no other process

	personality atomic.Uint32
	barriers    atomic.Uint32 // what has been registered with membarrier(2)

	exe  string
	args []string
	env  []string
	auxv []auxEntry

	report report
	trace  *tracer // nil: none

	ending atomic.Bool // exit_group, or a fatal signal
	status int         // valid after done
	done   chan struct{}

	mu    sync.Mutex // guards what follows
	tasks map[int32]*Task
	next  int32 // thread number to try next
	// leaderStatus is the first thread's exit status, which becomes the
	// process's if all its threads end.
	leaderStatus int
	settings     settings
}

// processID is the program's number: a unikernel's only process is the first.
const processID = 1

// New returns a program that has nothing loaded.
func New(c Config) *Program {
	p := &Program{
		m: c.Machine, calls: c.Calls, fds: c.FDs, view: c.View, random: c.Random, complain: c.Complain,
		done: make(chan struct{}), tasks: make(map[int32]*Task), next: processID,
	}
	p.space = mm.New(c.Machine)
	p.windows = c.Windows
	p.space.SetMemory(c.Windows)
	p.space.SetRAM(c.Memory)
	p.space.SetPrivileged(func() bool { return p.view.Cred().EUID == 0 })
	p.calls.SetMemory(p.space)
	p.table = callTable()
	p.initTimers()
	p.initRequests()
	return p
}

// Run starts a loaded program's first thread and returns its exit status when it
// has ended.
func (p *Program) Run(first *Task) (status int) {
	go first.run()
	<-p.done
	return p.status
}

// newTask makes a thread with a number of its own. regs are not set.
func (p *Program) newTask() *Task {
	t := &Task{p: p, regs: p.m.NewRegs(), wake: make(chan struct{}, 1), slack: defaultTimerSlack}
	t.calls = p.calls.Thread(t)
	t.sig.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.tasks[p.next] != nil {
		p.next++
	}
	t.tid = p.next
	p.next = p.next%maxThreadID + 1
	p.tasks[t.tid] = t
	return t
}

const maxThreadID = 1<<22 - 1 // /proc/sys/kernel/pid_max

// task returns the thread with a number, nil if there is none.
func (p *Program) task(tid int32) *Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tasks[tid]
}

// all lists the threads.
func (p *Program) all() []*Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*Task, 0, len(p.tasks))
	for _, t := range p.tasks {
		list = append(list, t)
	}
	return list
}

// end ends the process with an exit status; the first to call it decides. Its
// threads go no further than their next look at what there is to do.
func (p *Program) end(status int) {
	if p.ending.Swap(true) {
		return
	}
	p.status = status
	p.stopTimers()
	p.stopRequests()
	for _, t := range p.all() {
		t.interrupt()
	}
	p.closeFiles()
	close(p.done)
}

// closingTime is how long the closing of files may take at the end.
const closingTime = 2 * time.Second

// closeFiles closes all files, so that connections end in order; of many thousands
// only some, because the machine is to end, too.
func (p *Program) closeFiles() {
	start := time.Now()
	for _, fd := range p.fds.Open() {
		if time.Since(start) > closingTime {
			return
		}
		p.fds.Close(fd)
	}
}

// remove takes a thread that has ended off the list. The last one ends the
// process.
func (p *Program) remove(t *Task, status int) {
	p.mu.Lock()
	delete(p.tasks, t.tid)
	left := len(p.tasks)
	if t.tid == processID {
		p.leaderStatus = status
	}
	status = p.leaderStatus
	p.mu.Unlock()
	if left == 0 {
		p.end(status)
	}
}
