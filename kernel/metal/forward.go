package metal

// Calls that are the library OS's to answer but do not reach it, because those
// who make them do not ask the hook: functions of package syscall and of
// golang.org/x/sys that cannot fail (umask, sync, getresuid, getresgid), and
// writes of the Go runtime to files (debug.WriteHeapDump, debug.SetCrashOutput).
//
// Such a write comes when no goroutine can run. Its bytes are kept here in a
// list of pages until the library OS takes them, which it does before it
// answers the program's next call:
//
//	 0  physical address of the next page, 0: none
//	 8  descriptor
//	16  number of bytes
//	24  bytes
//
// What is written to a copy of standard output or error goes there at once.

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	keptFD     = 8
	keptLen    = 16
	keptData   = 24
	keptRoom   = pageSize - keptData
	keptMargin = 8 // of the memory, one part in so many is not used for this
)

var kept struct {
	mu         spinLock // phys.mu is taken under it
	head, tail uintptr  // physical addresses of pages
	any        atomic.Uint32
}

// keepWrite is sysKeep once there is a library OS to take what is kept, and
// forwarded are the calls that are answered for it.
var (
	keepWrite func(fd, buf, n uintptr) uintptr
	forwarded []call
	umask     *atomic.Uint32
)

// Forward lets metal answer calls of the library OS that reach it instead:
// umask changes mask, and Kept tells when there is something for TakeKept. It
// is called once.
func Forward(mask *atomic.Uint32) {
	umask = mask
	forwarded = forwardedCalls[:]
	keepWrite = sysKeep
}

var forwardedCalls = [...]call{
	{syscall.SYS_UMASK, sysUmask},
	{syscall.SYS_SYNC, sysNothing},
	{syscall.SYS_GETRESUID, sysGetresuid},
	{syscall.SYS_GETRESGID, sysGetresgid},
}

func sysUmask(_ *thread, mask, _, _, _ uintptr) uintptr {
	return uintptr(umask.Swap(uint32(mask) & 0o777))
}

func sysGetresuid(_ *thread, a, b, c, _ uintptr) uintptr { return putIDs(0, a, b, c) }
func sysGetresgid(_ *thread, a, b, c, _ uintptr) uintptr { return putIDs(2, a, b, c) }

// putIDs stores the real, the effective and the saved ID.
func putIDs(first int, a, b, c uintptr) uintptr {
	poke32(a, atomic.LoadUint32(&ids[first]))
	poke32(b, atomic.LoadUint32(&ids[first+1]))
	poke32(c, atomic.LoadUint32(&savedIDs[first/2]))
	return 0
}

// savedIDs are the saved user and group ID.
var savedIDs [2]uint32

// SetSavedIDs is SetIDs for the saved ones.
func SetSavedIDs(uid, gid uint32) {
	atomic.StoreUint32(&savedIDs[0], uid)
	atomic.StoreUint32(&savedIDs[1], gid)
}

// SameOutput says that descriptor fd is a copy of another one, which may be
// standard output or error.
func SameOutput(fd, of int) { inMetal(sameOutput, uintptr(fd), uintptr(of), 0) }

func sameOutput(fd, of, _ uintptr) uintptr {
	fds.mu.lock()
	if f, o := lookupFD(fd), lookupFD(of); f != nil && o != nil && o.serial != 0 {
		f.serial = o.serial
	}
	fds.mu.unlock()
	return 0
}

// sysKeep is write to an open file of the library OS.
func sysKeep(fd, buf, n uintptr) uintptr {
	for a := buf &^ (pageSize - 1); a < buf+n; a += pageSize {
		peek8(max(a, buf)) // it must not fault under the lock
	}
	done := uintptr(0)
	kept.mu.lock()
	for done < n {
		p := kept.tail
		if p == 0 || peek64(dmapBase+p+keptFD) != uint64(fd) || peek64(dmapBase+p+keptLen) == keptRoom {
			if p = keepPage(fd); p == 0 {
				break
			}
		}
		used := uintptr(peek64(dmapBase + p + keptLen))
		k := min(n-done, keptRoom-used)
		for i := uintptr(0); i < k; i++ {
			poke8(dmapBase+p+keptData+used+i, peek8(buf+done+i))
		}
		poke64(dmapBase+p+keptLen, uint64(used+k))
		done += k
	}
	kept.any.Store(1)
	kept.mu.unlock()
	if done == 0 && n > 0 {
		return errno(enospc)
	}
	return done
}

// keepPage adds a page to the list; 0: there is no memory for that.
func keepPage(fd uintptr) uintptr {
	if phys.total-phys.used < phys.total/keptMargin {
		return 0
	}
	p := allocPage()
	if p == 0 {
		return 0
	}
	poke64(dmapBase+p+keptFD, uint64(fd))
	if kept.tail == 0 {
		kept.head = p
	} else {
		poke64(dmapBase+kept.tail, uint64(p))
	}
	kept.tail = p
	return p
}

// Kept is not 0 when TakeKept has something.
func Kept() *atomic.Uint32 { return &kept.any }

// TakeKept returns the next piece of what the Go runtime has written to a
// descriptor of the library OS; no bytes: there is nothing more.
func TakeKept() (fd int, p []byte) {
	p = make([]byte, keptRoom)
	r := inMetal(takeKept, uintptr(unsafe.Pointer(&p[0])), 0, 0)
	return int(r >> 32), p[:uint32(r)]
}

func takeKept(buf, _, _ uintptr) uintptr {
	kept.mu.lock()
	p := kept.head
	if p == 0 {
		kept.any.Store(0)
		kept.mu.unlock()
		return 0
	}
	kept.head = uintptr(peek64(dmapBase + p))
	if kept.head == 0 {
		kept.tail = 0
	}
	kept.mu.unlock()
	fd, n := uintptr(peek64(dmapBase+p+keptFD)), uintptr(peek64(dmapBase+p+keptLen))
	for i := uintptr(0); i < n; i++ {
		poke8(buf+i, peek8(dmapBase+p+keptData+i))
	}
	freePage(p)
	return fd<<32 | n
}
