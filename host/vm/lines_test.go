package vm

import (
	"bytes"
	"testing"
	"time"
)

func TestLines(t *testing.T) {
	var both bytes.Buffer
	l := newLines()
	out, err := l.writer(&both), l.writer(&both)
	out.Write([]byte("one "))
	written := make(chan struct{})
	go func() {
		defer close(written)
		err.Write([]byte("error\n"))
	}()
	time.Sleep(lineEnd / 6)
	out.Write([]byte("line\n"))
	<-written
	if got := both.String(); got != "one line\nerror\n" {
		t.Errorf("%q", got)
	}
}

// TestPrompt: what has no end holds the other stream up for a moment only.
func TestPrompt(t *testing.T) {
	var both bytes.Buffer
	l := newLines()
	out, err := l.writer(&both), l.writer(&both)
	out.Write([]byte("> "))
	start := time.Now()
	err.Write([]byte("error"))
	if d := time.Since(start); d < lineEnd || both.String() != "> error" {
		t.Errorf("%q after %v", both.String(), d)
	}
	if n, e := l.writer(nil).Write([]byte("x")); n != 1 || e != nil {
		t.Errorf("nowhere: %d, %v", n, e)
	}
}
