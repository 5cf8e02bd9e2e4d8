//go:build kiln_linux

package linux

// Calls with which processes look at each other, for a process that looks at
// itself: pidfd_open(2) and its kin, process_vm_readv(2), kcmp(2). Libraries read
// memory that may not be there with them, and supervisors hold a descriptor of a
// process.

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"

	"kiln/kernel/fs"
)

// isSelf returns nil if an ID is the process's or a thread's.
func (t *Task) isSelf(id uint64) error {
	if int32(id) == processID || t.p.task(int32(id)) != nil {
		return nil
	}
	return syscall.ESRCH
}

// pidFile is the file of pidfd_open(2). It would become readable at the end of the
// process, which nobody sees.
type pidFile struct{ fs.Watchers }

func (*pidFile) FileName() string { return "anon_inode:[pidfd]" }
func (*pidFile) Ready() uint32    { return 0 }

func pidfdOpen(t *Task, a *[6]uint64) (uint64, error) {
	id, flags := int32(a[0]), int(uint32(a[1]))
	switch {
	case flags&^syscall.O_NONBLOCK != 0 || id <= 0:
		return 0, syscall.EINVAL
	case id != processID && t.p.task(id) != nil:
		return 0, syscall.EINVAL // a thread
	case id != processID:
		return 0, syscall.ESRCH
	}
	file := t.p.fds.NewFile(new(pidFile), 0o600, syscall.O_RDWR|flags)
	fd, err := t.p.fds.Install(file, 0, true)
	return uint64(fd), err
}

// isPidfd returns nil if a descriptor stands for the process.
func (t *Task) isPidfd(fd uint64) error {
	if f := t.p.fds.File(int(int32(fd))); f != nil {
		if _, ok := f.Ops().(*pidFile); ok {
			return nil
		}
	}
	return syscall.EBADF
}

// isProcDir reports whether a descriptor is one of /proc/PID, which was a process's
// before there was pidfd_open(2).
func (t *Task) isProcDir(fd uint64) bool {
	f := t.p.fds.File(int(int32(fd)))
	return f != nil && !f.PathOnly() && f.Name() == fmt.Sprintf("/proc/%d", processID)
}

func pidfdSendSignal(t *Task, a *[6]uint64) (uint64, error) {
	if uint32(a[3]) != 0 {
		return 0, syscall.EINVAL
	}
	if err := t.isPidfd(a[0]); err != nil && !t.isProcDir(a[0]) {
		return 0, err
	}
	if a[2] == 0 {
		return kill(t, &[6]uint64{processID, a[1]})
	}
	sig, err := t.get32(a[2])
	if err == nil && sig != uint32(a[1]) {
		err = syscall.EINVAL
	}
	if err != nil {
		return 0, err
	}
	return rtSigqueueinfo(t, &[6]uint64{processID, a[1], a[2]})
}

func pidfdGetfd(t *Task, a *[6]uint64) (uint64, error) {
	if uint32(a[2]) != 0 {
		return 0, syscall.EINVAL
	}
	if err := t.isPidfd(a[0]); err != nil {
		return 0, err
	}
	if t.p.fds.File(int(int32(a[1]))) == nil {
		return 0, syscall.EBADF
	}
	fd, err := t.p.fds.Dup(int(int32(a[1])), 0, true)
	return uint64(fd), err
}

// piece is an entry of an iovec.
type piece struct{ addr, n uint64 }

const maxPieces = 1024 // UIO_MAXIOV

func (t *Task) pieces(addr, n uint64) ([]piece, error) {
	if n > maxPieces {
		return nil, syscall.EINVAL
	}
	b := make([]byte, 16*n)
	if err := t.copyIn(b, addr); err != nil {
		return nil, err
	}
	list := make([]piece, n)
	for i := range list {
		list[i] = piece{binary.LittleEndian.Uint64(b[16*i:]), binary.LittleEndian.Uint64(b[16*i+8:])}
		if int64(list[i].n) < 0 {
			return nil, syscall.EINVAL
		}
	}
	return list, nil
}

func processVMReadv(t *Task, a *[6]uint64) (uint64, error) { return t.copyProcess(a, false) }

func processVMWritev(t *Task, a *[6]uint64) (uint64, error) { return t.copyProcess(a, true) }

// copyProcess copies between the caller's pieces and those of the process that
// is asked for, which is the same.
func (t *Task) copyProcess(a *[6]uint64, write bool) (uint64, error) {
	if a[5] != 0 {
		return 0, syscall.EINVAL
	}
	local, err := t.pieces(a[1], a[2])
	if err != nil {
		return 0, err
	}
	remote, err := t.pieces(a[3], a[4])
	if err != nil || len(local) == 0 || len(remote) == 0 {
		return 0, err
	}
	if err := t.isSelf(a[0]); err != nil {
		return 0, err
	}
	if write {
		return t.copyPieces(local, remote)
	}
	return t.copyPieces(remote, local)
}

// copyPieces copies up to the first byte that is not there.
func (t *Task) copyPieces(from, to []piece) (done uint64, err error) {
	for b := make([]byte, pageSize); ; {
		from, to = skipEmpty(from), skipEmpty(to)
		if len(from) == 0 || len(to) == 0 {
			return done, nil
		}
		// Not across a page of either: what can be copied is.
		n := min(from[0].n, to[0].n, pageSize-from[0].addr%pageSize, pageSize-to[0].addr%pageSize)
		if err = t.copyIn(b[:n], from[0].addr); err == nil {
			err = t.copyOut(to[0].addr, b[:n])
		}
		if err != nil && done > 0 {
			return done, nil
		}
		if err != nil {
			return 0, err
		}
		from[0] = piece{from[0].addr + n, from[0].n - n}
		to[0] = piece{to[0].addr + n, to[0].n - n}
		done += n
	}
}

func skipEmpty(list []piece) []piece {
	for len(list) > 0 && list[0].n == 0 {
		list = list[1:]
	}
	return list
}

// kcmp compares what two threads have: all of it is the same, but for files.
func kcmp(t *Task, a *[6]uint64) (uint64, error) {
	const file, sysvsem, epollTarget = 0, 6, 7
	for _, id := range a[:2] {
		if err := t.isSelf(id); err != nil {
			return 0, err
		}
	}
	switch kind := int32(a[2]); {
	case kind == epollTarget:
		return 0, syscall.EOPNOTSUPP
	case kind < file || kind > sysvsem:
		return 0, syscall.EINVAL
	case kind != file:
		return 0, nil
	}
	x, y := t.p.fds.File(int(int32(a[3]))), t.p.fds.File(int(int32(a[4])))
	switch {
	case x == nil || y == nil:
		return 0, syscall.EBADF
	case x == y:
		return 0, nil
	}
	// Any order will do that stays the same: that of the lowest descriptors.
	open := t.p.fds.Open()
	first := func(f *fs.File) int {
		return slices.IndexFunc(open, func(fd int) bool { return t.p.fds.File(fd) == f })
	}
	if first(x) < first(y) {
		return 1, nil
	}
	return 2, nil
}
