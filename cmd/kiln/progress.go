package main

import "fmt"

// progress shows what Kiln is doing, on a terminal only, in a line that is
// gone when it is done. Calling done a second time does nothing.
func (a *app) progress(format string, args ...any) (done func()) {
	if a.quiet || !isTerminal(a.err) {
		return func() {}
	}
	fmt.Fprintf(a.err, "\r\x1b[Kkiln: "+format+" ...", args...)
	shown := true
	return func() {
		if shown {
			fmt.Fprint(a.err, "\r\x1b[K")
			shown = false
		}
	}
}
