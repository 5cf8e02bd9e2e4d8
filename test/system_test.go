package test

import (
	"strings"
	"testing"
)

// TestSystemCalls runs the checks of guests/system.
func TestSystemCalls(t *testing.T) {
	boot(t, "", "./test/guests/system").want(t, 0, "ok\n")
}

// TestNoOtherProgram: what starts a process fails with an error that says why,
// and once a line on standard error.
func TestNoOtherProgram(t *testing.T) {
	r := boot(t, "", "./test/guests/exec")
	const cannot = "fork/exec /tmp/tool: a unikernel runs one program and cannot start another"
	const enosys = "function not implemented\n"
	r.want(t, 0, "exec: \"no-such-tool\": executable file not found in $PATH\n"+cannot+" true true\n"+cannot+"\n"+enosys+enosys+enosys)
	const line = "kiln: a unikernel runs one program: this one cannot start another (exec of /tmp/tool)\n"
	if strings.Count(r.stderr, "kiln:") != 1 || !strings.Contains(r.stderr, line) {
		t.Errorf("standard error: %q", r.stderr)
	}
}

// TestCrashOutput: a crash goes to a copy of standard output as well.
func TestCrashOutput(t *testing.T) {
	r := boot(t, "", "./test/guests/crashoutput")
	for _, text := range []string{r.stdout, r.stderr} {
		if r.status != 2 || !strings.Contains(text, "panic: on purpose") || !strings.Contains(text, "main.main()") {
			t.Errorf("status %d, want 2; output %q, errors %q", r.status, r.stdout, r.stderr)
		}
	}
}

func TestUnixSocketsWithoutNet(t *testing.T) {
	boot(t, "", "./test/guests/unixsocket").want(t, 0, "hello, address family not supported by protocol\n")
}
