//go:build !kiln || !kiln_linux

package main

// main is empty where the program is not a kernel for Linux programs.
func main() {}
