package build

import (
	"slices"
	"testing"
)

func TestRewriter(t *testing.T) {
	r := newRewriter([]*thirdPackage{{ImportPath: "example.com/a"}, {ImportPath: "example.com/a/b.c"}})
	for _, c := range []struct{ name, in, want string }{
		{"x.go",
			"package x\n\nimport (\n\t\"example.com/a\"\n\tn `example.com/a/b.c`\n\t\"example.com/other\"\n\t\"os\"\n)\n\nconst s = \"example.com/a\"\n",
			"package x\n\nimport (\n\t\"kiln/third_party/example.com/a\"\n\tn \"kiln/third_party/example.com/a/b.c\"\n\t\"example.com/other\"\n\t\"os\"\n)\n\nconst s = \"example.com/a\"\n"},
		{"linkname.go",
			"package x\n\n//go:linkname f example.com/a.f\n//go:nosplit\nfunc f()\n\n//go:linkname g runtime.g\nfunc g()\n\n//go:linkname h\nvar h int\n",
			"package x\n\n//go:linkname f kiln/third_party/example.com/a.f\n//go:nosplit\nfunc f()\n\n//go:linkname g runtime.g\nfunc g()\n\n//go:linkname h\nvar h int\n"},
		{"directive.go",
			"//go:build linux\n\npackage x\n\n//go:inline\nfunc f() {}\n\nconst s = `\n//go:inline\n`\n",
			"//go:build linux\n\npackage x\n\n// go:inline\nfunc f() {}\n\nconst s = `\n//go:inline\n`\n"},
		{"x_amd64.s",
			"TEXT ·f(SB), $0\n\tCALL\texample·com∕a·g(SB)\n\tMOVQ $example·com∕a∕b·c·h(SB), AX\n\tCALL example·com∕ab·g(SB)\n",
			"TEXT ·f(SB), $0\n\tCALL\tkiln∕third_party∕example·com∕a·g(SB)\n\tMOVQ $kiln∕third_party∕example·com∕a∕b·c·h(SB), AX\n\tCALL example·com∕ab·g(SB)\n"},
		{"x.txt", "example.com/a", "example.com/a"},
	} {
		got, err := r.file(c.name, []byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", c.name, err, got, c.want)
		}
	}
	if _, err := r.file("bad.go", []byte("package")); err == nil {
		t.Error("no error for a file that is not Go")
	}
}

func TestLockClasses(t *testing.T) {
	const class = "package x\n\nfunc init() {\n\tc = locking.NewMutexClass(t, names)\n}\n"
	const other = "package x\n\nfunc init() {\n\tc = 1\n}\n"
	for _, c := range []struct{ name, in, want string }{
		{"a_mutex.go", class, "package x\n\nfunc _() {\n\tc = locking.NewMutexClass(t, names)\n}\n"},
		{"a_mutex.go", other, other},
		{"a.go", class, class},
	} {
		if got := string(withoutLockClasses(c.name, []byte(c.in))); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestSplitQuoted(t *testing.T) {
	for in, want := range map[string][]string{
		"":                        nil,
		" -s  -w\t":               {"-s", "-w"},
		`-X 'a.b=c d' "e'f"`:      {"-X", "a.b=c d", "e'f"},
		`'-ldflags=-s -w' -mod=x`: {"-ldflags=-s -w", "-mod=x"},
	} {
		got, err := splitQuoted(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("splitQuoted(%q) = %q, %v; want %q", in, got, err, want)
		}
		var quoted string
		for _, f := range want {
			quoted += quote(f) + " "
		}
		if again, err := splitQuoted(quoted); err != nil || !slices.Equal(again, want) {
			t.Errorf("splitQuoted(%q) = %q, %v; want %q", quoted, again, err, want)
		}
	}
	if _, err := splitQuoted("-X 'a"); err == nil {
		t.Error("no error for an open quotation")
	}
}

func TestLdflagsWithPattern(t *testing.T) {
	if b, err := mergeFlags(&Options{Ldflags: "all=-s -X main.a=b"}, ""); err != nil || !b.strip || b.ldflags != "-w -X main.a=b" {
		t.Errorf("all=: %+v, %v", b, err)
	}
	if _, err := mergeFlags(&Options{Ldflags: "./cmd=-s"}, ""); err == nil {
		t.Error("no error for a package pattern")
	}
}
