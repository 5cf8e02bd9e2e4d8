package test

import (
	"os/exec"
	"testing"
)

// otherToolchain is of the Go minor release that the tests do not run with.
const otherToolchain = "go1.27.4"

// TestOtherToolchain boots programs built with the other supported Go release.
func TestOtherToolchain(t *testing.T) {
	needQEMU(t)
	t.Setenv("GOTOOLCHAIN", otherToolchain)
	if out, err := exec.Command("go", "version").CombinedOutput(); err != nil {
		t.Skipf("%s cannot be had here: %v\n%s", otherToolchain, err, out)
	}
	boot(t, "", "./examples/hello").want(t, 0, "Hello from a Go program\n")
	boot(t, "", "-c", "2", "./test/guests/machine").want(t, 0, "cpus 2\nok\n")
	boot(t, "", "./test/guests/soak", "--", "http").want(t, 0, "ok\n")
}

func TestUnknownToolchain(t *testing.T) {
	needQEMU(t)
	t.Setenv("GOTOOLCHAIN", "go1.25.0")
	if out, err := exec.Command("go", "version").CombinedOutput(); err != nil {
		t.Skipf("go1.25.0 cannot be had here: %v\n%s", err, out)
	}
	r := boot(t, "", "./examples/hello")
	if r.status != 125 || r.stdout != "" || r.stderr == "" {
		t.Errorf("status %d, want 125; stdout %q, stderr %q", r.status, r.stdout, r.stderr)
	}
}
