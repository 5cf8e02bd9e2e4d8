package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTerminal: a terminal at the host's end is one in the machine, by name and
// size, for a linked program and for one of Linux.
func TestTerminal(t *testing.T) {
	needQEMU(t)
	elf := filepath.Join(t.TempDir(), "terminal")
	cmd := exec.Command("go", "build", "-o", elf, "./guests/terminal")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, program := range map[string]string{"linked": "./guests/terminal", "elf": elf} {
		t.Run(name, func(t *testing.T) {
			host, slave := openTerminal(t, 101, 33)
			cmd := exec.Command(kiln, "run", "-q", program)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			slave.Close()
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			got := readUntil(t, host, "name? ")
			host.WriteString("Ada\n")
			got += readUntil(t, host, "got ")
			got += readUntil(t, host, "\n")
			got = strings.ReplaceAll(got, "\r", "")
			for _, want := range []string{
				"0 /dev/console <nil> true 101 33\n1 /dev/console <nil> true 101 33\n2 /dev/console <nil> true 101 33\n",
				"got \"Ada\\n\"\n",
			} {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in %q", want, got)
				}
			}
		})
	}
}

// openTerminal returns a pseudo-terminal's two ends.
func openTerminal(t *testing.T, cols, rows uint16) (host, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	host = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { host.Close() })
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return host, slave
}

// readUntil reads from the terminal up to and with a text.
func readUntil(t *testing.T, f *os.File, text string) string {
	t.Helper()
	f.SetReadDeadline(time.Now().Add(time.Minute))
	var got []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(got), text); {
		if _, err := f.Read(b); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, b...)
	}
	return string(got)
}
