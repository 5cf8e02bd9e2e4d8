package main

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kiln": main})
}

// The scripts in testdata/script say how the command line behaves where no
// machine is needed. Those that boot machines are in the test directory at the
// top.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": status,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return os.WriteFile(filepath.Join(env.WorkDir, "empty.kiln"), emptyKernel(), 0o666)
		},
	})
}

// status N COMMAND... runs a command that has to end with exit status N.
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

// emptyKernel returns a file that passes for a kernel and has nothing in it.
func emptyKernel() []byte {
	k := make([]byte, 0x1000)
	copy(k, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(k[16:], 2)  // an executable
	binary.LittleEndian.PutUint16(k[18:], 62) // for x86-64
	binary.LittleEndian.PutUint32(k[20:], 1)
	copy(k[0xe00:], "KILNIMG1")
	return k
}
