package test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readmeCommands returns the indented lines of README.md.
func readmeCommands(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if cmd, ok := strings.CutPrefix(line, "    "); ok {
			list = append(list, strings.TrimSpace(cmd))
		}
	}
	return list
}

// TestReadme runs every command of README.md, in order.
func TestReadme(t *testing.T) {
	needQEMU(t)
	t.Cleanup(func() { os.Remove("../hello.krn") })
	list := readmeCommands(t)
	if len(list) < 10 {
		t.Fatalf("README.md has only %d commands", len(list))
	}
	for _, line := range list {
		t.Run(line, func(t *testing.T) {
			switch {
			case line == "make test":
				line = "make -n test" // this very test is part of it
			case strings.Contains(line, "-p 8080:8080"):
				server(t, line)
				return
			}
			shell(t, line)
		})
	}
}

// shell runs a line in the repository's root, with the kiln under test.
func shell(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", strings.ReplaceAll(line, "bin/kiln ", kiln+" "))
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// server runs a line that does not end by itself, and ends it with SIGINT.
func server(t *testing.T, line string) {
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err != nil {
		t.Skip("port 8080 of this host is taken:", err)
	} else {
		l.Close()
	}
	cmd := exec.Command("sh", "-ec", "exec "+strings.ReplaceAll(line, "bin/kiln ", kiln+" "))
	cmd.Dir = ".."
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	answer := fetch(t, "http://127.0.0.1:8080/", ended)
	if !strings.Contains(answer, "Hello") {
		t.Errorf("the web server answered %q", answer)
	}
	cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-ended:
		if status := cmd.ProcessState.ExitCode(); status != 0 {
			t.Errorf("status %d after SIGINT", status)
		}
	case <-time.After(time.Minute):
		cmd.Process.Kill()
		t.Error("the web server did not end after SIGINT")
	}
}

// fetch asks until the server answers or has ended.
func fetch(t *testing.T, url string, ended <-chan error) string {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		if out, err := exec.Command("curl", "-fsS", "--max-time", "2", url).Output(); err == nil {
			return string(out)
		}
	}
	t.Fatal("no answer")
	return ""
}
