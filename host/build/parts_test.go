package build

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every function of the standard library that takes a path is known.
func TestFileFunctionsAreComplete(t *testing.T) {
	path := regexp.MustCompile(`Byte(Ptr|Slice)FromString\(|SYS_GETCWD|SYS_GETDENTS|SYS_FCHDIR`)
	noFiles := []string{"BytePtrFromString", "ByteSliceFromString", "StringBytePtr", "StringByteSlice", "reboot", "runtime_BeforeExec"}
	found := map[string]bool{}
	for _, pkg := range []string{"syscall", "internal/syscall/unix"} {
		for _, file := range goFiles(t, pkg) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil || slices.Contains(noFiles, fn.Name.Name) || !path.MatchString(text(fset, fn.Body)) {
					continue
				}
				found[fn.Name.Name] = true
				if !slices.Contains(fileFunctions, fn.Name.Name) {
					t.Errorf("%s.%s is not in fileFunctions", pkg, fn.Name.Name)
				}
			}
		}
	}
	if len(found) < 35 {
		t.Errorf("found only %d functions", len(found))
	}
}

func TestPartsFollowUse(t *testing.T) {
	for _, c := range []struct{ name, body, want, not string }{
		{"print", "import \"fmt\"\n\nfunc main() { fmt.Println(1) }\n", "", "kernel."},
		{"read", "import \"fmt\"\n\nfunc main() { var s string; fmt.Scan(&s) }\n", "kernel.Files", "kernel.Calls|kernel.Network"},
		{"open", "import \"os\"\n\nfunc main() { os.ReadFile(\"x\") }\n", "kernel.Files", "kernel.Calls|kernel.Network"},
		{"root", "import \"os\"\n\nfunc main() { r, _ := os.OpenRoot(\"x\"); r.Mkdir(\"y\", 0) }\n", "kernel.Files", "kernel.Calls|kernel.Network"},
		{"calls", "import \"syscall\"\n\nfunc main() { syscall.Sync() }\n", "kernel.Files|kernel.Calls", "kernel.Network|kernel.UnixSockets"},
		{"sockets", "import \"syscall\"\n\nfunc main() { syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0) }\n", "kernel.UnixSockets", "kernel.Network"},
		{"network", "import \"net\"\n\nfunc main() { net.Dial(\"tcp\", \"x\") }\n", "kernel.Files|kernel.Network", "kernel.Calls"},
	} {
		dir := module(t, "go.mod", "module example.com/p\n\ngo 1.26\n", "main.go", "package main\n\n"+c.body)
		o := options(t, dir, ".")
		o.Ldflags = "-compressdwarf=false"
		_, f := mustBuild(t, o)
		syms, err := f.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		var has []string
		for _, s := range syms {
			if name, ok := strings.CutPrefix(s.Name, "kiln/"); ok {
				has = append(has, strings.TrimSuffix(name, ".abi0"))
			}
		}
		for want := range strings.SplitSeq(c.want, "|") {
			if want != "" && !slices.ContainsFunc(has, func(s string) bool { return strings.HasPrefix(s, want) }) {
				t.Errorf("%s: %s is not linked", c.name, want)
			}
		}
		for not := range strings.SplitSeq(c.not, "|") {
			if slices.ContainsFunc(has, func(s string) bool { return strings.HasPrefix(s, not) }) {
				t.Errorf("%s: %s is linked", c.name, not)
			}
		}
	}
}

func TestStartSource(t *testing.T) {
	got := string(startSource(parts{system: true, network: true, calls: true}))
	if _, err := parser.ParseFile(token.NewFileSet(), "start.go", got, 0); err != nil {
		t.Fatal(err)
	}
	if want := "kernel.Boot(kernel.Files, kernel.Network(net.Start, devices.Open), kernel.Calls(sys.More, sys.Mapping))"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}
