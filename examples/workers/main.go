// Workers keeps all CPUs and the garbage collector busy: a pool of goroutines
// takes jobs from a channel, builds a tree of small objects for each, and sends
// back a checksum of it. The total is known beforehand, so corrupted memory
// would show.
//
//	kiln run -c 2 ./examples/workers -- -jobs 500
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"
)

func main() {
	jobs := flag.Int("jobs", 200, "number of jobs")
	workers := flag.Int("workers", 100, "number of goroutines that work")
	depth := flag.Int("depth", 12, "depth of the tree that a job builds")
	flag.Parse()
	if err := run(os.Stdout, *jobs, *workers, *depth); err != nil {
		fmt.Fprintln(os.Stderr, "workers:", err)
		os.Exit(1)
	}
}

// run works through all jobs and checks their results.
func run(out io.Writer, jobs, workers, depth int) error {
	began := time.Now()
	var sum uint64
	for s := range pool(jobs, workers, depth) {
		sum += s
	}
	var want uint64
	for j := range uint64(jobs) {
		want += expected(j, depth)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(out, "%d jobs, %d workers, %d CPUs: %v, %d collections, %d MiB allocated\n",
		jobs, workers, runtime.GOMAXPROCS(0), time.Since(began).Round(time.Millisecond), m.NumGC, m.TotalAlloc>>20)
	if sum != want {
		return fmt.Errorf("the checksum is %d, expected %d", sum, want)
	}
	return nil
}

// pool starts the workers and returns the channel of their results, which is
// closed after the last.
func pool(jobs, workers, depth int) <-chan uint64 {
	todo, results := make(chan uint64), make(chan uint64)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range todo {
				results <- build(j, depth).sum()
			}
		})
	}
	go func() {
		for j := range uint64(jobs) {
			todo <- j
		}
		close(todo)
		wg.Wait()
		close(results)
	}()
	return results
}

// tree is a binary tree.
type tree struct {
	value       uint64
	left, right *tree
}

// build returns a full tree in which every node has the value job+1.
func build(job uint64, depth int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{job + 1, build(job, depth-1), build(job, depth-1)}
}

func (t *tree) sum() uint64 {
	if t == nil {
		return 0
	}
	return t.value + t.left.sum() + t.right.sum()
}

// expected is the sum of build(job, depth): 2^depth-1 nodes.
func expected(job uint64, depth int) uint64 { return (job + 1) * (1<<depth - 1) }
