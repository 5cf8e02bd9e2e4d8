//go:build kiln_linux

package linux

// POSIX message queues (mq_overview(7)). A queue has a name in a space of its own,
// and lives until it is unlinked and the last descriptor is closed. It is guarded
// by the lock of the other IPC.

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"kiln/kernel/fs"
)

type mqueue struct {
	ipcPerm
	name      string
	max, size uint64 // messages, and bytes of a message
	list      []mqMessage
	waiting   waitList
	receivers int // who wait for a message
	fs.Watchers
	notify *mqNotify
}

// mqMessage is a message; the list has those of higher priority first.
type mqMessage struct {
	priority uint32
	text     []byte
}

// mqNotify is who wants to know of the first message.
type mqNotify struct {
	file  *mqFile
	kind  int32
	sig   int32
	value uint64
}

// mqFile is an open queue.
type mqFile struct {
	p *Program
	q *mqueue
}

// Limits of queues: those of an ordinary user, and of root.
const (
	mqDefaultMessages = 10
	mqDefaultSize     = 8192
	mqRootMessages    = 65536
	mqRootSize        = 16 << 20
	mqMaxQueues       = 256
	mqMaxPriority     = 32768
	mqAttrSize        = 64

	mqSignal = 0
	mqNone   = 1
	mqThread = 2

	codeMessage = -3
)

func (f *mqFile) FileName() string { return "/" + f.q.name }

// Ready implements fs.Pollable.
func (f *mqFile) Ready() (ev uint32) {
	f.p.ipc.mu.Lock()
	defer f.p.ipc.mu.Unlock()
	if len(f.q.list) > 0 {
		ev |= fs.In
	}
	if uint64(len(f.q.list)) < f.q.max {
		ev |= fs.Out
	}
	return ev
}

// Watch implements fs.Pollable.
func (f *mqFile) Watch(fn func(uint32)) (cancel func()) { return f.q.Watch(fn) }

// ReadAt implements fs.ReaderAt: a queue can be read as a text about it.
func (f *mqFile) ReadAt(off int64, p []byte) (int, error) {
	f.p.ipc.mu.Lock()
	defer f.p.ipc.mu.Unlock()
	bytes, kind, sig, pid := 0, int32(0), int32(0), 0
	for _, m := range f.q.list {
		bytes += len(m.text)
	}
	if n := f.q.notify; n != nil {
		kind, pid = n.kind, processID
		if n.kind == mqSignal {
			sig = n.sig
		}
	}
	text := fmt.Sprintf("QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", bytes, kind, sig, pid)
	if off >= int64(len(text)) {
		return 0, nil
	}
	return copy(p, text[off:]), nil
}

// Close forgets who was to be told by way of this file. The process closes one of
// its descriptors: that ends its registration.
func (f *mqFile) Close() error {
	f.p.ipc.mu.Lock()
	defer f.p.ipc.mu.Unlock()
	if f.q.notify != nil && f.q.notify.file == f {
		f.q.notify = nil
	}
	return nil
}

// Flags of mq_open that say how to open.
const mqAccess = syscall.O_ACCMODE | syscall.O_NONBLOCK

func mqOpen(t *Task, a *[6]uint64) (uint64, error) {
	name, err := t.mqName(a[0])
	if err != nil {
		return 0, err
	}
	flags := int(uint32(a[1]))
	q, err := t.openQueue(name, flags, uint32(a[2]), a[3])
	if err != nil {
		return 0, err
	}
	f := &mqFile{t.p, q}
	file := t.p.fds.NewFile(f, syscall.S_IFREG|q.mode, flags&mqAccess)
	fd, err := t.p.fds.Install(file, 0, true)
	return uint64(fd), err
}

// mqName reads a queue's name, which the C library has taken the slash off.
func (t *Task) mqName(addr uint64) (string, error) {
	name, err := t.p.space.CopyString(addr, 4096)
	switch {
	case err != nil:
		return "", errnoOf(err)
	case name == "":
		return "", syscall.ENOENT
	case len(name) > 255:
		return "", syscall.ENAMETOOLONG
	case strings.Contains(name, "/") || name == "." || name == "..":
		return "", syscall.EACCES
	}
	return name, nil
}

func (t *Task) openQueue(name string, flags int, mode uint32, attr uint64) (*mqueue, error) {
	max, size := uint64(mqDefaultMessages), uint64(mqDefaultSize)
	if flags&syscall.O_CREAT != 0 && attr != 0 {
		w, err := t.words(attr, 3)
		if err != nil {
			return nil, err
		}
		max, size = w[1], w[2]
	}
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	if q := x.queues[name]; q != nil {
		need := [...]uint32{ipcRead, ipcWrite, ipcRead | ipcWrite, 0}[flags&syscall.O_ACCMODE]
		switch {
		case flags&(syscall.O_CREAT|syscall.O_EXCL) == syscall.O_CREAT|syscall.O_EXCL:
			return nil, syscall.EEXIST
		case flags&syscall.O_ACCMODE == syscall.O_ACCMODE:
			return nil, syscall.EINVAL
		case !t.allows(&q.ipcPerm, need):
			return nil, syscall.EACCES
		}
		return q, nil
	}
	if flags&syscall.O_CREAT == 0 {
		return nil, syscall.ENOENT
	}
	cred := t.p.view.Cred()
	mostMessages, mostSize := uint64(mqDefaultMessages), uint64(mqDefaultSize)
	if cred.EUID == 0 {
		mostMessages, mostSize = mqRootMessages, mqRootSize
	}
	switch {
	case int64(max) <= 0 || int64(size) <= 0 || max > mostMessages || size > mostSize:
		return nil, syscall.EINVAL
	case len(x.queues) >= mqMaxQueues:
		return nil, syscall.ENOSPC
	case flags&syscall.O_ACCMODE == syscall.O_ACCMODE:
		return nil, syscall.EINVAL
	}
	limit, _ := t.p.calls.Limit(rlimitMsgqueue)
	for _, q := range x.queues {
		limit -= min(limit, queueBytes(q.max, q.size))
	}
	if queueBytes(max, size) > limit {
		return nil, syscall.EMFILE
	}
	q := &mqueue{name: name, max: max, size: size}
	q.uid, q.gid, q.cuid, q.cgid = cred.EUID, cred.EGID, cred.EUID, cred.EGID
	q.mode = mode & 0o777 &^ t.p.view.Mask().Load()
	if x.queues == nil {
		x.queues = make(map[string]*mqueue)
	}
	x.queues[name] = q
	return q, nil
}

const rlimitMsgqueue = 12

// queueBytes is how much of the limit a queue takes: each message with what Linux
// needs to keep it.
func queueBytes(messages, size uint64) uint64 {
	const keep = 48 + 80 // struct msg_msg, struct posix_msg_tree_node
	return messages*size + min(messages, mqMaxPriority)*keep
}

func mqUnlink(t *Task, a *[6]uint64) (uint64, error) {
	name, err := t.mqName(a[0])
	if err != nil {
		return 0, err
	}
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queues[name]
	switch {
	case q == nil:
		return 0, syscall.ENOENT
	case !t.owns(&q.ipcPerm):
		return 0, syscall.EPERM // its directory is sticky
	}
	delete(x.queues, name)
	return 0, nil
}

// mqFile returns the open queue of a descriptor, which was opened for mode. The
// caller closes the file.
func (t *Task) mqFile(fd uint64, mode int) (*mqFile, *fs.File, error) {
	file := t.p.fds.Hold(int(int32(fd)))
	if file == nil {
		return nil, nil, syscall.EBADF
	}
	f, ok := file.Ops().(*mqFile)
	if acc := file.Flags() & syscall.O_ACCMODE; !ok || mode >= 0 && acc != mode && acc != syscall.O_RDWR {
		file.Close()
		return nil, nil, syscall.EBADF
	}
	return f, file, nil
}

// realDeadline reads a time of the real-time clock; none: it never comes.
func (t *Task) realDeadline(addr uint64) (int64, error) {
	if addr == 0 {
		return never, nil
	}
	at, err := t.timespec(addr)
	return t.absolute(at, true), err
}

func mqTimedsend(t *Task, a *[6]uint64) (uint64, error) {
	deadline, err := t.realDeadline(a[4])
	if err != nil {
		return 0, err
	}
	if uint32(a[3]) >= mqMaxPriority {
		return 0, syscall.EINVAL
	}
	f, file, err := t.mqFile(a[0], syscall.O_WRONLY)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	q := f.q
	if a[2] > q.size {
		return 0, syscall.EMSGSIZE
	}
	m := mqMessage{uint32(a[3]), make([]byte, a[2])}
	if err := t.copyIn(m.text, a[1]); err != nil {
		return 0, err
	}
	var tell *mqNotify
	err = t.await(&q.waiting, deadline, syscall.ETIMEDOUT, func() (bool, error) {
		if uint64(len(q.list)) >= q.max {
			if !file.Blocking() {
				return false, syscall.EAGAIN
			}
			return false, nil
		}
		if len(q.list) == 0 && q.receivers == 0 {
			tell, q.notify = q.notify, nil
		}
		i := slices.IndexFunc(q.list, func(o mqMessage) bool { return o.priority < m.priority })
		if i < 0 {
			i = len(q.list)
		}
		q.list = slices.Insert(q.list, i, m)
		q.waiting.wake()
		return true, nil
	})
	if err != nil {
		return 0, mqInterrupted(err)
	}
	q.Notify(fs.In)
	t.tellQueue(tell)
	return 0, nil
}

// mqInterrupted: unlike the calls of System V, those of queues are made again.
func mqInterrupted(err error) error {
	if err == syscall.EINTR {
		return errRestart
	}
	return err
}

// tellQueue sends the signal that mq_notify(2) has asked for.
func (t *Task) tellQueue(n *mqNotify) {
	if n == nil || n.kind != mqSignal || n.sig == 0 {
		return
	}
	info := userInfo(int(n.sig), codeMessage, processID, t.p.uid())
	binary.LittleEndian.PutUint64(info[24:], n.value)
	t.p.send(nil, queued{info: info})
}

func mqTimedreceive(t *Task, a *[6]uint64) (uint64, error) {
	deadline, err := t.realDeadline(a[4])
	if err != nil {
		return 0, err
	}
	f, file, err := t.mqFile(a[0], syscall.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	q := f.q
	if a[2] < q.size {
		return 0, syscall.EMSGSIZE
	}
	var m mqMessage
	waits := 0
	err = t.await(&q.waiting, deadline, syscall.ETIMEDOUT, func() (bool, error) {
		q.receivers -= waits
		waits = 0
		if len(q.list) == 0 {
			if !file.Blocking() {
				return false, syscall.EAGAIN
			}
			waits = 1
			q.receivers++
			return false, nil
		}
		m = q.list[0]
		q.list = slices.Delete(q.list, 0, 1)
		q.waiting.wake()
		return true, nil
	})
	if waits != 0 {
		t.p.ipc.mu.Lock()
		q.receivers -= waits
		t.p.ipc.mu.Unlock()
	}
	if err != nil {
		return 0, mqInterrupted(err)
	}
	q.Notify(fs.Out)
	if a[3] != 0 {
		if err := t.put32(a[3], m.priority); err != nil {
			return 0, err
		}
	}
	return uint64(len(m.text)), t.copyOut(a[1], m.text)
}

// mqNotifyCall: SIGEV_THREAD would need the kernel's side of the socket that the C
// library waits at.
func mqNotifyCall(t *Task, a *[6]uint64) (uint64, error) {
	var n *mqNotify
	if a[1] != 0 {
		w, err := t.words(a[1], 2) // struct sigevent: value, signal, kind
		if err != nil {
			return 0, err
		}
		n = &mqNotify{value: w[0], sig: int32(w[1]), kind: int32(w[1] >> 32)}
		switch {
		case n.kind == mqThread:
			return 0, syscall.ENOSYS
		case n.kind != mqSignal && n.kind != mqNone, n.kind == mqSignal && badSignal(uint64(uint32(n.sig))):
			return 0, syscall.EINVAL
		}
	}
	f, file, err := t.mqFile(a[0], -1)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case n == nil:
		f.q.notify = nil
	case f.q.notify != nil:
		return 0, syscall.EBUSY
	default:
		n.file = f
		f.q.notify = n
	}
	return 0, nil
}

// mqGetsetattr: only O_NONBLOCK can be changed.
func mqGetsetattr(t *Task, a *[6]uint64) (uint64, error) {
	var flags uint64
	if a[1] != 0 {
		v, err := t.get64(a[1])
		if err != nil {
			return 0, err
		}
		if flags = v; flags&^syscall.O_NONBLOCK != 0 {
			return 0, syscall.EINVAL
		}
	}
	f, file, err := t.mqFile(a[0], -1)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	t.p.ipc.mu.Lock()
	old := appendWords(make([]byte, 0, mqAttrSize), uint64(file.Flags()&syscall.O_NONBLOCK), f.q.max, f.q.size, uint64(len(f.q.list)), 0, 0, 0, 0)
	t.p.ipc.mu.Unlock()
	if a[1] != 0 {
		t.p.fds.SetFlags(int(int32(a[0])), file.Flags()&^syscall.O_NONBLOCK|int(flags))
	}
	if a[2] == 0 {
		return 0, nil
	}
	return 0, t.copyOut(a[2], old)
}
