// Command release builds the kernel for Linux programs that a release of kiln
// carries, into a directory: host/build/prebuilt, from where kiln is built next.
package main

import (
	"context"
	"fmt"
	"os"

	"kiln/host/build"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: release DIRECTORY")
		os.Exit(2)
	}
	file, err := build.WriteReleaseKernel(context.Background(), os.Args[1], build.ELFOptions{Stderr: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
	fmt.Println(file)
}
