package main

import (
	"os"
	"strings"
)

func Example() {
	echo(os.Stdout, strings.NewReader("one\ntwo"), "> ")
	// Output:
	// > 1: one
	// > 2: two
}
