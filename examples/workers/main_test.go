package main

import (
	"io"
	"testing"
)

func TestRun(t *testing.T) {
	if err := run(io.Discard, 50, 8, 8); err != nil {
		t.Error(err)
	}
}

func TestExpected(t *testing.T) {
	if got, want := build(4, 6).sum(), expected(4, 6); got != want || want != 5*63 {
		t.Errorf("sum %d, expected %d", got, want)
	}
}
