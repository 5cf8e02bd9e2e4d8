package scratch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDir(t *testing.T) {
	parent := t.TempDir()
	now := time.Now()
	d, err := newIn(parent, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestSweep(t *testing.T) {
	parent := t.TempDir()
	now := time.Now()
	held, err := newIn(parent, now)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	orphan, err := newIn(parent, now)
	if err != nil {
		t.Fatal(err)
	}
	orphan.lock.Close() // as when its owner is killed
	exists := func(d *Dir) bool { _, err := os.Stat(d.Path); return err == nil }

	sweep(parent, now)
	if !exists(orphan) {
		t.Error("a directory that is a moment old was removed")
	}
	sweep(parent, now.Add(2*settling))
	if exists(orphan) {
		t.Error("the orphan is still there")
	}
	if !exists(held) {
		t.Error("a directory in use was removed")
	}
}
