//go:build kiln && kiln_linux

// Ring3 checks what metal offers for Linux programs: it maps code (asm/user.S) into
// the lower half of the address space and runs it in ring 3. It prints the number of
// CPUs, and "ok" if all is right. Measurements go to standard error. Arguments name
// the checks to make, in place of all.
package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"kiln/kernel/metal"
)

// Where things are in the lower half.
const (
	codeBase  = 0x400000
	dataBase  = 0x500000
	stackBase = 0x10000000
	stackSize = 0x4000
	pageSize  = 4096
)

var (
	failed atomic.Bool
	begin  = time.Now() // not local: a closure would bring in all of package time
)

func fail(format string, args ...any) {
	failed.Store(true)
	fmt.Printf(format+"\n", args...)
}

func main() {
	metal.ProgramEnded() // the status is this program's own
	fmt.Println("cpus", runtime.NumCPU())
	setup()
	for _, t := range []struct {
		name string
		run  func()
	}{
		{"registers", registers},
		{"faults", faults},
		{"flags", flags},
		{"addresses", addresses},
		{"state", state},
		{"FP images", images},
		{"copies", copies},
		{"words", words},
		{"tables", tables},
		{"kinds", kinds},
		{"frames", frames},
		{"kick", kick},
		{"kick race", kickRace},
		{"spinning", spinning},
		{"interrupts", interrupts},
		{"NMI", nmi},
		{"random", random},
		{"unmap", unmap},
		{"mixed", mixed},
		{"speed", speed},
	} {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], t.name) {
			continue
		}
		start := time.Now()
		t.run()
		fmt.Fprintln(os.Stderr, t.name, time.Since(start).Round(time.Microsecond))
	}
	if !failed.Load() {
		fmt.Println("ok")
	}
}

// setup maps the code and one page of data.
func setup() {
	mapNew(codeBase, (len(code)+pageSize-1)/pageSize, metal.ProtRead|metal.ProtExec, []byte(code))
	mapNew(dataBase, 1, metal.ProtRead|metal.ProtWrite, nil)
}

// mapNew maps n new pages that start with data.
func mapNew(addr uintptr, n int, prot metal.Prot, data []byte) {
	for ; n > 0; n-- {
		f, ok := metal.AllocFrame()
		if !ok {
			fail("no memory for the program")
			return
		}
		data = data[copy(f.Bytes(), data):]
		if !metal.UserMap(addr, f, prot, true) {
			fail("something is mapped at %#x", addr)
		}
		addr += pageSize
	}
}

// A thread is one in ring 3.
type thread struct {
	*metal.UserRegs
	stack                uintptr
	calls, faults, kicks int
	there                chan struct{}
}

var nstack atomic.Uintptr

func newThread(at uint64, args ...uint64) *thread {
	stack := stackBase + nstack.Add(1)*2*stackSize
	t := &thread{UserRegs: metal.NewUserRegs(), stack: stack, there: make(chan struct{}, 1)}
	mapNew(stack, stackSize/pageSize, metal.ProtRead|metal.ProtWrite, nil)
	t.IP, t.SP = codeBase+at, uint64(stack)+stackSize-64
	for i, a := range args {
		*[]*uint64{&t.DI, &t.SI, &t.DX}[i] = a
	}
	return t
}

// end frees the thread's stack.
func (t *thread) end() { metal.UserUnmap(t.stack, stackSize) }

const ud2Length = 2

// run runs the thread until it ends, faults, or is kicked with stop set. An
// invalid instruction is passed over.
func (t *thread) run(stop *atomic.Bool) (status uint64, ended bool) {
	for {
		switch metal.Enter(t.UserRegs) {
		case metal.ExitSyscall:
			t.calls++
			switch t.AX {
			case 1:
				return t.DI, true
			case 2:
				t.there <- struct{}{}
			}
			t.AX = 0
		case metal.ExitFault:
			if t.Vec != 6 {
				return 0, false
			}
			t.faults++
			t.IP += ud2Length
			t.AX = 0
		case metal.ExitKick:
			t.kicks++
			if stop != nil && stop.Load() {
				return 0, false
			}
		}
	}
}

const nowhere = 0x123456000
