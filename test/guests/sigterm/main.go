// Sigterm waits for SIGTERM and leaves with a status of its own.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, os.Interrupt)
	fmt.Println("ready")
	fmt.Println("got", <-c)
	os.Exit(7)
}
