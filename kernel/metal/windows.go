package metal

import (
	"sync"
	"syscall"
	"unsafe"
)

// Windows gives out memory from outside the Go heap by whole pages, which exist
// from their first use on. It implements fs.Memory. Its zero value is ready.
//
// Addresses that have been given back are given out again to who asks for the
// same size, because metal itself never uses an address twice, and keeps the page
// tables of all.
type Windows struct {
	mu   sync.Mutex // guards free
	free map[int][]uintptr
}

// Reserve returns n bytes of zeroed memory; n is a multiple of the page size.
func (w *Windows) Reserve(n int) ([]byte, error) {
	w.mu.Lock()
	hint := uintptr(0)
	if list := w.free[n]; len(list) > 0 {
		hint = list[len(list)-1]
		w.free[n] = list[:len(list)-1]
	}
	w.mu.Unlock()
	const prot, flags = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_ANON
	addr := trapSyscall(syscall.SYS_MMAP, hint, uintptr(n), prot, flags, ^uintptr(0), 0)
	if isErr(addr) {
		return nil, syscall.Errno(-addr)
	}
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&addr))), n), nil
}

// Discard makes whole pages of it zero, and frees them.
func (w *Windows) Discard(p []byte) {
	trapSyscall(syscall.SYS_MADVISE, windowAddr(p), uintptr(len(p)), syscall.MADV_DONTNEED, 0, 0, 0)
}

// Release gives back what Reserve returned.
func (w *Windows) Release(p []byte) {
	addr := windowAddr(p)
	trapSyscall(syscall.SYS_MUNMAP, addr, uintptr(len(p)), 0, 0, 0, 0)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free == nil {
		w.free = make(map[int][]uintptr)
	}
	w.free[len(p)] = append(w.free[len(p)], addr)
}

func windowAddr(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }
