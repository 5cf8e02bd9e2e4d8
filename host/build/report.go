package build

import (
	"cmp"
	"debug/elf"
	"slices"
	"strings"
)

// Group says where a package of an image comes from.
type Group string

const (
	GroupRuntime    Group = "runtime"     // the Go runtime and what it imports
	GroupStd        Group = "std"         // the rest of the standard library
	GroupKernel     Group = "kernel"      // Kiln
	GroupThirdParty Group = "third party" // other modules, of the kernel and of the program
	GroupUser       Group = "program"     // the program's own modules
	GroupShared     Group = "shared"      // type descriptors, strings and tables that belong to no package
)

// PackageSize is what one package contributes to an image.
type PackageSize struct {
	Path  string // import path; for GroupShared the name of the table
	Group Group
	Size  int64 // bytes of code and data that are loaded from the kernel file
	Zero  int64 // bytes of zeroed data, which are not in the file
}

// Report tells what went into an image.
type Report struct {
	Packages []PackageSize // sorted by group, then by size, largest first
	Loaded   int64         // bytes of the file that are loaded: the sum of all sizes and some padding
	File     int64         // bytes of the file, with symbols and debug information
}

// newReport measures a linked program by its symbol table: each symbol counts
// for the package that its name starts with. standard and user say whether an
// import path is of the standard library or of the program's own modules.
func newReport(m *image, syms []symbol, standard, user map[string]bool) *Report {
	sizes := map[string]*PackageSize{}
	get := func(path string, group Group) *PackageSize {
		p := sizes[path]
		if p == nil {
			p = &PackageSize{Path: path, Group: group}
			sizes[path] = p
		}
		return p
	}
	var named int64
	for _, s := range dropContained(syms) {
		path := symbolPackage(s.name)
		group := GroupShared
		if path != "" {
			group = groupOf(path, standard, user)
		} else {
			path = "types, strings and tables"
		}
		switch in := m.sectionOf(s.value); {
		case in == nil:
		case elf.SectionType(in.Type) == elf.SHT_NOBITS:
			get(path, group).Zero += int64(s.size)
		default:
			get(path, group).Size += int64(s.size)
			named += int64(s.size)
		}
	}
	r := &Report{}
	for _, p := range m.loads() {
		r.Loaded += int64(p.Filesz)
	}
	if rest := r.Loaded - named; rest > 0 {
		get("line tables and padding", GroupShared).Size += rest
	}
	for _, p := range sizes {
		r.Packages = append(r.Packages, *p)
	}
	order := []Group{GroupUser, GroupKernel, GroupThirdParty, GroupStd, GroupRuntime, GroupShared}
	slices.SortFunc(r.Packages, func(a, b PackageSize) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Group), slices.Index(order, b.Group)),
			cmp.Compare(b.Size, a.Size),
			cmp.Compare(a.Path, b.Path))
	})
	return r
}

// dropContained leaves out symbols that lie within another one, such as
// runtime.etext or the parts of a table, so that no byte counts twice.
func dropContained(syms []symbol) []symbol {
	sorted := slices.Clone(syms)
	slices.SortFunc(sorted, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name))
	})
	var kept []symbol
	var end uint64
	for _, s := range sorted {
		if s.size == 0 || s.value < end || s.value+s.size < s.value {
			continue
		}
		kept = append(kept, s)
		end = s.value + s.size
	}
	return kept
}

// sectionOf returns the loaded section that holds an address, or nil.
func (m *image) sectionOf(addr uint64) *section {
	for i := range m.sections {
		s := &m.sections[i]
		if elf.SectionFlag(s.Flags)&elf.SHF_ALLOC != 0 && addr >= s.Addr && addr-s.Addr < s.Size {
			return s
		}
	}
	return nil
}

func groupOf(path string, standard, user map[string]bool) Group {
	switch {
	case strings.HasPrefix(path, thirdPartyPrefix):
		return GroupThirdParty
	case user[path]:
		return GroupUser
	case isKernel(path):
		return GroupKernel
	case path == "runtime" || strings.HasPrefix(path, "runtime/") || strings.HasPrefix(path, "internal/runtime/"):
		return GroupRuntime
	case standard[path]:
		return GroupStd
	case !strings.Contains(strings.SplitN(path, "/", 2)[0], "."): // assembly of packages that list nothing else
		return GroupStd
	}
	return GroupThirdParty
}

// symbolPackage returns the import path in a symbol's name, or "" if it
// belongs to no package. Names look like
//
//	net/http.(*Server).Serve.func1
//	slices.SortFunc[go.shape.[]int,...]
//	gopkg.in/yaml%2ev3.Marshal
//	type:*os.File   go:string.*   runtime.pclntab
func symbolPackage(name string) string {
	if i := strings.IndexAny(name, "[("); i >= 0 {
		name = name[:i]
	}
	if strings.Contains(name, ":") || strings.HasPrefix(name, "$") {
		return ""
	}
	slash := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[slash:], '.')
	if dot <= 0 {
		return ""
	}
	return unescape(name[:slash+dot])
}
