package build

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// goFiles returns the files of a package for linux/amd64.
func goFiles(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", "{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}\n{{end}}", pkg)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

func callsByName() map[string]string {
	m := map[string]string{}
	for _, c := range calls {
		m[c.name] = c.args
	}
	return m
}

// The table has all numbers that the syscall packages know, under their names.
func TestCallsAreComplete(t *testing.T) {
	names := map[int]string{}
	for i, c := range calls {
		if i > 0 && c.number <= calls[i-1].number {
			t.Errorf("%s is out of order", c.name)
		}
		if strings.Trim(c.args, "ip") != "" || len(c.args) > 6 {
			t.Errorf("%s: bad arguments %q", c.name, c.args)
		}
		names[c.number] = c.name
	}
	constant := regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s*=\s*(\d+)$`)
	seen := 0
	for _, pkg := range []string{"syscall", "golang.org/x/sys/unix"} {
		for _, file := range goFiles(t, pkg) {
			if filepath.Base(file) != "zsysnum_linux_amd64.go" {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range constant.FindAllStringSubmatch(string(data), -1) {
				n, _ := strconv.Atoi(m[2])
				seen++
				if names[n] != strings.ToLower(m[1]) {
					t.Errorf("call %d is %q, want %q as in %s", n, names[n], strings.ToLower(m[1]), pkg)
				}
			}
		}
	}
	if seen < 600 {
		t.Errorf("found only %d numbers", seen)
	}
}

// Whatever the syscall packages pass as a pointer is one in the table.
func TestCallsAgreeWithSyscallPackages(t *testing.T) {
	pointer := regexp.MustCompile(`unsafe\.Pointer\(|^uintptr\(_p\d\)$`)
	table := callsByName()
	seen := 0
	for _, pkg := range []string{"syscall", "internal/syscall/unix", "golang.org/x/sys/unix"} {
		for _, file := range goFiles(t, pkg) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !regexp.MustCompile(`(?i)^(syscall\.)?(raw)?syscall6?$`).MatchString(text(fset, call.Fun)) {
					return true
				}
				name := strings.ToLower(text(fset, call.Args[0]))
				args, ok := table[name[strings.LastIndex(name, "sys_")+len("sys_"):]]
				if !strings.Contains(name, "sys_") || !ok {
					return true
				}
				for i, a := range call.Args[1:] {
					if !pointer.MatchString(text(fset, a)) {
						continue
					}
					seen++
					if i >= len(args) || args[i] != 'p' {
						t.Errorf("%s: %s: argument %d is a pointer", fset.Position(a.Pos()), name, i+1)
					}
				}
				return true
			})
		}
	}
	if seen < 300 {
		t.Errorf("found only %d pointers", seen)
	}
}

func text(fset *token.FileSet, n ast.Node) string {
	var b bytes.Buffer
	printer.Fprint(&b, fset, n)
	return b.String()
}

func TestPointerTable(t *testing.T) {
	masks, err := strconv.Unquote(strings.ReplaceAll(pointerTable(), "\" +\n\t\"", ""))
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[int]byte{0: 0b10, 3: 0, 9: 0, 262: 0b110, 45: 0b110010, 400: 0} {
		if masks[number] != want {
			t.Errorf("call %d has mask %b, want %b", number, masks[number], want)
		}
	}
}

func installedSyscalls(t *testing.T) []byte {
	t.Helper()
	for _, f := range goFiles(t, "syscall") {
		if strings.HasSuffix(f, hookedFile) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	t.Fatal("package syscall has no syscall_linux.go")
	return nil
}

// What is generated is Go, and differs in the six functions only.
func TestHookSyscalls(t *testing.T) {
	old := installedSyscalls(t)
	hooked, err := hookSyscalls(old, "go1.26")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), hookedFile, hooked, 0); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(hooked, []byte("kilnCall(trap, a1, a2, a3, a4, a5, a6)\n")); n != 6 {
		t.Errorf("%d functions ask the kernel, want 6", n)
	}
	from, to := bytes.Index(old, []byte("func rawSyscallNoError")), bytes.Index(old, []byte("func AllThreadsSyscall("))
	if from < 0 || to < from || !bytes.Contains(hooked, old[from:to]) {
		t.Error("what follows the first four functions has changed")
	}
	after := bytes.Index(old, []byte("// linked by runtime.cgocall.go"))
	if after < 0 || !bytes.Contains(hooked, old[after:]) {
		t.Error("what follows the six functions has changed")
	}
}

// A file that has changed is refused with the place and what to do.
func TestHookSyscallsRefusesUnknownShape(t *testing.T) {
	old := string(installedSyscalls(t))
	for _, c := range []struct{ from, to, want string }{
		{"\tr1, r2, err = RawSyscall6(trap, a1, a2, a3, a4, a5, a6)\n", "\tr1, r2, err = other(trap)\n", "func Syscall6"},
		{"func RawSyscall(trap, a1, a2, a3 uintptr)", "func RawSyscall(trap, a1, a2 uintptr)", "func RawSyscall"},
		{"//go:nosplit\n//go:linkname Syscall\n", "//go:linkname Syscall\n", "func Syscall"},
		{"func Syscall6(", "func Syscall7(", "a function is missing"},
		{`"internal/runtime/syscall/linux"`, `linux "other"`, "internal/runtime/syscall/linux"},
		{"//go:uintptrescapes\nfunc AllThreadsSyscall(", "func AllThreadsSyscall(", "func AllThreadsSyscall"},
		{"package syscall", "package", "expected"},
	} {
		changed := strings.Replace(old, c.from, c.to, 1)
		if changed == old {
			t.Fatalf("%q is not in the file", c.from)
		}
		_, err := hookSyscalls([]byte(changed), "go1.26.99")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "go1.26.99") {
			t.Errorf("%s: error %v", c.want, err)
		}
	}
}

func TestKnownRelease(t *testing.T) {
	for version, want := range map[string]int{
		"go1.26": 26, "go1.26.8": 26, "go1.27rc1": 27, "go1.27.4-X:nogreenteagc": 27, "devel go1.27-abcdef": 27,
		"go1.25.9": 0, "go1.28": 0, "go1.260": 0, "go2": 0, "": 0, "devel +abcdef": 0,
	} {
		got, err := knownRelease(version)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("knownRelease(%q) = %d, %v", version, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), fmt.Sprintf("is %s:", version)) || !strings.Contains(err.Error(), "1.26 and 1.27")) {
			t.Errorf("unclear error %v", err)
		}
	}
}
