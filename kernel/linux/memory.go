//go:build kiln_linux

package linux

// System calls for memory. The work is package mm's.

import (
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
	"kiln/kernel/linux/vdso"
)

// mapped returns a file as package mm maps it.
func (p *Program) mapped(f *fs.File) (mm.File, error) {
	if _, ok := f.Ops().(fs.ReaderAt); !ok {
		return nil, syscall.ENODEV
	}
	return f, nil
}

func mmap(t *Task, a *[6]uint64) (uint64, error) {
	var f mm.File
	if a[3]&mm.MapAnonymous == 0 {
		file := t.p.fds.Hold(int(int32(a[4])))
		if file == nil {
			return 0, syscall.EBADF
		}
		defer file.Close()
		if file.PathOnly() {
			return 0, syscall.EBADF
		}
		off, err := mapOffset(file, int64(a[5]), a[1])
		if err != nil {
			return 0, err
		}
		f, a[5] = file, uint64(off)
	}
	return t.p.space.Mmap(a[0], a[1], mm.Prot(a[2]), uint32(a[3]), f, int64(a[5]))
}

func munmap(t *Task, a *[6]uint64) (uint64, error) { return 0, t.p.space.Munmap(a[0], a[1]) }

func mprotect(t *Task, a *[6]uint64) (uint64, error) {
	return 0, t.p.space.Mprotect(a[0], a[1], mm.Prot(a[2]))
}

func mremap(t *Task, a *[6]uint64) (uint64, error) {
	return t.p.space.Mremap(a[0], a[1], a[2], uint32(a[3]), a[4])
}

func madvise(t *Task, a *[6]uint64) (uint64, error) {
	return 0, t.p.space.Madvise(a[0], a[1], int(int32(a[2])))
}

// Descriptors that stand for the caller (PIDFD_SELF_THREAD and its kin).
const (
	pidfdSelfThread = -10000
	pidfdSelf       = -10001
)

// processMadvise is madvise for pieces of the process's memory, up to the first that
// fails. It returns how many bytes that were.
func processMadvise(t *Task, a *[6]uint64) (done uint64, err error) {
	if uint32(a[4]) != 0 {
		return 0, syscall.EINVAL
	}
	list, err := t.pieces(a[1], a[2])
	if err != nil {
		return 0, err
	}
	if fd := int32(a[0]); fd != pidfdSelfThread && fd != pidfdSelf {
		if err := t.isPidfd(a[0]); err != nil {
			return 0, err
		}
	}
	for _, p := range list {
		if err = t.p.space.Madvise(p.addr, p.n, int(int32(a[3]))); err != nil {
			break
		}
		done += p.n
	}
	if done > 0 {
		err = nil
	}
	return done, err
}

func msync(t *Task, a *[6]uint64) (uint64, error) {
	return 0, t.p.space.Msync(a[0], a[1], uint32(a[2]))
}

func brk(t *Task, a *[6]uint64) (uint64, error) { return t.p.space.Brk(a[0]), nil }

func mincore(t *Task, a *[6]uint64) (uint64, error) {
	pages := pageUp(a[1]) / pageSize
	if pages > addressLimit/pageSize {
		return 0, syscall.ENOMEM
	}
	// In pieces: the range may be large.
	for done := uint64(0); done < pages; {
		n := min(pages-done, pageSize)
		vec, err := t.p.space.Mincore(a[0]+done*pageSize, n*pageSize)
		if err != nil {
			return 0, err
		}
		if err := t.p.space.CopyOut(a[2]+done, vec); err != nil {
			return 0, err
		}
		done += n
	}
	if a[0]&(pageSize-1) != 0 {
		return 0, syscall.EINVAL
	}
	return 0, nil
}

func mlock(t *Task, a *[6]uint64) (uint64, error) { return 0, t.p.space.Mlock(a[0], a[1], 0) }
func mlock2(t *Task, a *[6]uint64) (uint64, error) {
	return 0, t.p.space.Mlock(a[0], a[1], uint32(a[2]))
}
func munlock(t *Task, a *[6]uint64) (uint64, error) {
	return 0, t.p.space.Munlock(a[0], a[1])
}
func mlockall(t *Task, a *[6]uint64) (uint64, error) { return 0, t.p.space.Mlockall(uint32(a[0])) }
func mseal(t *Task, a *[6]uint64) (uint64, error) {
	return 0, t.p.space.Mseal(a[0], a[1], a[2])
}
func munlockall(t *Task, _ *[6]uint64) (uint64, error) {
	return 0, t.p.space.Munlockall()
}

// mapVDSO maps the vDSO with its clock page and returns where the image is; 0:
// there is none.
func (p *Program) mapVDSO() uint64 {
	clock := p.m.ClockPage()
	image := vdso.Image()
	mem, err := p.windows.Reserve(len(image))
	if clock == nil || err != nil {
		return 0
	}
	copy(mem, image)
	const anonymous = mm.MapPrivate | mm.MapAnonymous
	// Only to find a place.
	at, err := p.space.Mmap(0, uint64(vdso.ClockSize+len(image)), 0, anonymous, nil, 0)
	if err != nil || p.space.Munmap(at, uint64(vdso.ClockSize+len(image))) != nil {
		return 0
	}
	err = p.space.MapKernel(at, clock, mm.ProtRead, "[vvar]")
	if err == nil {
		err = p.space.MapKernel(at+vdso.ClockSize, mem, mm.ProtRead|mm.ProtExec, "[vdso]")
	}
	if err != nil {
		return 0
	}
	return at + vdso.ClockSize
}
