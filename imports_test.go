package kiln

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The lattice of the architecture (DESIGN.md): who may import whom. A rule
// speaks for all packages at or below its path; the longest path wins.
var lattice = []struct {
	pkg    string
	allows []string // of this module's packages, at or below these paths
}{
	{"", nil},
	{"abi", nil},
	{"kernel/metal", []string{"abi", "kernel/metal"}},
	{"kernel/device", []string{"kernel/metal", "kernel/device"}},
	{"kernel/fs", []string{"abi", "kernel/fs"}},
	{"kernel/socket", []string{"abi", "kernel/device", "kernel/fs", "kernel/socket"}},
	{"kernel/net", []string{"abi", "kernel/device", "kernel/fs", "kernel/metal", "kernel/net", "kernel/socket"}},
	{"kernel/sys", []string{"abi", "kernel/fs", "kernel/sys", "kernel/metal", "kernel/socket"}},
	{"kernel/linux/mm", []string{"abi", "kernel/fs", "kernel/linux/mm", "kernel/metal"}},
	{"kernel", []string{"abi", "kernel"}},
	{"host", []string{"", "abi", "host"}},
	{"cmd/kernel", []string{"abi", "kernel"}},
	{"cmd/kiln", []string{"abi", "host", "cmd/kiln"}},
	{"cmd/release", []string{"host"}},
	{"examples", []string{"examples"}},
	{"test", []string{"abi", "host", "test"}},
	{"test/guests/ring3", []string{"kernel/metal"}},
}

func TestImportLattice(t *testing.T) {
	eachFile(t, ".go", func(path string, src []byte) {
		dir := filepath.ToSlash(filepath.Dir(path))
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		for _, imp := range f.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			target, ours := strings.CutPrefix(p, "kiln/")
			if p == "kiln" {
				target, ours = "", true
			}
			if ours && !mayImport(dir, target) {
				t.Errorf("%s imports %s", path, p)
			}
			if strings.HasPrefix(dir, "abi") && strings.Contains(strings.Split(p, "/")[0], ".") {
				t.Errorf("%s imports %s; abi is for the standard library alone", path, p)
			}
		}
	})
}

func mayImport(dir, target string) bool {
	if dir == "." {
		dir = ""
	}
	best := -1
	for i, r := range lattice {
		if under(dir, r.pkg) && (best < 0 || len(r.pkg) > len(lattice[best].pkg)) {
			best = i
		}
	}
	for _, a := range lattice[best].allows {
		if a == target || a != "" && under(target, a) {
			return true
		}
	}
	return false
}

func under(path, root string) bool {
	return root == "" || path == root || strings.HasPrefix(path, root+"/")
}

// Only kernel/metal may hold assembly, linkname and nosplit. Unsafe pointers are
// for metal and for the one file of sys that reads a program's arguments.
func TestMachineCodeStaysInMetal(t *testing.T) {
	eachFile(t, ".s", func(path string, src []byte) {
		if !under(filepath.ToSlash(path), "kernel/metal") {
			t.Errorf("%s: assembly outside kernel/metal", path)
		}
	})
	directive := regexp.MustCompile(`(?m)^//go:(linkname|nosplit|nowritebarrier)`)
	eachFile(t, ".go", func(path string, src []byte) {
		slash := filepath.ToSlash(path)
		if !under(slash, "kernel") || under(slash, "kernel/metal") || strings.HasSuffix(path, "_test.go") {
			return
		}
		if m := directive.Find(src); m != nil {
			t.Errorf("%s: %s outside kernel/metal", path, m)
		}
		if bytes.Contains(src, []byte("\t\"unsafe\"\n")) && !strings.HasSuffix(path, "_unsafe.go") {
			t.Errorf("%s: imports unsafe; only files named *_unsafe.go may", path)
		}
	})
}

// Library code prints nothing and does not end the process.
func TestLibrariesAreQuiet(t *testing.T) {
	loud := regexp.MustCompile(`\bos\.Exit\(|\bfmt\.Print(ln|f)?\(|\blog\.(Fatal|Print)`)
	eachFile(t, ".go", func(path string, src []byte) {
		slash := filepath.ToSlash(path)
		if under(slash, "cmd") || under(slash, "examples") || under(slash, "test") || strings.HasSuffix(path, "_test.go") || strings.Contains(slash, "/testdata/") {
			return
		}
		if m := loud.Find(src); m != nil {
			t.Errorf("%s: %s in library code", path, m)
		}
	})
}

func eachFile(t *testing.T, ext string, f func(path string, src []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ext {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		f(path, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatalf("no %s files found", ext)
	}
}
