//go:build kiln_linux

// Command kernel stands in for the real one.
package main

import _ "kiln/kernel"

func main() { println("the kernel for Linux programs") }
