//go:build kiln && kiln_linux

package main

// Memory of the program: page tables, frames, and the kernel's accesses.

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"kiln/kernel/metal"
)

func copies() {
	const base = 0x700000
	mapNew(base, 2, metal.ProtRead|metal.ProtWrite, nil)
	mapNew(base+2*pageSize, 1, metal.ProtRead, nil)
	buf, back := make([]byte, 3*pageSize), make([]byte, 3*pageSize)
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	for _, n := range []int{0, 1, 7, 8, 9, 63, 64, 65, 127, 200, 4095, 4096, 4097, 2 * pageSize} {
		for _, off := range []int{0, 1, 3, 8, 60} {
			clear(back)
			m := min(n, 2*pageSize-off)
			if got := metal.CopyOut(uint64(base+off), buf[off:off+n]); got != m {
				fail("CopyOut of %d at +%d: %d", n, off, got)
			}
			if got := metal.CopyIn(back[:m], uint64(base+off)); got != m || !bytes.Equal(back[:m], buf[off:off+m]) {
				fail("CopyIn of %d at +%d: %d", m, off, got)
			}
		}
	}
	for off := 1; off < 200; off++ { // up to the end of what is mapped
		for _, extra := range []int{0, 1, 64, 300} {
			if got := metal.CopyIn(back[:off+extra], uint64(base+3*pageSize-off)); got != off {
				fail("CopyIn of %d, %d before the end: %d", off+extra, off, got)
			}
			if got := metal.CopyOut(uint64(base+2*pageSize-off), buf[:off+extra]); got != off {
				fail("CopyOut of %d, %d before a read-only page: %d", off+extra, off, got)
			}
		}
	}
	for _, a := range []uint64{0, 1, 0xffff, 0x10000, nowhere, 0x7fffffffe000, 0x7ffffffff000, 0x7fffffffffff, 1 << 47, 0xffff800000200000, 0xffffffff80400000, 1 << 63, ^uint64(0), ^uint64(7)} {
		for _, n := range []int{1, 8, 64, 3 * pageSize} {
			if got := metal.CopyIn(back[:n], a); got != 0 {
				fail("CopyIn from %#x: %d", a, got)
			}
			if got := metal.CopyOut(a, buf[:n]); got != 0 {
				fail("CopyOut to %#x: %d", a, got)
			}
		}
		if _, ok := metal.LoadUser32(a); ok {
			fail("LoadUser32 of %#x", a)
		}
		if _, ok := metal.CasUser64(a, 0, 0); ok {
			fail("CasUser64 of %#x", a)
		}
	}
	metal.UserUnmap(base, 3*pageSize)

	// A long copy beside the garbage collector and other threads.
	const big = 0x20000000
	mapNew(big, 512, metal.ProtRead|metal.ProtWrite, nil)
	large, again := make([]byte, 512*pageSize), make([]byte, 512*pageSize)
	for i := range large {
		large[i] = byte(i>>12 + i)
	}
	var stop atomic.Bool
	go func() {
		for !stop.Load() {
			runtime.GC()
		}
	}()
	for range 20 {
		if n := metal.CopyOut(big, large); n != len(large) {
			fail("long CopyOut: %d", n)
		}
		clear(again)
		if n := metal.CopyIn(again, big); n != len(large) || !bytes.Equal(large, again) {
			fail("long CopyIn: %d", n)
		}
	}
	stop.Store(true)
	metal.UserUnmap(big, 512*pageSize)
}

// words: atomic accesses by the program and the kernel to the same word.
func words() {
	const n = 200000
	metal.StoreUser64(dataBase, 0)
	var wg sync.WaitGroup
	for range 2 {
		t := newThread(atAdd, dataBase, n)
		wg.Add(1)
		go func() {
			defer wg.Done()
			t.run(nil)
			t.end()
		}()
	}
	for i := 0; i < n; {
		old, ok := metal.LoadUser32(dataBase)
		prev, ok2 := metal.CasUser32(dataBase, old, old+1)
		if !ok || !ok2 {
			fail("no access to a word")
			break
		}
		if prev == old {
			i++
		}
	}
	wg.Wait()
	if v, ok := metal.LoadUser64(dataBase); v != 3*n || !ok {
		fail("the counter is %d, want %d", v, 3*n)
	}
	if v, ok := metal.CasUser64(dataBase, 3*n, 1<<40|5); v != 3*n || !ok {
		fail("CasUser64: %d %v", v, ok)
	}
	if v, ok := metal.LoadUser32(dataBase + 4); v != 1<<8 || !ok {
		fail("LoadUser32: %d %v", v, ok)
	}
	if !metal.StoreUser32(dataBase, 9) {
		fail("StoreUser32")
	}
	if _, ok := metal.LoadUser32(dataBase + 1); ok {
		fail("a word at an odd address")
	}
	mapNew(0x600000, 1, metal.ProtRead, nil)
	if _, ok := metal.CasUser32(0x600000, 0, 1); ok || metal.StoreUser64(0x600000, 1) {
		fail("a word in a read-only page is written")
	}
	metal.UserUnmap(0x600000, pageSize)
}

// tables: what is mapped where.
func tables() {
	const a, far, n = 0x30000000, 0x600000000000, 1500 * pageSize
	mapNew(a, n/pageSize, metal.ProtRead|metal.ProtWrite, nil)
	f, p, ok := metal.UserMapped(a + pageSize)
	if !ok || p != 3 || metal.UserDirty(a+pageSize) {
		fail("UserMapped: %v %v", p, ok)
	}
	if metal.UserMap(a, f, 1, false) {
		fail("a page is mapped twice")
	}
	metal.StoreUser64(a+pageSize, 42)
	if !metal.UserDirty(a + pageSize) {
		fail("a page that was written is clean")
	}
	if got := metal.UserCount(pageSize*16, 1<<46); got < n/pageSize {
		fail("UserCount: %d", got)
	}
	metal.UserProtect(a, n, 0)
	if g, p, ok := metal.UserMapped(a + pageSize); g != f || p != 0 || !ok {
		fail("without rights: %v %v", p, ok)
	}
	if _, ok := metal.LoadUser64(a + pageSize); ok {
		fail("a page without rights is read")
	}
	metal.UserMove(a, far, n)
	if got := metal.UserCount(a, n); got != 0 {
		fail("after moving: %d pages", got)
	}
	metal.UserProtect(far, n, metal.ProtRead)
	if v, ok := metal.LoadUser64(far + pageSize); v != 42 || !ok {
		fail("after moving: %d %v", v, ok)
	}
	if metal.StoreUser64(far+pageSize, 1) {
		fail("a read-only page is written")
	}
	_, free := metal.Memory()
	if got := metal.UserUnmap(1<<46, metal.UserEnd-1<<46); got != n/pageSize {
		fail("UserUnmap: %d pages", got)
	}
	if _, now := metal.Memory(); now < free+n/2 {
		fail("unmapped pages are not free: %d, %d before", now, free)
	}
	// Tables come back.
	for i := range uintptr(2000) {
		at := uintptr(1<<40) + i<<39%(1<<46) + i<<21
		mapNew(at, 1, 3, nil)
		metal.UserUnmap(at&^(1<<39-1), 1<<39)
	}
	if _, now := metal.Memory(); now < free+n/2 {
		fail("page tables are not freed: %d, %d before", now, free)
	}
}

// frames: a program can take all memory but the reserve.
func frames() {
	_, before := metal.Memory()
	var list []metal.Frame
	for {
		f, ok := metal.AllocFrame()
		if !ok {
			break
		}
		if f.Bytes()[100] != 0 {
			fail("a frame that is not clear")
		}
		f.Bytes()[100] = 1
		list = append(list, f)
	}
	total, left := metal.Memory()
	if left < 3<<20 || left > total/8+8<<20 {
		fail("%d of %d bytes are left", left, total)
	}
	for _, f := range list {
		metal.FreeFrame(f)
	}
	if _, after := metal.Memory(); after+4<<20 < before {
		fail("%d bytes free, %d before", after, before)
	}
}

// unmap: a page goes away while another CPU reads it.
func unmap() {
	const page = 0x900000
	f, _ := metal.AllocFrame()
	for i := range uint64(100) {
		word := f.Bytes()
		set := func(v byte) { word[0] = v }
		set(1)
		metal.UserMap(page, f, metal.ProtRead, false)
		t := newThread(atWatch, page, 1)
		done := make(chan bool)
		go func() {
			status, ended := t.run(nil)
			if ended {
				fail("a thread sees %d in a page that was unmapped", status)
			} else if t.Vec != 14 || t.CR2 != page {
				fail("after unmapping: vector %d, address %#x", t.Vec, t.CR2)
			}
			close(done)
		}()
		<-t.there
		if i%2 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		if i%3 == 0 {
			metal.UserProtect(page, pageSize, 0)
			set(2)
		}
		metal.UserUnmap(page, pageSize)
		set(2) // as if it were another's by now
		<-done
		t.end()
	}
	metal.FreeFrame(f)
}

// mixed: all kinds of threads together, with memory coming and going.
func mixed() {
	var wg sync.WaitGroup
	var stop atomic.Bool
	for i := range uint64(4) {
		wg.Add(2)
		t := newThread(atState, i<<30, 30, i&^(noAVX>>3)|4|noAVX)
		go func() {
			defer wg.Done()
			if status, ended := t.run(nil); status != 0 || !ended {
				fail("mixed: wrong %#x, vector %d", status, t.Vec)
			}
		}()
		go func() {
			defer wg.Done()
			at := uintptr(0x40000000 + i<<28)
			for n := 1; !stop.Load(); n = n%700 + 37 {
				mapNew(at, n, 3, nil)
				metal.CopyOut(uint64(at)+5, make([]byte, n*pageSize-5))
				metal.UserProtect(at, uintptr(n)*pageSize, 1)
				if got := metal.UserUnmap(at, uintptr(n)*pageSize); got != n {
					fail("mixed: %d pages, want %d", got, n)
				}
			}
		}()
	}
	end := spinners(1)
	for range 10 {
		time.Sleep(3 * time.Millisecond)
		runtime.GC()
	}
	stop.Store(true)
	wg.Wait()
	end()
}
