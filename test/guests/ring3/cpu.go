//go:build kiln && kiln_linux

package main

// What ring 3 leaves of the CPU: registers, flags, exceptions, the FPU.

import (
	"bytes"
	"sync"

	"kiln/kernel/metal"
)

func registers() {
	for how, name := range []string{"a system call", "a fault", "interrupts"} {
		t := newThread(atRegisters, uint64(how))
		if n, ok := t.run(nil); n != 0 || !ok {
			fail("after %s %d registers are wrong (vector %d at %#x)", name, n, t.Vec, t.IP)
		}
		t.end()
	}
}

func faults() {
	ro, nx := uintptr(0x600000), uintptr(0x601000)
	mapNew(ro, 1, metal.ProtRead, nil)
	mapNew(nx, 1, metal.ProtRead|metal.ProtWrite, nil)
	mapNew(0x602000, 1, 0, nil)
	const kernel, crooked = 0xffff800000200000, 0x8000000000000000
	for _, c := range []struct {
		name     string
		at       uint64
		arg      uint64
		vec, err uint64
		cr2      uint64
	}{
		{"read of nothing", atRead, nowhere, 14, 4, nowhere},
		{"write to nothing", atWrite, nowhere + 8, 14, 6, nowhere + 8},
		{"call of nothing", atCall, nowhere, 14, 0x14, nowhere},
		{"write to a read-only page", atWrite, uint64(ro), 14, 7, uint64(ro)},
		{"call of data", atCall, uint64(nx), 14, 0x15, uint64(nx)},
		{"read without rights", atRead, 0x602000, 14, 4, 0x602000},
		{"write to code", atWrite, codeBase, 14, 7, codeBase},
		{"read of the kernel", atRead, kernel, 14, 5, kernel},
		{"write to the kernel", atWrite, kernel, 14, 7, kernel},
		{"call of the kernel", atCall, kernel, 14, 0x15, kernel},
		{"crooked address", atRead, crooked, 13, 0, 0},
		{"crooked stack", atPushes, crooked, 12, 0, 0},
		{"kernel's stack", atPushes, kernel, 14, 7, kernel - 8},
		{"divide by 0", atDivide, 0, 0, 0, 0},
		{"breakpoint", atBreakpoint, 0, 3, 0, 0},
		{"int $0x80", atInt80, 0, 13, 0x80<<3 | 2, 0},
		{"int $2", atInt2, 0, 13, 2<<3 | 2, 0},
		{"int $8", atInt8, 0, 13, 8<<3 | 2, 0},
		{"int $14", atInt14, 0, 13, 14<<3 | 2, 0},
		{"int of the timer", atInt64, 0, 13, 64<<3 | 2, 0},
		{"hlt", atHlt, 0, 13, 0, 0},
		{"cli", atCli, 0, 13, 0, 0},
		{"sti", atSti, 0, 13, 0, 0},
		{"in", atIn, 0, 13, 0, 0},
		{"out", atOut, 0, 13, 0, 0},
		{"rdmsr", atRdmsr, 0, 13, 0, 0},
		{"wrmsr", atWrmsr, 0, 13, 0, 0},
		{"control register", atMovcr, 0, 13, 0, 0},
		{"debug register", atMovdr, 0, 13, 0, 0},
		{"lgdt", atLgdt, dataBase, 13, 0, 0},
		{"xsetbv", atXsetbv, 0, 13, 0, 0},
		{"swapgs", atSwapgs, 0, 13, 0, 0},
		{"sysret", atSysret, codeBase, 13, 0, 0},
		{"invlpg", atInvlpg, codeBase, 13, 0, 0},
		{"local descriptor", atLdt, 0, 13, 0xc, 0},
		{"task state segment", atTss, 0, 13, 0x28, 0},
	} {
		t := newThread(c.at, c.arg)
		_, ended := t.run(nil)
		// QEMU has its own mind about a crooked stack, and about the vector in an
		// error code.
		if c.vec == 12 && t.Vec == 13 {
			t.Vec = 12
		}
		if c.err&7 == 2 && t.Err == (c.err&^7)*2+2 {
			t.Err = c.err
		}
		if t.faults != 0 {
			continue // an instruction that this CPU does not have
		}
		if ended || t.Vec != c.vec || t.Err != c.err || c.vec == 14 && t.CR2 != c.cr2 {
			fail("%s: ended %v, vector %d, error %#x, address %#x; want %d, %#x, %#x", c.name, ended, t.Vec, t.Err, t.CR2, c.vec, c.err, c.cr2)
		}
		t.end()
	}
	for _, at := range []uint64{atFarret, atIret} { // a page fault in QEMU
		if _, ended := newThread(at).run(nil); ended {
			fail("a return to the kernel's code segment came through")
		}
	}
	if t := newThread(atSegments); true {
		if status, ended := t.run(nil); status != 99 || !ended {
			fail("null selectors: vector %d, error %#x", t.Vec, t.Err)
		}
	}
	if t := newThread(atSysenter); true { // #UD on AMD
		if _, ended := t.run(nil); t.Vec != 13 && !(ended && t.faults == 1) {
			fail("sysenter: vector %d", t.Vec)
		}
	}
	metal.UserUnmap(ro, 3*pageSize)
}

// flags: whatever a program sets, only its own flags change.
func flags() {
	const always, iff, iopl, nt, df, ac, id, rf = 2, 0x200, 0x3000, 0x4000, 0x400, 1 << 18, 1 << 21, 1 << 16
	for _, set := range []uint64{0, df, ac, id, nt, iopl, df | ac | id | nt | iopl} {
		t := newThread(atFlags, set)
		got, ended := t.run(nil)
		if !ended || got&(iopl|nt|rf) != 0 || got&(df|ac|id) != set&(df|ac|id) || got&(iff|always) != iff|always {
			fail("flags %#x became %#x (vector %d)", set, got, t.Vec)
		}
		t.end()
	}
	t := newThread(atCalls, 1)
	t.Flags = ^uint64(0) &^ 0x100
	if _, ended := t.run(nil); !ended {
		fail("all flags set: vector %d", t.Vec)
	}
	t = newThread(atStep)
	for i := range 3 {
		if _, ended := t.run(nil); ended || t.Vec != 1 {
			fail("single step %d: vector %d", i, t.Vec)
			break
		}
	}
}

// addresses: IP, FS and GS may be anything at all.
func addresses() {
	strange := []uint64{0, 1, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000, 0xffff7fffffffffff, 0xffff800000000000, 0xffffffff80400000, ^uint64(0), 1 << 63}
	for _, a := range strange {
		for _, vec := range []uint64{0, metal.VecSyscall} {
			t := metal.NewUserRegs()
			t.IP, t.Vec = a, vec
			if why := metal.Enter(t); why != metal.ExitFault || t.Vec != 13 && t.Vec != 14 {
				fail("IP %#x: exit %d, vector %d", a, why, t.Vec)
			}
			t = newThread(atCalls, 2).UserRegs
			t.SP, t.FS, t.GS, t.Vec = a, a, ^a, vec
			if why := metal.Enter(t); why != metal.ExitSyscall || t.SP != a {
				fail("SP, FS, GS %#x: exit %d, vector %d, SP %#x", a, why, t.Vec, t.SP)
			}
		}
	}
	for _, a := range []uint64{0x10000, 0x1fff000, 0x7fffffffe000} {
		mapNew(uintptr(a), 1, 7, bytes.Repeat([]byte{0x0f, 0x05}, pageSize/2))
		t := newThread(atLeave, a+pageSize-2)
		if why := metal.Enter(t.UserRegs); why != metal.ExitSyscall || t.IP != a+pageSize {
			fail("call at the end of the page %#x: exit %d, IP %#x", a, why, t.IP)
		}
		if why := metal.Enter(t.UserRegs); why != metal.ExitFault || t.Vec != 14 || t.CR2 != a+pageSize {
			fail("after the end of the page %#x: exit %d, vector %d, address %#x", a, why, t.Vec, t.CR2)
		}
		metal.UserUnmap(uintptr(a), pageSize)
	}
}

// state: threads with different FPU states and segment bases share the CPUs.
func state() {
	var wg sync.WaitGroup
	id := uint64(0)
	for _, how := range []uint64{0, 4, 8} {
		for _, flags := range []uint64{0, 1, 2, 3} {
			if flags&2 != 0 && noAVX != 0 {
				continue
			}
			id++
			t := newThread(atState, id<<20, 40, flags|how|noAVX)
			wg.Add(1)
			go func() {
				defer wg.Done()
				if status, ended := t.run(nil); status != 0 || !ended {
					fail("state with flags %d: wrong %#x (vector %d, IP %#x)", flags|how, status, t.Vec, t.IP-codeBase)
				}
				t.end()
			}()
		}
	}
	wg.Wait()
}

// noAVX is a flag of state's in user.S.
var noAVX = func() uint64 {
	if len(metal.NewUserRegs().FPState()) > 576 {
		return 0
	}
	return 16
}()

// images: the FPU state can be taken and set.
func images() {
	flags := uint64(7)
	if noAVX != 0 {
		flags = 5 | noAVX
	}
	t := newThread(atState, 77<<20, 1000000, flags)
	metal.Enter(t.UserRegs)
	for range 3 {
		metal.Enter(t.UserRegs)
	}
	im := bytes.Clone(t.FPState())
	if !bytes.Equal(im[160:168], []byte{0, 0, 0xd0, 4, 0, 0, 0, 0}) { // 77<<20
		fail("XMM0 in the image: % x", im[160:176])
	}
	if im[0] != 0x7f || im[1] != 2 || im[512]&3 != 3 {
		fail("control word % x, components %#x", im[:2], im[512])
	}
	if err := t.SetFPState(im); err != nil {
		fail("an image is refused: %v", err)
	}
	t.SI, t.R13 = 3, 3
	if status, ended := t.run(nil); status != 0 || !ended {
		fail("after setting the image: wrong %#x, vector %d", status, t.Vec)
	}
	for _, at := range []int{26, 513, 520, 519} { // MXCSR, XSTATE_BV, XCOMP_BV
		bad := bytes.Clone(im)
		bad[at] = 0xff
		if t.SetFPState(bad) == nil {
			fail("an image with 0xff at %d is taken", at)
		}
	}
	if t.SetFPState(im[:100]) == nil || t.SetFPState(nil) == nil || t.SetFPState(im[:513]) == nil {
		fail("a short image is taken")
	}
	bad := bytes.Repeat([]byte{0xff}, len(im)) // not refused for its contents
	copy(bad[24:32], im[24:32])
	copy(bad[512:576], im[512:576])
	if err := t.SetFPState(bad); err != nil {
		fail("strange numbers are refused: %v", err)
	}
	u := newThread(atCalls, 1)
	u.CopyFPFrom(t.UserRegs)
	if _, ended := u.run(nil); !ended || !bytes.Equal(u.FPState()[160:416], bad[160:416]) {
		fail("a copied state is lost (vector %d)", u.Vec)
	}
	if err := t.SetFPState(im[:512]); err != nil {
		fail("an FXSAVE image is refused: %v", err)
	}
}
