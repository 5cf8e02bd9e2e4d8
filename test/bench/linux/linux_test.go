package linux

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeBzImage wraps a payload as the kernel's build does: one setup sector
// after the first, and four bytes of length after it.
func fakeBzImage(payload []byte) []byte {
	bz := make([]byte, 1024)
	bz[0x1f1] = 1
	copy(bz[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(bz[0x206:], 0x20f)
	binary.LittleEndian.PutUint32(bz[0x248:], 3)
	binary.LittleEndian.PutUint32(bz[0x24c:], uint32(len(payload)+4))
	return append(append(append(bz, "abc"...), payload...), 1, 2, 3, 4)
}

func TestPayload(t *testing.T) {
	want := []byte("\x02\x21\x4c\x18the kernel")
	if got, err := payload(fakeBzImage(want)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for name, bz := range map[string][]byte{
		"empty":   nil,
		"zeros":   make([]byte, 4096),
		"cut":     fakeBzImage(want)[:1030],
		"huge":    func() []byte { b := fakeBzImage(want); b[0x24f] = 0xff; return b }(),
		"ancient": func() []byte { b := fakeBzImage(want); b[0x206], b[0x207] = 7, 2; return b }(),
	} {
		if _, err := payload(bz); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The kernel itself decides what it accepts; cpio's own tool stands in.
func TestInitramfsReadByCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("cpio is not installed")
	}
	c := exec.Command("cpio", "-tv", "--quiet")
	c.Stdin = bytes.NewReader(Initramfs(append(BaseFiles(), Exec("init", []byte("#!/bin/sh\n")))))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"crw-rw-rw-", "5,   1", "dev/console", "-rwxr-xr-x", " 10 ", "init"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the listing lacks %q:\n%s", want, out)
		}
	}
}

func TestOnceLeavesNothingBehind(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Log: t.Output()}
	dir := filepath.Join(s.Dir, "made")
	calls := 0
	fill := func(fail error) error {
		return s.once(dir, func(tmp string) error {
			calls++
			os.WriteFile(filepath.Join(tmp, "file"), nil, 0o644)
			return fail
		})
	}
	if err := fill(os.ErrInvalid); err == nil {
		t.Error("a failed build gave no error")
	}
	if left, _ := os.ReadDir(s.Dir); len(left) != 0 {
		t.Errorf("a failed build left %v", left)
	}
	for range 2 {
		if err := fill(nil); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "file")); err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
