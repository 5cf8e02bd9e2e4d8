// Profile takes a CPU profile of a known hot function and checks that it is in
// it.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"
)

//go:noinline
func hot(n int) (x int) {
	for i := 0; i < n; i++ {
		x += i * i
	}
	return x
}

func main() {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	sum := 0
	for start := time.Now(); time.Since(start) < time.Second; {
		sum += hot(100000)
	}
	pprof.StopCPUProfile()
	z, err := gzip.NewReader(&b)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	raw, err := io.ReadAll(z)
	if err != nil || !bytes.Contains(raw, []byte("main.hot")) {
		fmt.Println("the profile does not have main.hot", err, sum)
		os.Exit(1)
	}
	fmt.Println("ok")
}
