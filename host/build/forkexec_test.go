package build

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHookForkExec(t *testing.T) {
	var src []byte
	for _, file := range goFiles(t, "syscall") {
		if filepath.Base(file) == filepath.Base(forkExecFile) {
			src, _ = os.ReadFile(file)
		}
	}
	hooked, err := hookForkExec(src, "go1.26")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), forkExecFile, hooked, 0); err != nil {
		t.Fatal(err)
	}
	body := string(hooked)[strings.Index(string(hooked), "func forkExec("):]
	if ask, lock := strings.Index(body, "RawSyscall(SYS_EXECVE"), strings.Index(body, "\n\tacquireForkLock()"); ask < 0 || lock < ask {
		t.Error("forkExec does not ask the kernel before it takes the lock")
	}
	for _, changed := range []string{strings.Replace(string(src), "acquireForkLock()", "lock()", 1), strings.Replace(string(src), "argv0p, err", "p, err", 1)} {
		if _, err := hookForkExec([]byte(changed), "go1.26.99"); err == nil || !strings.Contains(err.Error(), "go1.26.99") {
			t.Errorf("error %v for a file that has changed", err)
		}
	}
}
