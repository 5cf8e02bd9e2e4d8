package main

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kiln/host/elf/elftest"
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
			static := elftest.File{Type: elf.ET_EXEC, Extra: "end"}.Bytes()
			for name, data := range map[string][]byte{
				"static": static, "cut": static[:len(static)-1],
				"arm":     elftest.File{Type: elf.ET_EXEC, Machine: elf.EM_AARCH64}.Bytes(),
				"library": elftest.File{Type: elf.ET_DYN}.Bytes(),
				"needs":   elftest.File{Type: elf.ET_EXEC, Interp: "/nowhere/ld.so"}.Bytes(),
			} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o777); err != nil {
					return err
				}
			}
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
	binary.LittleEndian.PutUint64(k[32:], 64) // program headers, of which there are none
	binary.LittleEndian.PutUint16(k[54:], 56)
	copy(k[0xe00:], "KILNIMG1")
	return k
}
