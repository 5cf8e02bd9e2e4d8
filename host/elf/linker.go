package elf

// Where the dynamic linkers look for a library that is needed by name.
//
// glibc (elf/dl-load.c), in this order:
//
//	RPATH of the object that needs it, of the one that needs that, and so on,
//	      unless the object has a RUNPATH
//	LD_LIBRARY_PATH
//	RUNPATH of the object that needs it
//	/etc/ld.so.cache, if the object allows it
//	the default directories, which are built into the linker
//
// In each directory the subdirectories glibc-hwcaps/x86-64-vN for better CPUs
// come first. What is not a library for x86-64 is passed over.
//
// musl (ldso/dynlink.c):
//
//	LD_LIBRARY_PATH
//	RUNPATH, else RPATH, of the object that needs it, and so on upwards
//	the directories in /etc/ld-musl-x86_64.path, else /lib, /usr/local/lib, /usr/lib
//
// musl itself is libc, libpthread and their like, whatever version is asked for.

import (
	"bytes"
	"io"
	"path"
	"slices"
	"strings"

	"kiln/host/files"
)

// Linker finds libraries as one dynamic linker does.
type Linker struct {
	set      *files.Set
	musl     bool
	own      []string // its own names: it is loaded already
	env      []string // directories of LD_LIBRARY_PATH
	cache    map[string][]CacheEntry
	hasCache bool
	defaults []string
	conf     []string // directories of ld.so.conf, where there is no cache

	unlisted map[string]string // found by conf: the name's path
}

// Library is a library that was found, or not.
type Library struct {
	Name   string   // as it is asked for
	Path   string   // empty: it was not found
	Others []string // of the same name, which better CPUs prefer
	By     string   // the path of what needs it

	object *Object
	needer *Library
}

// NewLinker returns the linker interp, for a program with LD_LIBRARY_PATH set to
// libraryPath.
func NewLinker(set *files.Set, interp, libraryPath string) *Linker {
	l := &Linker{set: set, own: ownNames(set, interp), env: splitPath(libraryPath, ":;"), unlisted: map[string]string{}}
	if strings.HasPrefix(path.Base(interp), "ld-musl") {
		l.musl = true
		l.env = splitPath(libraryPath, ":\n")
		l.defaults = l.muslPath(interp)
		return l
	}
	l.defaults = l.builtIn(interp)
	if data := readFile(set, "/etc/ld.so.cache"); data != nil {
		if entries, err := ParseCache(data); err == nil {
			l.hasCache = true
			l.cache = map[string][]CacheEntry{}
			for _, e := range entries {
				l.cache[e.Name] = append(l.cache[e.Name], e)
			}
		}
	}
	if !l.hasCache {
		l.conf = readConf(set, "/etc/ld.so.conf", 0)
	}
	return l
}

// ownNames are the names by which a program may need its linker.
func ownNames(set *files.Set, interp string) []string {
	names := []string{path.Base(interp)}
	if f, err := set.Open(interp); err == nil {
		defer f.Close()
		if o, err := ReadLibrary(f); err == nil && o.Soname != "" {
			names = append(names, o.Soname)
		}
	}
	return names
}

// muslPath are the directories that musl looks in last. The file with their
// names is beside the linker's directory.
func (l *Linker) muslPath(interp string) []string {
	prefix := path.Dir(path.Dir(interp))
	if data := readFile(l.set, path.Join(prefix, "etc/ld-musl-x86_64.path")); data != nil {
		return splitPath(string(data), ":\n")
	}
	return []string{"/lib", "/usr/local/lib", "/usr/lib"}
}

// standardDirs are the default directories of the distributions' linkers.
var standardDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// builtIn returns those of standardDirs that are built into a linker.
func (l *Linker) builtIn(interp string) []string {
	data := readFile(l.set, interp)
	var dirs []string
	for _, d := range standardDirs {
		if bytes.Contains(data, []byte("\x00"+d+"/\x00")) {
			dirs = append(dirs, d)
		}
	}
	if dirs == nil {
		return standardDirs
	}
	return dirs
}

const maxFile = 16 << 20 // of what is read whole

func readFile(set *files.Set, name string) []byte {
	f, err := set.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, maxFile))
	if err != nil {
		return nil
	}
	return data
}

// readConf reads ldconfig's list of directories, and those that it includes.
func readConf(set *files.Set, name string, depth int) []string {
	const maxDepth = 8
	var dirs []string
	for line := range strings.Lines(string(readFile(set, name))) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		word := strings.Fields(line)
		switch {
		case len(word) == 0 || word[0] == "hwcap":
		case word[0] == "include" && depth < maxDepth:
			for _, pattern := range word[1:] {
				if !path.IsAbs(pattern) {
					pattern = path.Join(path.Dir(name), pattern)
				}
				names := set.ReadDir(path.Dir(pattern))
				slices.Sort(names)
				for _, n := range slices.Compact(names) {
					if ok, _ := path.Match(path.Base(pattern), n); ok {
						dirs = append(dirs, readConf(set, path.Join(path.Dir(pattern), n), depth+1)...)
					}
				}
			}
		case path.IsAbs(word[0]):
			dirs = append(dirs, strings.TrimSuffix(word[0], "/"))
		}
	}
	return dirs
}

// Closure finds all libraries that the object at a path needs, those that these
// need, and so on, each once, in the order in which the linker loads them.
// Libraries that are not found are among them.
func (l *Linker) Closure(at string, o *Object) []*Library {
	real, err := l.set.Resolve(at)
	if err != nil {
		real = at
	}
	var all []*Library
	loaded := map[string]bool{o.Soname: true}
	for _, name := range l.own {
		loaded[name] = true
	}
	for todo := []*Library{{Path: real, object: o}}; len(todo) > 0; todo = todo[1:] {
		for _, name := range todo[0].object.Needed {
			if loaded[name] || l.musl && isMusl(name) {
				continue
			}
			loaded[name] = true
			lib := l.find(name, todo[0])
			all = append(all, lib)
			if lib.object != nil {
				loaded[lib.object.Soname] = true
				todo = append(todo, lib)
			}
		}
	}
	return all
}

// Find finds one library by name, for a program that opens it while it runs.
func (l *Linker) Find(name string) []*Library {
	return l.Closure("/", &Object{Needed: []string{name}})
}

// isMusl tells the libraries that musl's linker is itself.
func isMusl(name string) bool {
	rest, ok := strings.CutPrefix(name, "lib")
	if !ok {
		return false
	}
	return slices.ContainsFunc([]string{"c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."}, func(s string) bool { return strings.HasPrefix(rest, s) })
}

func (l *Linker) find(name string, by *Library) *Library {
	lib := &Library{Name: name, By: by.Path, needer: by}
	if strings.Contains(name, "/") {
		for _, p := range expand(name, path.Dir(by.Path)) {
			if l.take(lib, p) {
				break
			}
		}
		return lib
	}
	for _, step := range l.steps(by) {
		if step(lib) {
			break
		}
	}
	return lib
}

// steps are the places to look for what by needs, in order.
func (l *Linker) steps(by *Library) []func(*Library) bool {
	in := func(dirs []string) func(*Library) bool {
		return func(lib *Library) bool { return l.inDirs(lib, dirs) }
	}
	inherited := func(paths func(*Object) []string) func(*Library) bool {
		return func(lib *Library) bool {
			for b := by; b != nil; b = b.needer {
				if l.inDirs(lib, expandAll(paths(b.object), path.Dir(b.Path))) {
					return true
				}
			}
			return false
		}
	}
	if l.musl {
		both := func(o *Object) []string { return append(slices.Clip(o.RunPath), o.RPath...) }
		return []func(*Library) bool{in(l.env), inherited(both), in(l.defaults)}
	}
	var steps []func(*Library) bool
	if len(by.object.RunPath) == 0 {
		steps = append(steps, inherited(func(o *Object) []string { return o.RPath }))
	}
	steps = append(steps, in(expandAll(l.env, path.Dir(by.Path))), in(expandAll(by.object.RunPath, path.Dir(by.Path))))
	if !by.object.NoDefaults {
		steps = append(steps, l.inCache, in(l.defaults), l.inConf)
	}
	return steps
}

func (l *Linker) inCache(lib *Library) bool {
	for _, e := range l.cache[lib.Name] {
		if !e.Special && lib.Path == "" {
			l.take(lib, e.Path)
		} else if e.Special && l.isLibrary(e.Path) {
			lib.Others = append(lib.Others, e.Path)
		}
	}
	return lib.Path != ""
}

// inConf looks where ldconfig would have looked for the cache that is missing.
func (l *Linker) inConf(lib *Library) bool {
	if !l.inDirs(lib, l.conf) {
		return false
	}
	l.unlisted[lib.Name] = lib.Path
	return true
}

// Cache returns a cache for the linker if it needs one to find what was found,
// nil if not.
func (l *Linker) Cache() []byte {
	if len(l.unlisted) == 0 {
		return nil
	}
	var entries []CacheEntry
	for name, p := range l.unlisted {
		entries = append(entries, CacheEntry{Name: name, Path: p})
	}
	slices.SortFunc(entries, func(a, b CacheEntry) int { return CompareNames(b.Name, a.Name) })
	return AppendCache(nil, entries)
}

// hwcaps are the subdirectories for better CPUs.
var hwcaps = []string{"glibc-hwcaps/x86-64-v4", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v2"}

func (l *Linker) inDirs(lib *Library, dirs []string) bool {
	for _, d := range dirs {
		if l.take(lib, path.Join(d, lib.Name)) {
			if !l.musl {
				for _, h := range hwcaps {
					if p := path.Join(d, h, lib.Name); l.isLibrary(p) {
						lib.Others = append(lib.Others, p)
					}
				}
			}
			return true
		}
	}
	return false
}

// take takes the file at p for lib, if it is a library.
func (l *Linker) take(lib *Library, p string) bool {
	f, err := l.set.Open(p)
	if err != nil {
		return false
	}
	defer f.Close()
	o, err := ReadLibrary(f)
	if err != nil {
		return false
	}
	lib.Path, lib.object = p, o
	return true
}

func (l *Linker) isLibrary(p string) bool { return l.take(&Library{}, p) }

// expand replaces $ORIGIN, $LIB and $PLATFORM in a path. $LIB differs between
// distributions.
func expand(s, origin string) []string {
	if !strings.Contains(s, "$") {
		return []string{s}
	}
	var all []string
	for _, lib := range []string{"lib/x86_64-linux-gnu", "lib64", "lib"} {
		all = append(all, strings.NewReplacer(
			"${ORIGIN}", origin, "$ORIGIN", origin, "${LIB}", lib, "$LIB", lib, "${PLATFORM}", "x86_64", "$PLATFORM", "x86_64").Replace(s))
	}
	return slices.Compact(all)
}

func expandAll(paths []string, origin string) []string {
	var all []string
	for _, p := range paths {
		all = append(all, expand(p, origin)...)
	}
	return all
}
