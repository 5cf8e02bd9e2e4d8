// Machine checks, from inside a guest, that the Go runtime gets from the machine
// what it expects: timers, preemption, parallelism, garbage collection, faults
// as panics, floating point across context switches. It prints what fails and
// exits with the number of failures.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var failures int

func check(ok bool, format string, args ...any) {
	if !ok {
		failures++
		fmt.Printf("FAIL "+format+"\n", args...)
	}
}

func main() {
	for _, f := range []func(){clock, timers, channels, collection, stacks, floats, preemption, faults, memory, mappings, threads, randomness, deadlines} {
		f()
	}
	fmt.Printf("cpus %d\n", runtime.NumCPU())
	if failures == 0 {
		fmt.Println("ok")
	}
	os.Exit(failures)
}

func clock() {
	now := time.Now()
	check(now.Year() >= 2024 && now.Year() < 2100, "the wall clock says %v", now)
	last := now
	for i := 0; i < 100000; i++ {
		t := time.Now()
		if t.Before(last) {
			check(false, "time went backwards by %v", last.Sub(t))
			return
		}
		last = t
	}
}

func timers() {
	for _, d := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		start := time.Now()
		time.Sleep(d)
		check(time.Since(start) >= d, "Sleep(%v) took only %v", d, time.Since(start))
	}
	start := time.Now()
	var wg sync.WaitGroup
	for i := 0; i < 500; i++ {
		wg.Go(func() { time.Sleep(time.Duration(50+i%50) * time.Millisecond) })
	}
	wg.Wait()
	check(time.Since(start) < 5*time.Second, "500 sleeps of 50-100 ms side by side took %v", time.Since(start))
}

func channels() {
	c := make(chan int)
	for i := 0; i < 200; i++ {
		go func() {
			for j := 0; j < 100; j++ {
				c <- j
			}
		}()
	}
	sum := 0
	for i := 0; i < 200*100; i++ {
		sum += <-c
	}
	check(sum == 200*4950, "channels lost messages: %d", sum)
}

type node struct {
	l, r *node
	v    [4]int
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{v: [4]int{1, 1, 1, 1}}
	}
	return &node{l: tree(depth - 1), r: tree(depth - 1), v: [4]int{1, 1, 1, 1}}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return n.v[3] + n.l.count() + n.r.count()
}

func collection() {
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Go(func() {
			for j := 0; j < 5; j++ {
				if n := tree(13).count(); n != 1<<14-1 {
					check(false, "a tree of %d nodes has %d", 1<<14-1, n)
				}
			}
		})
	}
	wg.Wait()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	check(m.NumGC > 0, "the collector never ran")
	check(debug.SetMemoryLimit(-1) < math.MaxInt64, "GOMEMLIMIT is not set from the machine's memory")
}

func deep(n int) int {
	var pad [64]int
	pad[n%64] = n
	if n == 0 {
		return pad[0]
	}
	return deep(n-1) + pad[n%64]
}

func stacks() {
	check(deep(20000) == 20000*20001/2, "deep recursion gave a wrong sum")
}

func floats() {
	var wg sync.WaitGroup
	var bad atomic.Int32
	for g := 0; g < 8; g++ {
		wg.Go(func() {
			x, y := float64(g), float64(g)
			for i := 0; i < 300000; i++ {
				x = math.Sqrt(x*x+1) - 0.5
				y = math.Sqrt(y*y+1) - 0.5
			}
			if x != y {
				bad.Add(1)
			}
		})
	}
	wg.Wait()
	check(bad.Load() == 0, "%d goroutines lost floating-point state", bad.Load())
}

// preemption: loops without a preemption point must not stop others.
func preemption() {
	var stop atomic.Bool
	for i := 0; i < 2*runtime.GOMAXPROCS(0); i++ {
		go func() {
			for x := 0; ; x++ {
				if x&(1<<20-1) == 0 && stop.Load() {
					return
				}
			}
		}()
	}
	start := time.Now()
	for i := 0; i < 3; i++ {
		time.Sleep(5 * time.Millisecond)
	}
	runtime.GC()
	check(time.Since(start) < 20*time.Second, "three sleeps and a collection beside tight loops took %v", time.Since(start))
	stop.Store(true)
}

func faults() {
	err := recovered(func() { *(*int)(nil) = 1 })
	check(err != nil && err.Error() == "runtime error: invalid memory address or nil pointer dereference", "a nil dereference gave %v", err)
	zero := failures &^ failures
	err = recovered(func() { failures += 1 / zero })
	check(err != nil && err.Error() == "runtime error: integer divide by zero", "a division by zero gave %v", err)
}

func recovered(f func()) (err error) {
	defer func() {
		if r, ok := recover().(error); ok {
			err = r
		}
	}()
	f()
	return nil
}

// memory: what is freed must really be free.
func memory() {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		check(false, "sysinfo: %v", err)
		return
	}
	size := int(info.Totalram / 4)
	for i := 0; i < 8; i++ {
		b := make([]byte, size)
		for j := 0; j < len(b); j += 4096 {
			b[j] = 1
		}
		b = nil
		debug.FreeOSMemory()
	}
}

func mappings() {
	b, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		check(false, "mmap: %v", err)
		return
	}
	b[5000] = 7
	if err := syscall.Mprotect(b, syscall.PROT_READ); err != nil {
		check(false, "mprotect: %v", err)
	}
	check(b[5000] == 7 && b[0] == 0, "mprotect changed memory")
	old := debug.SetPanicOnFault(true)
	check(recovered(func() { b[5000] = 8 }) != nil, "a write to read-only memory went through")
	debug.SetPanicOnFault(old)
	p := &b[5000]
	if err := syscall.Munmap(b); err != nil {
		check(false, "munmap: %v", err)
	}
	old = debug.SetPanicOnFault(true)
	check(recovered(func() { *p = 8 }) != nil, "a write to unmapped memory went through")
	debug.SetPanicOnFault(old)
}

func threads() {
	var wg sync.WaitGroup
	for i := 0; i < 60; i++ {
		wg.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			time.Sleep(time.Millisecond)
		})
	}
	wg.Wait()
}

func randomness() {
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	_, err1 := rand.Read(a)
	_, err2 := rand.Read(b)
	check(err1 == nil && err2 == nil && string(a) != string(b), "random: %v, %v", err1, err2)
	var counts [256]int
	for _, x := range a {
		counts[x]++
	}
	for v, n := range counts {
		check(n > 128 && n < 512, "byte %d occurs %d times in 64 KiB", v, n)
	}
}

// deadlines: the netpoller on pipes.
func deadlines() {
	r, w, err := os.Pipe()
	if err != nil {
		check(false, "pipe: %v", err)
		return
	}
	r.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = r.Read(make([]byte, 1))
	check(errors.Is(err, os.ErrDeadlineExceeded), "a read past its deadline gave %v", err)
	r.SetReadDeadline(time.Time{})
	go func() {
		time.Sleep(5 * time.Millisecond)
		w.Write([]byte("hello"))
		w.Close()
	}()
	got, err := io.ReadAll(r)
	check(err == nil && string(got) == "hello", "a pipe gave %q, %v", got, err)
}
