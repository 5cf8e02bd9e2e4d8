// Hello prints one line. It is the smallest program that does something, and
// the one whose boot time, size and memory are measured.
package main

import "fmt"

func main() {
	fmt.Println("Hello from a Go program")
}
