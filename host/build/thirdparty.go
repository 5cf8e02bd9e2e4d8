package build

// Packages of other modules that the kernel uses (netstack, for one) cannot be
// imported by their own paths from within the standard library: a path with a
// dot in its first element is looked for in std's vendor directory, which does
// not honour overlays. So they are copied from the module cache and renamed:
//
//	gvisor.dev/gvisor/pkg/tcpip -> kiln/third_party/gvisor.dev/gvisor/pkg/tcpip
//
// The copy differs from the original where a path is spelled: in import
// specifications, in //go:linkname directives, and in assembly, which writes
// the path of a symbol with ∕ and · for / and dot. Directives that the compiler
// does not know, which it refuses in the standard library only, become ordinary
// comments. All edits stay within their line. That keeps the kernel's versions
// apart from the program's, too. A file of the kernel's own may join a package:
// what it declares takes the place of what the package declares by that name, and
// an alias that of a type with all its methods.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// thirdPartyPrefix is put in front of the import paths of other modules.
const (
	thirdPartyLink   = "third_party"
	thirdPartyPrefix = "kiln/" + thirdPartyLink + "/"
)

// thirdPackage is a package of another module, as go list describes it.
type thirdPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	SFiles     []string
	HFiles     []string
	EmbedFiles []string
	Standard   bool
	Module     *struct{ Main bool }
	Error      *struct{ Err string }
}

// files are the package's files that the build constraints select, without
// gVisor's generated code for saving and restoring its state: nothing calls it,
// but it registers every type when the program starts.
func (p *thirdPackage) files() []string {
	files := slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.EmbedFiles)
	return slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_state_autogen.go") })
}

// listThirdParty lists the packages of other modules that the packages of the
// module in dir depend on, in the order of their paths.
func listThirdParty(ctx context.Context, t *toolchain, dir string, progress io.Writer) ([]*thirdPackage, error) {
	in := *t
	in.dir = dir
	in.env = append(slices.Clip(t.env), "GOFLAGS=", "GOWORK=off", "PWD="+dir)
	out, err := in.run(ctx, progress, "list", "-e", "-deps", "-tags="+Tag+","+LinuxTag,
		"-json=ImportPath,Dir,GoFiles,SFiles,HFiles,EmbedFiles,Standard,Module,Error", "./...")
	if err != nil {
		return nil, err
	}
	var pkgs []*thirdPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(thirdPackage)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Standard || p.Module != nil && p.Module.Main || isKernel(p.ImportPath) {
			continue // errors of the kernel's own packages are for the compiler to tell
		}
		if p.Error != nil {
			return nil, fmt.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		pkgs = append(pkgs, p)
	}
	slices.SortFunc(pkgs, func(a, b *thirdPackage) int { return cmp.Compare(a.ImportPath, b.ImportPath) })
	return pkgs, nil
}

// thirdPartyHash names the copies of pkgs: go.sum pins their contents, and the
// Go release selects among their files.
func thirdPartyHash(source fs.FS, pkgs []*thirdPackage, release int) string {
	h := sha256.New()
	sums, _ := fs.ReadFile(source, "go.sum") // absent in a module without requirements
	mod, _ := fs.ReadFile(source, "go.mod")
	fmt.Fprintf(h, "%d go1.%d\n%s\n%s\n", preparationVersion, release, mod, sums)
	for _, p := range pkgs {
		fmt.Fprintln(h, p.ImportPath, p.files())
	}
	for _, a := range additions {
		data, _ := fs.ReadFile(source, a.file)
		fmt.Fprintf(h, "%s %d\n%s", a.file, len(data), data)
	}
	return shortHash(h.Sum(nil))
}

// additions are files of the kernel that become part of a package of another
// module. A build constraint keeps them out of the kernel's own packages.
var additions = []struct{ file, pkg string }{
	{"kernel/net/netstack/tcp/fastpath.go", "gvisor.dev/gvisor/pkg/tcpip/transport/tcp"},
	{"kernel/net/netstack/udp/fastpath.go", "gvisor.dev/gvisor/pkg/tcpip/transport/udp"},
	{"kernel/net/netstack/tcpip/time.go", "gvisor.dev/gvisor/pkg/tcpip"},
	{"kernel/net/netstack/sync/sync.go", "gvisor.dev/gvisor/pkg/sync"},
	{"kernel/net/netstack/refs/refs.go", "gvisor.dev/gvisor/pkg/refs"},
	{"kernel/net/netstack/buffer/buffer.go", "gvisor.dev/gvisor/pkg/buffer"},
	{"kernel/net/netstack/stack/reuse.go", "gvisor.dev/gvisor/pkg/tcpip/stack"},
}

// overridden returns what the additions to a package declare.
func overridden(source fs.FS, pkg string) (map[string]bool, error) {
	names := map[string]bool{}
	for _, a := range additions {
		if a.pkg != pkg {
			continue
		}
		data, err := fs.ReadFile(source, a.file)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), a.file, data, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			for _, n := range declared(d) {
				names[n.name] = true
				if n.alias {
					names[n.name+".*"] = true
				}
			}
		}
	}
	return names, nil
}

// declaration is a function, a method (as Type.Method) or a type.
type declaration struct {
	name     string
	pos, end token.Pos
	alias    bool
}

// in reports whether names has the declaration.
func (d declaration) in(names map[string]bool) bool {
	recv, _, method := strings.Cut(d.name, ".")
	return names[d.name] || method && names[recv+".*"]
}

func declared(d ast.Decl) (list []declaration) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			t := d.Recv.List[0].Type
			if star, ok := t.(*ast.StarExpr); ok {
				t = star.X
			}
			if id, ok := t.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		list = append(list, declaration{name, d.Pos(), d.End(), false})
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if t, ok := s.(*ast.TypeSpec); ok && d.Lparen.IsValid() {
				list = append(list, declaration{t.Name.Name, t.Pos(), t.End(), t.Assign.IsValid()})
			} else if ok {
				list = append(list, declaration{t.Name.Name, d.Pos(), d.End(), t.Assign.IsValid()})
			}
		}
	}
	return list
}

// without blanks the declarations of names in a file; lines stay where they are.
func without(names map[string]bool, name string, src []byte) ([]byte, error) {
	if len(names) == 0 || path.Ext(name) != ".go" {
		return src, nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(src)
	for _, d := range f.Decls {
		for _, n := range declared(d) {
			if !n.in(names) {
				continue
			}
			for i := fset.Position(n.pos).Offset; i < fset.Position(n.end).Offset; i++ {
				if out[i] != '\n' {
					out[i] = ' '
				}
			}
		}
	}
	return withoutImports(name, out)
}

// withoutImports makes those imports blank that a file does not use.
func withoutImports(name string, src []byte) ([]byte, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return true
	})
	var edits []edit
	for _, s := range f.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err == nil && s.Name == nil && !used[path.Base(p)] {
			edits = append(edits, edit{fset.Position(s.Path.Pos()).Offset, 0, "_ "})
		}
	}
	return applyEdits(src, edits), nil
}

// copyAdditions puts the additions into their packages' copies in dir.
func copyAdditions(dir string, source fs.FS, r *rewriter) error {
	for _, a := range additions {
		if !r.known[a.pkg] {
			continue
		}
		data, err := fs.ReadFile(source, a.file)
		if err != nil {
			return err
		}
		constraint, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok || !bytes.HasPrefix(constraint, []byte("//go:build ")) {
			return fmt.Errorf("%s does not begin with a build constraint", a.file)
		}
		name := path.Join(a.pkg, "kiln_"+path.Base(a.file))
		if rest, err = r.file(name, rest); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), rest); err != nil {
			return err
		}
	}
	return nil
}

func copyThirdParty(dir string, source fs.FS, pkgs []*thirdPackage, r *rewriter) error {
	for _, p := range pkgs {
		own, err := overridden(source, p.ImportPath)
		if err != nil {
			return err
		}
		for _, f := range p.files() {
			data, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				return err
			}
			name := path.Join(p.ImportPath, f)
			if data, err = r.file(name, data); err != nil {
				return err
			}
			if data, err = without(own, name, data); err != nil {
				return err
			}
			data = withoutLockClasses(name, data)
			if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), data); err != nil {
				return err
			}
		}
	}
	return nil
}

// withoutLockClasses takes the initialisers out of gVisor's generated mutexes.
// They register classes for a validator of lock order that is not built in; a
// kernel has some fifty of them, all run before main.
func withoutLockClasses(name string, data []byte) []byte {
	if !strings.HasSuffix(name, "mutex.go") || !bytes.Contains(data, []byte("locking.NewMutexClass(")) {
		return data
	}
	return bytes.Replace(data, []byte("\nfunc init() {"), []byte("\nfunc _() {"), 1)
}

// replaced are packages of which the kernel has a version of its own.
var replaced = map[string]string{
	"gvisor.dev/gvisor/pkg/log":            "kiln/kernel/net/log",
	"gvisor.dev/gvisor/pkg/tcpip/checksum": "kiln/kernel/net/checksum",
}

// rewriter renames the packages of other modules where files spell them.
type rewriter struct {
	known map[string]bool   // import paths
	asm   *strings.Replacer // for assembly
}

func newRewriter(pkgs []*thirdPackage) *rewriter {
	r := &rewriter{known: map[string]bool{}}
	mangle := strings.NewReplacer("/", "∕", ".", "·").Replace
	var pairs []string
	for _, p := range pkgs {
		r.known[p.ImportPath] = true
		// A symbol starts after a delimiter and the path ends before a dot.
		for _, before := range []string{" ", "\t", ",", "$", "("} {
			pairs = append(pairs, before+mangle(p.ImportPath)+"·", before+mangle(thirdPartyPrefix+p.ImportPath)+"·")
		}
	}
	r.asm = strings.NewReplacer(pairs...)
	return r
}

// file returns the renamed form of the file called name.
func (r *rewriter) file(name string, src []byte) ([]byte, error) {
	switch path.Ext(name) {
	case ".go":
		return r.goFile(name, src)
	case ".s", ".h":
		return []byte(r.asm.Replace(string(src))), nil
	}
	return src, nil
}

func newPath(p string) string {
	if own, ok := replaced[p]; ok {
		return own
	}
	return thirdPartyPrefix + p
}

func (r *rewriter) goFile(name string, src []byte) ([]byte, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var edits []edit
	for _, s := range f.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err == nil && r.known[p] {
			edits = append(edits, edit{fset.Position(s.Path.Pos()).Offset, len(s.Path.Value), strconv.Quote(newPath(p))})
		}
	}
	for _, g := range f.Comments {
		for _, c := range g.List {
			if text := r.directive(c.Text); text != c.Text {
				edits = append(edits, edit{fset.Position(c.Pos()).Offset, len(c.Text), text})
			}
		}
	}
	return applyEdits(src, edits), nil
}

// edit replaces length bytes at an offset.
type edit struct {
	offset, length int
	text           string
}

func applyEdits(src []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.offset, b.offset) })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(src[at:e.offset])
		out.WriteString(e.text)
		at = e.offset + e.length
	}
	out.Write(src[at:])
	return out.Bytes()
}

// directives are those that the compiler takes outside of package runtime.
var directives = []string{
	"build", "embed", "fix", "generate", "linkname", "nocheckptr", "noescape", "noinline", "norace", "nosplit",
	"uintptrescapes", "uintptrkeepalive",
}

// directive returns what a comment is to be:
//
//	//go:linkname local importpath.name
//	//go:unknown
func (r *rewriter) directive(comment string) string {
	rest, ok := strings.CutPrefix(comment, "//go:")
	if !ok {
		return comment
	}
	words := strings.Fields(rest)
	if len(words) == 0 || !slices.Contains(directives, words[0]) {
		return "// go:" + rest
	}
	if words[0] != "linkname" || len(words) != 3 {
		return comment
	}
	slash := strings.LastIndexByte(words[2], '/') + 1
	dot := strings.IndexByte(words[2][slash:], '.')
	if dot < 0 || !r.known[words[2][:slash+dot]] {
		return comment
	}
	return "//go:linkname " + words[1] + " " + thirdPartyPrefix + words[2]
}
