// Command kiln builds programs as unikernels and runs them in virtual
// machines.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(newApp().main(context.Background(), os.Args[1:])) }
