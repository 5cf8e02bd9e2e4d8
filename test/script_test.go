package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the scripts in the script directory, which boot machines.
//
// Beside testscript's own commands a script has
//
//	status N COMMAND...     run a command that ends with exit status N
//	freeport NAME           put a free TCP port's number into a variable
//	get URL TEXT            fetch a page, which has to contain TEXT; wait for the server
//	machines N              wait until N of this script's machines run
//	empty DIRECTORY         there are no files in it
//
// and the variable MACHINE, a name for its machines.
func TestScript(t *testing.T) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "kiln/cmd/kiln")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building kiln: %v\n%s", err, out)
	}
	goEnv := goEnvironment(t)
	testscript.Run(t, testscript.Params{
		Dir: "script",
		Setup: func(env *testscript.Env) error {
			for name, value := range goEnv {
				env.Setenv(name, value)
			}
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CACHE_HOME", filepath.Join(bin, "cache")) // shared: kernels' sources are prepared once
			env.Setenv("MACHINE", fmt.Sprintf("%s-%d", filepath.Base(env.WorkDir), os.Getpid()))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": status, "freeport": freePort, "get": get, "machines": machines, "empty": empty,
		},
	})
}

// goEnvironment has the go command in a script use the caches of this one.
func goEnvironment(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	env := make(map[string]string)
	if err := json.Unmarshal(out, &env); err != nil {
		t.Fatal(err)
	}
	return env
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get URL TEXT")
	}
	client := http.Client{Timeout: 30 * time.Second}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(args[0])
		if err != nil {
			if time.Now().After(deadline) {
				ts.Fatalf("%v", err)
			}
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if !strings.Contains(string(body), args[1]) {
			ts.Fatalf("%s says %q", args[0], body)
		}
		return
	}
}

func machines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: machines N")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		ts.Logf("machines are not counted: there is no /proc")
		return
	}
	count := 0
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		count = 0
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, name := range lines {
			line, _ := os.ReadFile(name)
			if strings.Contains(string(line), "qemu") && strings.Contains(string(line), "kiln-"+ts.Getenv("MACHINE")+"\x00") {
				count++
			}
		}
		if count == want {
			return
		}
	}
	ts.Fatalf("%d machines run, want %d", count, want)
}

func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty DIRECTORY")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range entries {
		ts.Fatalf("%s is left", e.Name())
	}
}
