package test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMonitor drives QEMU's monitor, on a machine with ACPI and without kiln
// around it: an NMI makes the kernel say where it is and go on; the power
// button is SIGTERM; the program's end switches the machine off.
func TestMonitor(t *testing.T) {
	needQEMU(t)
	dir := t.TempDir()
	kernel, console := filepath.Join(dir, "k.krn"), filepath.Join(dir, "console")
	if shell(t, "bin/kiln build -q ./test/guests/sigterm -o "+kernel); t.Failed() {
		return
	}
	cmd := exec.Command("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "128", "-smp", "2",
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "file:"+console, "-monitor", "stdio",
		"-no-reboot", "-kernel", kernel)
	monitor, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	await(t, console, "ready\n")
	io.WriteString(monitor, "nmi\n")
	await(t, console, "kiln: NMI\n")
	io.WriteString(monitor, "system_powerdown\n")
	await(t, console, "got terminated\n")
	select {
	case err := <-ended:
		if err != nil {
			t.Error("QEMU:", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the machine was not switched off when its program had ended")
	}
}

// await returns when a file has some text.
func await(t *testing.T, file, text string) {
	t.Helper()
	var b []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if b, _ = os.ReadFile(file); bytes.Contains(b, []byte(text)) {
			return
		}
	}
	t.Fatalf("%q does not come; the console has\n%s", strings.TrimSpace(text), b)
}
