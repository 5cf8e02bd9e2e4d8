// Clock prints the time once a second: the wall clock, monotonic time and
// timers.
//
//	kiln run ./examples/clock -- -n 3
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	n := flag.Int("n", 5, "number of ticks")
	every := flag.Duration("every", time.Second, "time between two ticks")
	flag.Parse()
	if *every <= 0 {
		fmt.Fprintln(os.Stderr, "clock: -every must be more than zero")
		os.Exit(2)
	}
	tick(os.Stdout, *n, *every)
}

// tick prints n lines, each at its time, with how late it is.
func tick(out io.Writer, n int, every time.Duration) {
	began := time.Now()
	t := time.NewTicker(every)
	defer t.Stop()
	for i := range n {
		<-t.C
		now := time.Now()
		late := now.Sub(began) - time.Duration(i+1)*every
		fmt.Fprintf(out, "%s  %d  late by %v\n", now.UTC().Format(time.RFC3339Nano), i+1, late.Round(time.Microsecond))
	}
}
