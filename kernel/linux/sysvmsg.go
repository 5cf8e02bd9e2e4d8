//go:build kiln_linux

package linux

// System V message queues.

import (
	"encoding/binary"
	"slices"
	"syscall"
)

type messageQueue struct {
	ipcPerm
	list                []message
	bytes, most         uint64
	stime, rtime, ctime uint64
	sender, receiver    uint64
	gone                bool
	waiting             waitList
}

type message struct {
	kind int64
	text []byte
}

// Flags, commands and limits of message queues.
const (
	msgNoError = 0o10000
	msgExcept  = 0o20000
	msgCopy    = 0o40000

	msgStat    = 11
	msgInfo    = 12
	msgStatAny = 13

	msgMax = 8192  // bytes of a message
	msgMnb = 16384 // of a queue
	msgMni = 32000
)

func msgget(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.msg.get(t, int32(a[0]), a[1], func(ipcObject) error { return nil }, func(perm ipcPerm) (ipcObject, error) {
		return &messageQueue{ipcPerm: perm, most: msgMnb, ctime: unixNow()}, nil
	})
}

// queue returns the queue with an identifier, if the program may do what need
// says.
func (t *Task) queue(id uint64) (*messageQueue, error) {
	t.p.ipc.mu.Lock()
	defer t.p.ipc.mu.Unlock()
	o, err := t.p.ipc.msg.find(id)
	if err != nil {
		return nil, err
	}
	return o.(*messageQueue), nil
}

func msgsnd(t *Task, a *[6]uint64) (uint64, error) {
	kind, err := t.get64(a[1])
	if err != nil {
		return 0, err
	}
	if a[2] > msgMax || int32(a[0]) < 0 || int64(kind) < 1 {
		return 0, syscall.EINVAL
	}
	m := message{int64(kind), make([]byte, a[2])}
	if err := t.copyIn(m.text, a[1]+8); err != nil {
		return 0, err
	}
	q, err := t.queue(a[0])
	if err != nil {
		return 0, err
	}
	return 0, t.await(&q.waiting, never, nil, func() (bool, error) {
		switch {
		case q.gone:
			return false, syscall.EIDRM
		case !t.allows(&q.ipcPerm, ipcWrite):
			return false, syscall.EACCES
		case q.bytes+a[2] > q.most || uint64(len(q.list))+1 > q.most:
			if a[3]&ipcNoWait != 0 {
				return false, syscall.EAGAIN
			}
			return false, nil
		}
		q.list = append(q.list, m)
		q.bytes += a[2]
		q.stime, q.sender = unixNow(), processID
		q.waiting.wake()
		return true, nil
	})
}

// pick returns the place of the message that msgrcv(2) means, -1: there is none.
func (q *messageQueue) pick(kind int64, flags uint64) int {
	switch {
	case flags&msgCopy != 0:
		if kind < 0 || kind >= int64(len(q.list)) {
			return -1
		}
		return int(kind)
	case kind == 0:
		return min(0, len(q.list)-1)
	case kind > 0:
		return slices.IndexFunc(q.list, func(m message) bool { return (m.kind == kind) != (flags&msgExcept != 0) })
	}
	best := -1
	for i, m := range q.list {
		if m.kind <= -kind && (best < 0 || m.kind < q.list[best].kind) {
			best = i
		}
	}
	return best
}

func msgrcv(t *Task, a *[6]uint64) (uint64, error) {
	size, kind, flags := a[2], int64(a[3]), a[4]
	if int32(a[0]) < 0 || int64(size) < 0 ||
		flags&msgCopy != 0 && (flags&msgExcept != 0 || flags&ipcNoWait == 0) {
		return 0, syscall.EINVAL
	}
	q, err := t.queue(a[0])
	if err != nil {
		return 0, err
	}
	var m message
	err = t.await(&q.waiting, never, nil, func() (bool, error) {
		if q.gone {
			return false, syscall.EIDRM
		}
		if !t.allows(&q.ipcPerm, ipcRead) {
			return false, syscall.EACCES
		}
		i := q.pick(kind, flags)
		if i < 0 {
			if flags&ipcNoWait != 0 {
				return false, syscall.ENOMSG
			}
			return false, nil
		}
		m = q.list[i]
		if uint64(len(m.text)) > size && flags&msgNoError == 0 {
			return false, syscall.E2BIG
		}
		if flags&msgCopy != 0 {
			return true, nil
		}
		q.list = slices.Delete(q.list, i, i+1)
		q.bytes -= uint64(len(m.text))
		q.rtime, q.receiver = unixNow(), processID
		q.waiting.wake()
		return true, nil
	})
	if err != nil {
		return 0, err
	}
	if err := t.put64(a[1], uint64(m.kind)); err != nil {
		return 0, err
	}
	text := m.text[:min(uint64(len(m.text)), size)]
	return uint64(len(text)), t.copyOut(a[1]+8, text)
}

func msgctl(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	cmd := int32(a[1])
	if int32(a[0]) < 0 || cmd < 0 {
		return 0, syscall.EINVAL
	}
	switch cmd {
	case ipcInfo, msgInfo:
		return x.msgInfo(t, cmd, a[2])
	case msgStat, msgStatAny:
		o, err := x.msg.at(a[0])
		if err != nil {
			return 0, err
		}
		q := o.(*messageQueue)
		if cmd == msgStat && !t.allows(&q.ipcPerm, ipcRead) {
			return 0, syscall.EACCES
		}
		return uint64(q.id), t.copyOut(a[2], q.stat())
	case ipcStat, ipcSet, ipcRemove:
	default:
		return 0, syscall.EINVAL
	}
	o, err := x.msg.find(a[0])
	if err != nil {
		return 0, err
	}
	q := o.(*messageQueue)
	switch {
	case cmd == ipcStat && !t.allows(&q.ipcPerm, ipcRead):
		return 0, syscall.EACCES
	case cmd == ipcStat:
		return 0, t.copyOut(a[2], q.stat())
	case cmd == ipcSet:
		return 0, q.set(t, a[2])
	case !t.owns(&q.ipcPerm):
		return 0, syscall.EPERM
	}
	q.gone = true
	x.msg.remove(q)
	q.waiting.wake()
	return 0, nil
}

func (q *messageQueue) set(t *Task, addr uint64) error {
	const at = ipcPermSize + 5*8 // msg_qbytes
	most, err := t.get64(addr + at)
	if err != nil {
		return err
	}
	if !t.owns(&q.ipcPerm) || most > msgMnb && t.p.view.Cred().EUID != 0 {
		return syscall.EPERM
	}
	if _, err := t.setPerm(&q.ipcPerm, addr); err != nil {
		return err
	}
	q.most, q.ctime = most, unixNow()
	q.waiting.wake()
	return nil
}

// stat returns struct msqid64_ds.
func (q *messageQueue) stat() []byte {
	return appendWords(q.encode(), q.stime, q.rtime, q.ctime, q.bytes, uint64(len(q.list)), q.most, q.sender|q.receiver<<32, 0, 0)
}

// msgInfo stores struct msginfo.
func (x *ipc) msgInfo(t *Task, cmd int32, addr uint64) (uint64, error) {
	n, highest := x.msg.used()
	pool, maps, total := uint32(msgMni*msgMnb/1024), uint32(msgMnb), uint32(msgMnb)
	if cmd == msgInfo {
		pool, maps, total = uint32(n), 0, 0
		for _, o := range x.msg.slots {
			if q, ok := o.(*messageQueue); ok {
				maps += uint32(len(q.list))
				total += uint32(q.bytes)
			}
		}
	}
	var b []byte
	for _, v := range [...]uint32{pool, maps, msgMax, msgMnb, msgMni, 16, total, 0xffff} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return highest, t.copyOut(addr, b)
}
