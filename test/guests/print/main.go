// Print prints more than pipes hold, one long piece first, while another
// goroutine counts.
package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

func main() {
	var ticks atomic.Int32
	go func() {
		for {
			time.Sleep(10 * time.Millisecond)
			ticks.Add(1)
		}
	}()
	line := strings.Repeat("x", 79) + "\n"
	os.Stdout.WriteString(strings.Repeat(line, 4000))
	for range 1000 {
		fmt.Print(line)
	}
	fmt.Println("done", ticks.Load())
}
