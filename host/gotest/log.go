package gotest

import (
	"bytes"
	"io"
	"sync"
)

// testLog takes the output of a test binary, standard output and standard
// error together. It passes it on as it comes, or keeps it until flush. Both
// streams write to it at the same time.
type testLog struct {
	stream bool
	out    io.Writer

	mu      sync.Mutex
	kept    bytes.Buffer
	recent  []byte // the last bytes, to find what spans two writes
	noTests bool   // noTests has been seen
	any     bool   // anything has
}

// noTests is what a test binary says if -run matched nothing.
const noTests = "testing: warning: no tests to run"

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.any = l.any || len(p) > 0
	l.recent = append(l.recent, p...)
	if bytes.Contains(l.recent, []byte(noTests)) {
		l.noTests = true
	}
	if n := len(l.recent) - len(noTests); n > 0 {
		l.recent = append(l.recent[:0], l.recent[n:]...)
	}
	if l.stream {
		return l.out.Write(p)
	}
	return l.kept.Write(p)
}

// flush passes on what was kept.
func (l *testLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.WriteTo(l.out)
}
