// Crashoutput dies of a panic after it has asked for the message on standard
// output too.
package main

import (
	"os"
	"runtime/debug"
)

func main() {
	if err := debug.SetCrashOutput(os.Stdout, debug.CrashOptions{}); err != nil {
		println(err.Error())
	}
	panic("on purpose")
}
