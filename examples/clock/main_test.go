package main

import (
	"strings"
	"testing"
	"time"
)

func TestTick(t *testing.T) {
	var b strings.Builder
	began := time.Now()
	tick(&b, 3, 10*time.Millisecond)
	if d := time.Since(began); d < 30*time.Millisecond {
		t.Errorf("three ticks of 10 ms took %v", d)
	}
	if n := strings.Count(b.String(), "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
}
