//go:build kiln_linux

package linux

// System V IPC (sysvipc(7)): what shared memory, semaphores and message queues
// have in common. Objects of a kind have keys, by which programs find them, and
// identifiers, made of a slot in a table and a number that grows with each use of
// the slot, so that an old identifier does not name a new object.
//
// One lock guards all of them. Who has to wait does it as for a futex: its task is
// on a list of the object, and everyone on it looks again after each change.

import (
	"encoding/binary"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Flags and commands of all three kinds.
const (
	ipcPrivate = 0
	ipcCreate  = 0o1000
	ipcExcl    = 0o2000
	ipcNoWait  = 0o4000

	ipcRemove = 0
	ipcSet    = 1
	ipcStat   = 2
	ipcInfo   = 3

	ipcRead  = 0o444
	ipcWrite = 0o222

	ipcSlots    = 32768 // an identifier is slot plus ipcSlots times the sequence
	ipcMaxSlots = 32000
	ipcMaxSeq   = 1<<16 - 1
)

// ipcPerm is struct ipc_perm.
type ipcPerm struct {
	key                  int32
	id                   int32
	uid, gid, cuid, cgid uint32
	mode                 uint32
}

// ipcObject is a segment, a set of semaphores or a queue.
type ipcObject interface{ perm() *ipcPerm }

// ipcTable has the objects of a kind.
type ipcTable struct {
	slots []ipcObject
	seq   []int32
}

// ipc is all that the process has of System V IPC and of message queues of POSIX.
type ipc struct {
	mu     sync.Mutex // guards what follows, and all objects
	shm    ipcTable
	sem    ipcTable
	msg    ipcTable
	queues map[string]*mqueue
}

func (p *ipcPerm) perm() *ipcPerm { return p }

// allows does what the kernel calls ipcperms: may the program do what mode says,
// in the bits of its owner, group or others?
func (t *Task) allows(p *ipcPerm, mode uint32) bool {
	cred := t.p.view.Cred()
	asked, granted := (mode>>6|mode>>3|mode)&7, p.mode
	switch {
	case cred.EUID == 0:
		return true
	case cred.EUID == p.uid || cred.EUID == p.cuid:
		granted >>= 6
	case cred.EGID == p.gid || cred.EGID == p.cgid || slices.Contains(cred.Groups, p.gid):
		granted >>= 3
	}
	return asked&^granted == 0
}

// owns reports whether the program may change or remove an object.
func (t *Task) owns(p *ipcPerm) bool {
	cred := t.p.view.Cred()
	return cred.EUID == 0 || cred.EUID == p.uid || cred.EUID == p.cuid
}

// get does what all the get calls do: it finds the object with a key, which fits
// checks further, or has make build a new one.
func (x *ipcTable) get(t *Task, key int32, flags uint64, fits func(ipcObject) error, build func(ipcPerm) (ipcObject, error)) (uint64, error) {
	if key != ipcPrivate {
		for _, o := range x.slots {
			if o == nil || o.perm().key != key {
				continue
			}
			if flags&(ipcCreate|ipcExcl) == ipcCreate|ipcExcl {
				return 0, syscall.EEXIST
			}
			if err := fits(o); err != nil {
				return 0, err
			}
			if !t.allows(o.perm(), uint32(flags)&0o777) {
				return 0, syscall.EACCES
			}
			return uint64(o.perm().id), nil
		}
		if flags&ipcCreate == 0 {
			return 0, syscall.ENOENT
		}
	}
	slot := slices.Index(x.slots, nil)
	if slot < 0 {
		if slot = len(x.slots); slot == ipcMaxSlots {
			return 0, syscall.ENOSPC
		}
	}
	cred := t.p.view.Cred()
	perm := ipcPerm{key: key, uid: cred.EUID, gid: cred.EGID, cuid: cred.EUID, cgid: cred.EGID, mode: uint32(flags) & 0o777}
	if slot < len(x.seq) {
		perm.id = x.seq[slot] * ipcSlots
	}
	perm.id += int32(slot)
	o, err := build(perm)
	if err != nil {
		return 0, err
	}
	if slot == len(x.slots) {
		x.slots, x.seq = append(x.slots, nil), append(x.seq, 0)
	}
	x.slots[slot] = o
	x.seq[slot] = (x.seq[slot] + 1) % (ipcMaxSeq + 1)
	return uint64(perm.id), nil
}

// find returns the object with an identifier. EINVAL: there is none.
func (x *ipcTable) find(id uint64) (ipcObject, error) {
	n := int32(id)
	if n < 0 || int(n%ipcSlots) >= len(x.slots) {
		return nil, syscall.EINVAL
	}
	o := x.slots[n%ipcSlots]
	if o == nil || o.perm().id != n {
		return nil, syscall.EINVAL
	}
	return o, nil
}

// at returns the object in a slot, for the commands that walk through all.
func (x *ipcTable) at(slot uint64) (ipcObject, error) {
	if int32(slot) < 0 || int(int32(slot)) >= len(x.slots) || x.slots[slot] == nil {
		return nil, syscall.EINVAL
	}
	return x.slots[slot], nil
}

func (x *ipcTable) remove(o ipcObject) { x.slots[o.perm().id%ipcSlots] = nil }

// used counts the objects and returns the highest slot in use.
func (x *ipcTable) used() (n int, highest uint64) {
	for i, o := range x.slots {
		if o != nil {
			n++
			highest = uint64(i)
		}
	}
	return n, highest
}

const ipcPermSize = 48

// encode appends the permissions as struct ipc64_perm.
func (p *ipcPerm) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, 128)
	for _, v := range [...]uint32{uint32(p.key), p.uid, p.gid, p.cuid, p.cgid, p.mode, uint32(p.id/ipcSlots) & 0xffff, 0} {
		b = le.AppendUint32(b, v)
	}
	return b[:ipcPermSize]
}

// set takes over what IPC_SET may change of the permissions at addr.
func (t *Task) setPerm(p *ipcPerm, addr uint64) ([]byte, error) {
	b := make([]byte, 128)
	if err := t.copyIn(b[:ipcPermSize], addr); err != nil {
		return nil, err
	}
	if !t.owns(p) {
		return nil, syscall.EPERM
	}
	le := binary.LittleEndian
	p.uid, p.gid = le.Uint32(b[4:]), le.Uint32(b[8:])
	p.mode = p.mode&^0o777 | le.Uint32(b[20:])&0o777
	return b, nil
}

func appendWords(b []byte, words ...uint64) []byte {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func unixNow() uint64 { return uint64(time.Now().Unix()) }

// waitList has the tasks that wait for a change of an object.
type waitList []*Task

func (l *waitList) wake() {
	for _, t := range *l {
		t.wakeUp()
	}
}

func (l *waitList) remove(t *Task) {
	if i := slices.Index(*l, t); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}

// await calls try, with ipc.mu held, until it is done, and after each change of
// the object that l belongs to. late is the error after the deadline; EINTR: a
// signal came first.
func (t *Task) await(l *waitList, deadline int64, late error, try func() (done bool, err error)) error {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		if done, err := try(); done || err != nil {
			return err
		}
		*l = append(*l, t)
		x.mu.Unlock()
		signal, over := t.Ready() != 0, t.late(deadline)
		if !signal && !over {
			t.park(deadline)
		}
		x.mu.Lock()
		l.remove(t)
		switch {
		case signal:
			return syscall.EINTR
		case over:
			return late
		}
	}
}
