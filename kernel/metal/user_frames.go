//go:build kiln_linux

package metal

import (
	"sync"
	"unsafe"
)

// The memory of programs. Goroutines may not take metal's locks, and a call of
// metal for every page would cost as much as a system call, so every CPU has a
// few frames at hand. A frame on its way to a program is cleared here, with
// interrupts on.

const frameBatch = 64

type frameCache struct {
	mu sync.Mutex
	n  int
	f  [2 * frameBatch]Frame
}

var frameCaches [maxCPU]frameCache

// frameReserve is what programs must leave of the machine's memory: the kernel's
// own Go heap, which grows with the program's files and connections, has to be
// able to.
func frameReserve() uintptr { return max(4<<20, phys.total/32) }

// tableReserve is what page tables of programs must leave. They take of the
// reserve, because what is to be mapped has been allocated already.
func tableReserve() uintptr { return frameReserve() / 2 }

// PlentyFrames reports whether more than an eighth of the machine's memory is free.
func PlentyFrames() bool { return phys.total-phys.used > phys.total/8 }

// AllocFrame returns a zeroed frame; false: there is no memory left for programs.
func AllocFrame() (Frame, bool) {
	var f [1]Frame
	return f[0], AllocFrames(f[:], true) == 1
}

// AllocFrames fills list with frames and returns how many there were: fewer, if
// there is no memory left for programs. Unless they are zeroed, they have
// anything in them, and the caller overwrites all of them.
func AllocFrames(list []Frame, zeroed bool) int {
	n := takeCached(list, frameReserve())
	if zeroed {
		for _, f := range list[:n] {
			clearPage(dmapBase + uintptr(f))
		}
	}
	return n
}

// takeCached fills list from the CPU's cache, and the cache from metal.
func takeCached(list []Frame, reserve uintptr) (n int) {
	c := &frameCaches[thisCPU().id]
	c.mu.Lock()
	for n < len(list) {
		if c.n == 0 {
			c.n = int(inMetal(takeFrames, uintptr(unsafe.Pointer(&c.f)), frameBatch, reserve))
			if c.n == 0 {
				break
			}
		}
		k := copy(list[n:], c.f[max(0, c.n-(len(list)-n)):c.n])
		c.n -= k
		n += k
	}
	c.mu.Unlock()
	return n
}

// FreeFrame takes back a frame that no program has mapped any more.
func FreeFrame(f Frame) {
	c := &frameCaches[thisCPU().id]
	c.mu.Lock()
	if c.n == len(c.f) {
		c.n -= frameBatch
		inMetal(giveFrames, uintptr(unsafe.Pointer(&c.f[c.n])), frameBatch, 0)
	}
	c.f[c.n] = f
	c.n++
	c.mu.Unlock()
}

// freeFrames is FreeFrame for a list on the heap.
func freeFrames(list []Frame) {
	c := &frameCaches[thisCPU().id]
	c.mu.Lock()
	k := copy(c.f[c.n:max(c.n, frameBatch)], list) // half of it stays free
	c.n += k
	c.mu.Unlock()
	for list = list[k:]; len(list) > 0; list = list[k:] {
		k = min(len(list), giveBatch)
		inMetal(giveFrames, uintptr(unsafe.Pointer(&list[0])), uintptr(k), 0)
	}
}

// giveBatch bounds how long interrupts are off.
const giveBatch = 1024

// takeFrames fills buf with up to n frames, not cleared, and leaves reserve bytes.
func takeFrames(buf, n, reserve uintptr) (got uintptr) {
	phys.mu.lock()
	for got < n && phys.total-phys.used > reserve {
		p := takePage()
		if p == 0 {
			break
		}
		poke64(buf+got*8, uint64(p))
		got++
	}
	phys.mu.unlock()
	return got
}

func giveFrames(buf, n, _ uintptr) uintptr {
	phys.mu.lock()
	for i := uintptr(0); i < n; i++ {
		p := uintptr(peek64(buf + i*8))
		poke64(dmapBase+p, uint64(phys.free))
		phys.free = p
	}
	phys.used -= n * pageSize
	phys.mu.unlock()
	return 0
}

// Bytes returns the frame's memory.
func (f Frame) Bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(dmapBase+uintptr(f))), pageSize)
}

// FrameAt returns the frame behind a page of the kernel's memory, which must stay
// where it is for as long as the frame is used: not on the Go heap, or kept. The
// page is there from then on.
func FrameAt(page []byte) Frame {
	a := uintptr(unsafe.Pointer(&page[0]))
	if len(page) != pageSize || a&(pageSize-1) != 0 {
		panic("metal: FrameAt of what is not a page")
	}
	touchPage(page)
	if a >= dmapBase && a < heapBase {
		return Frame(a - dmapBase)
	}
	e := pteAddr(a, 1, false)
	if e == 0 {
		panic("metal: FrameAt of memory that is not mapped by pages")
	}
	return Frame(atomicLoad64(e) & addrMask)
}

// IsStill reports whether mem is whole pages of a boot archive, whose memory never
// goes nor changes.
func IsStill(mem []byte) bool {
	a := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	if (a|uintptr(len(mem)))&(pageSize-1) != 0 {
		return false
	}
	a -= dmapBase
	for _, s := range bootData.archives {
		if a >= s.start && a < s.end && s.end-a >= uintptr(len(mem)) {
			return true
		}
	}
	return false
}

//go:noinline
func touchPage(page []byte) { touched = page[0] }

var touched byte // written, so that the read is not left out
