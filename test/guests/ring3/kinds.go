//go:build kiln && kiln_linux

package main

import "kiln/kernel/metal"

// kinds: whose the pages are. A still page is never written to, and gives way to an
// owned one.
func kinds() {
	const a, n, rw = 0x40000000, 40, metal.ProtRead | metal.ProtWrite
	mem, err := metal.AllocDMA(n * pageSize)
	if err != nil {
		fail("%v", err)
		return
	}
	for i := range n {
		mem.Bytes[i*pageSize] = byte(i)
	}
	if got := metal.UserMapMemory(a, mem.Bytes, rw, metal.Still); got != n {
		fail("%d still pages", got)
	}
	wantKind(a+pageSize, metal.Still)
	wantWord(a+pageSize, 1)
	if metal.StoreUser64(a+pageSize, 42) {
		fail("a still page is written to")
	}
	metal.UserProtect(a, n*pageSize, 0)
	metal.UserProtect(a, n*pageSize, rw)
	if metal.StoreUser64(a+pageSize, 42) {
		fail("a still page is written to after mprotect")
	}
	own(a+pageSize, 7)
	wantKind(a+pageSize, metal.Owned)
	wantWord(a+pageSize, 7)
	if !metal.StoreUser64(a+pageSize, 42) || mem.Bytes[pageSize] != 1 {
		fail("the copy of a still page is not one: %d", mem.Bytes[pageSize])
	}
	own(a+pageSize, 8) // another is there already
	wantWord(a+pageSize, 42)
	if got := metal.UserMapMemory(a, mem.Bytes, rw, metal.Still); got != 0 {
		fail("%d pages entered where there are some", got)
	}
	metal.UserUnmap(a+8*pageSize, 16*pageSize)
	if there, used := metal.UserPresent(a); there != 0xff0000ff || used&0xff != 2 {
		fail("present: %#x, used %#x", there, used)
	}
	if got, ok := metal.UserMapNew(a, n*pageSize/pageSize, rw); got != 16 || !ok {
		fail("%d new pages", got)
	}
	wantKind(a+8*pageSize, metal.Owned)
	wantWord(a+8*pageSize, 0)
	wantWord(a+2*pageSize, 0) // new pages take the place of still ones
	metal.UserUnmap(a, n*pageSize)
	if _, ok := metal.UserKind(a); ok {
		fail("a page that was unmapped")
	}
	for i := range n {
		if mem.Bytes[i*pageSize] != byte(i) {
			fail("still memory has changed at page %d", i)
		}
	}
}

// own maps a frame that begins with a byte.
func own(addr uintptr, b byte) {
	f, ok := metal.AllocFrame()
	if !ok {
		fail("no frame")
		return
	}
	f.Bytes()[0] = b
	if metal.UserMapFrame(addr, f, metal.ProtRead|metal.ProtWrite) {
		fail("there was no page at %#x", addr)
	}
}

func wantKind(addr uintptr, want metal.Kind) {
	if k, ok := metal.UserKind(addr); !ok || k != want {
		fail("page %#x: kind %d %v, want %d", addr, k, ok, want)
	}
}

func wantWord(addr uint64, want uint64) {
	if v, ok := metal.LoadUser64(addr); !ok || v != want {
		fail("at %#x: %d %v, want %d", addr, v, ok, want)
	}
}
