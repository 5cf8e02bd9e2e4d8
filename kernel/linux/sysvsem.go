//go:build kiln_linux

package linux

// System V semaphores. An operation on a set is done as a whole or not at all. What
// SEM_UNDO undoes at a process's end ends with the machine here.

import (
	"encoding/binary"
	"syscall"
)

type semaphoreSet struct {
	ipcPerm
	sems         []semaphore
	otime, ctime uint64
	gone         bool
	waiting      waitList
	blocked      []semBlock // of those who wait
}

type semaphore struct {
	value   int32
	lastPID uint32
}

// semBlock says what a waiter waits for: that a semaphore grows or is zero.
type semBlock struct {
	t    *Task
	num  int
	zero bool
}

// semOp is struct sembuf.
type semOp struct {
	num   uint16
	op    int16
	flags uint16
}

// Commands and limits of semaphores.
const (
	semGetPID  = 11
	semGetVal  = 12
	semGetAll  = 13
	semGetNCnt = 14
	semGetZCnt = 15
	semSetVal  = 16
	semSetAll  = 17
	semStat    = 18
	semInfo    = 19
	semStatAny = 20

	semMaxValue = 32767
	semMaxSet   = 32000 // SEMMSL
	semMaxOps   = 500   // SEMOPM
	semMaxSets  = 32000 // SEMMNI
)

func semget(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	n := int32(a[1])
	if n < 0 || n > semMaxSet {
		return 0, syscall.EINVAL
	}
	return x.sem.get(t, int32(a[0]), a[2], func(o ipcObject) error {
		if int(n) > len(o.(*semaphoreSet).sems) {
			return syscall.EINVAL
		}
		return nil
	}, func(perm ipcPerm) (ipcObject, error) {
		if n == 0 {
			return nil, syscall.EINVAL
		}
		return &semaphoreSet{ipcPerm: perm, sems: make([]semaphore, n), ctime: unixNow()}, nil
	})
}

func (t *Task) semaphores(id uint64) (*semaphoreSet, error) {
	o, err := t.p.ipc.sem.find(id)
	if err != nil {
		return nil, err
	}
	return o.(*semaphoreSet), nil
}

func semop(t *Task, a *[6]uint64) (uint64, error) {
	a[3] = 0
	return semtimedop(t, a)
}

func semtimedop(t *Task, a *[6]uint64) (uint64, error) {
	deadline := int64(never)
	if a[3] != 0 {
		d, err := t.timespec(a[3])
		if err != nil {
			return 0, err
		}
		deadline = t.after(d)
	}
	if int32(a[0]) < 0 || uint32(a[2]) == 0 {
		return 0, syscall.EINVAL
	}
	if uint32(a[2]) > semMaxOps {
		return 0, syscall.E2BIG
	}
	ops, err := t.semOps(a[1], int(uint32(a[2])))
	if err != nil {
		return 0, err
	}
	x := &t.p.ipc
	x.mu.Lock()
	s, err := t.semaphores(a[0])
	if err == nil {
		err = s.check(t, ops)
	}
	x.mu.Unlock()
	if err != nil {
		return 0, err
	}
	err = t.await(&s.waiting, deadline, syscall.EAGAIN, func() (bool, error) {
		s.unblock(t)
		if s.gone {
			return false, syscall.EIDRM
		}
		return s.apply(t, ops)
	})
	x.mu.Lock()
	s.unblock(t)
	x.mu.Unlock()
	return 0, err
}

func (t *Task) semOps(addr uint64, n int) ([]semOp, error) {
	b := make([]byte, 6*n)
	if err := t.copyIn(b, addr); err != nil {
		return nil, err
	}
	ops := make([]semOp, n)
	for i := range ops {
		le, p := binary.LittleEndian, b[6*i:]
		ops[i] = semOp{le.Uint16(p), int16(le.Uint16(p[2:])), le.Uint16(p[4:])}
	}
	return ops, nil
}

func (s *semaphoreSet) check(t *Task, ops []semOp) error {
	need := uint32(ipcRead)
	for _, op := range ops {
		if int(op.num) >= len(s.sems) {
			return syscall.EFBIG
		}
		if op.op != 0 {
			need = ipcWrite
		}
	}
	if !t.allows(&s.ipcPerm, need) {
		return syscall.EACCES
	}
	return nil
}

// apply does the operations, if all of them can be done. EAGAIN: one cannot, and
// is not to be waited for.
func (s *semaphoreSet) apply(t *Task, ops []semOp) (done bool, err error) {
	undo := func(n int) {
		for _, op := range ops[:n] {
			s.sems[op.num].value -= int32(op.op)
		}
	}
	for i, op := range ops {
		sem := &s.sems[op.num]
		v := sem.value + int32(op.op)
		switch {
		case op.op == 0 && sem.value != 0, v < 0:
			undo(i)
			if op.flags&ipcNoWait != 0 {
				return false, syscall.EAGAIN
			}
			s.blocked = append(s.blocked, semBlock{t, int(op.num), op.op == 0})
			return false, nil
		case v > semMaxValue:
			undo(i)
			return false, syscall.ERANGE
		}
		sem.value = v
	}
	for _, op := range ops {
		s.sems[op.num].lastPID = processID
	}
	s.otime = unixNow()
	s.waiting.wake()
	return true, nil
}

func (s *semaphoreSet) unblock(t *Task) {
	kept := s.blocked[:0]
	for _, b := range s.blocked {
		if b.t != t {
			kept = append(kept, b)
		}
	}
	clear(s.blocked[len(kept):])
	s.blocked = kept
}

func (s *semaphoreSet) countBlocked(num int, zero bool) (n uint64) {
	for _, b := range s.blocked {
		if b.num == num && b.zero == zero {
			n++
		}
	}
	return n
}

func semctl(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	cmd, arg := int32(a[2]), a[3]
	if int32(a[0]) < 0 {
		return 0, syscall.EINVAL
	}
	switch cmd {
	case ipcInfo, semInfo:
		return x.semInfo(t, cmd, arg)
	case semStat, semStatAny:
		o, err := x.sem.at(a[0])
		if err != nil {
			return 0, err
		}
		s := o.(*semaphoreSet)
		if cmd == semStat && !t.allows(&s.ipcPerm, ipcRead) {
			return 0, syscall.EACCES
		}
		return uint64(s.id), t.copyOut(arg, s.stat())
	}
	s, err := t.semaphores(a[0])
	if err != nil {
		return 0, err
	}
	switch cmd {
	case ipcStat:
		if !t.allows(&s.ipcPerm, ipcRead) {
			return 0, syscall.EACCES
		}
		return 0, t.copyOut(arg, s.stat())
	case ipcSet:
		_, err := t.setPerm(&s.ipcPerm, arg)
		if err == nil {
			s.ctime = unixNow()
		}
		return 0, err
	case ipcRemove:
		if !t.owns(&s.ipcPerm) {
			return 0, syscall.EPERM
		}
		s.gone = true
		x.sem.remove(s)
		s.waiting.wake()
		return 0, nil
	case semGetAll, semSetAll:
		return s.all(t, cmd, arg)
	case semGetPID, semGetVal, semGetNCnt, semGetZCnt, semSetVal:
		return s.one(t, int(int32(a[1])), cmd, arg)
	}
	return 0, syscall.EINVAL
}

// one answers the commands for one semaphore.
func (s *semaphoreSet) one(t *Task, num int, cmd int32, arg uint64) (uint64, error) {
	need := uint32(ipcRead)
	if cmd == semSetVal {
		if need = ipcWrite; int32(arg) < 0 || int32(arg) > semMaxValue {
			return 0, syscall.ERANGE
		}
	}
	if cmd == semSetVal && uint(num) >= uint(len(s.sems)) {
		return 0, syscall.EINVAL
	}
	if !t.allows(&s.ipcPerm, need) {
		return 0, syscall.EACCES
	}
	if uint(num) >= uint(len(s.sems)) {
		return 0, syscall.EINVAL
	}
	switch sem := &s.sems[num]; cmd {
	case semGetPID:
		return uint64(sem.lastPID), nil
	case semGetVal:
		return uint64(sem.value), nil
	case semGetNCnt:
		return s.countBlocked(num, false), nil
	case semGetZCnt:
		return s.countBlocked(num, true), nil
	default:
		sem.value, sem.lastPID = int32(arg), processID
		s.ctime = unixNow()
		s.waiting.wake()
		return 0, nil
	}
}

// all answers GETALL and SETALL.
func (s *semaphoreSet) all(t *Task, cmd int32, addr uint64) (uint64, error) {
	b := make([]byte, 2*len(s.sems))
	if cmd == semGetAll {
		if !t.allows(&s.ipcPerm, ipcRead) {
			return 0, syscall.EACCES
		}
		for i, sem := range s.sems {
			binary.LittleEndian.PutUint16(b[2*i:], uint16(sem.value))
		}
		return 0, t.copyOut(addr, b)
	}
	if !t.allows(&s.ipcPerm, ipcWrite) {
		return 0, syscall.EACCES
	}
	if err := t.copyIn(b, addr); err != nil {
		return 0, err
	}
	for i := range s.sems {
		if binary.LittleEndian.Uint16(b[2*i:]) > semMaxValue {
			return 0, syscall.ERANGE
		}
	}
	for i := range s.sems {
		s.sems[i] = semaphore{int32(binary.LittleEndian.Uint16(b[2*i:])), processID}
	}
	s.ctime = unixNow()
	s.waiting.wake()
	return 0, nil
}

// stat returns struct semid64_ds.
func (s *semaphoreSet) stat() []byte {
	return appendWords(s.encode(), s.otime, 0, s.ctime, 0, uint64(len(s.sems)), 0, 0)
}

// semInfo stores struct seminfo.
func (x *ipc) semInfo(t *Task, cmd int32, addr uint64) (uint64, error) {
	n, highest := x.sem.used()
	usz, aem := uint32(20), uint32(semMaxValue)
	if cmd == semInfo {
		usz, aem = uint32(n), 0
		for _, o := range x.sem.slots {
			if s, ok := o.(*semaphoreSet); ok {
				aem += uint32(len(s.sems))
			}
		}
	}
	var b []byte
	const most = semMaxSets * semMaxSet
	for _, v := range [...]uint32{most, semMaxSets, most, most, semMaxSet, semMaxOps, semMaxOps, usz, semMaxValue, aem} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return highest, t.copyOut(addr, b)
}
