package vm

import (
	"io"
	"sync"
	"time"
)

// lineEnd is how long output waits for the end of a line that the other stream
// has begun. A prompt has none.
const lineEnd = 30 * time.Millisecond

// lines keeps the lines of standard output and standard error whole, where both
// go to one terminal or file: the guest's bytes come in small pieces, as its
// serial ports give them.
type lines struct {
	mu    sync.Mutex
	begun *lineWriter   // has written a part of a line; nil: nobody has
	ended chan struct{} // closed when that changes
}

func newLines() *lines { return &lines{ended: make(chan struct{})} }

// writer returns a stream that goes to w; nil: nowhere.
func (l *lines) writer(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return &lineWriter{l, w}
}

type lineWriter struct {
	*lines
	w io.Writer
}

// Write implements io.Writer. It blocks for lineEnd at most, beside w's Write.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for deadline := time.Now().Add(lineEnd); w.begun != nil && w.begun != w; {
		left, ended := time.Until(deadline), w.ended
		if left <= 0 {
			break
		}
		w.mu.Unlock()
		select {
		case <-ended:
		case <-time.After(left):
		}
		w.mu.Lock()
	}
	n, err := w.w.Write(p)
	before := w.begun
	if w.begun = w; len(p) == 0 || p[len(p)-1] == '\n' {
		w.begun = nil
	}
	if w.begun != before {
		close(w.ended)
		w.ended = make(chan struct{})
	}
	return n, err
}
