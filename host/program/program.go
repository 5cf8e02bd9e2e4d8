// Package program brings together what a Linux program needs to run in a
// machine of its own: its file, its interpreter and shared libraries, what its
// kind of program is known to open while it runs, and a few files that every
// program expects. What is certain to be missing it tells beforehand.
package program

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"kiln/host/elf"
	"kiln/host/files"
)

// Program is a program to run.
type Program struct {
	Exe  string   // its path in the guest
	Args []string // argv, its own name first
	Env  []string // of the guest, complete
	Term string   // the kind of terminal; empty: none
	Dir  string   // its working directory, in the guest

	// HostDir is where the host's relative paths among the arguments begin;
	// empty: arguments name nothing of the host's.
	HostDir string

	// Whole says that the set has all that there is, and nothing is added to
	// it but what is found missing: the user has given the guest's tree.
	Whole bool
	Tree  string // what that is called in messages
}

// Collect adds to set, from its root, what p needs. It may change p: of a script
// that is started by env(1), the interpreter becomes the program. The error is
// one sentence.
func Collect(set *files.Set, p *Program) error {
	c := &collector{set: set, program: p, seen: map[string]bool{}, matched: map[int]bool{}}
	if err := c.executable(p.Exe, 0); err != nil {
		return err
	}
	if err := c.source(); err != nil {
		return err
	}
	if p.Whole {
		c.addCache()
		return nil
	}
	if err := c.common(); err != nil {
		return err
	}
	// A family's files may be plugins that need libraries of another family.
	for known := -1; known != len(c.libs); {
		known = len(c.libs)
		if err := c.families(); err != nil {
			return err
		}
		if err := c.plugins(); err != nil {
			return err
		}
	}
	c.addCache()
	return nil
}

type collector struct {
	set     *files.Set
	program *Program
	linker  *elf.Linker
	glibc   bool
	real    string          // of the program, or of the interpreter of a script
	started string          // the same, as it is named
	text    string          // the script, if it is one and a file of the host
	libs    []string        // names and sonames of its libraries
	objects []string        // paths of the program and its libraries
	seen    map[string]bool // files whose libraries are in the set
	matched map[int]bool    // families that have been brought
}

// maxScripts is how many interpreters may be scripts themselves, as in Linux.
const maxScripts = 4

// executable brings a program and what it cannot start without.
func (c *collector) executable(exe string, depth int) error {
	real, err := c.set.Bring(exe)
	if err != nil {
		return c.missing(exe, err)
	}
	f, err := c.set.Open(real)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%s is a directory, not a program", exe)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read by this user, so it cannot be brought into a machine", exe)
	case err != nil:
		return err
	}
	defer f.Close()
	o, err := elf.ReadProgram(f)
	if errors.Is(err, elf.ErrNotELF) {
		var line [256]byte
		n, _ := f.ReadAt(line[:], 0)
		if interp, arg, ok := scriptLine(string(line[:n])); ok && depth < maxScripts {
			if err := c.mayExecute(exe); err != nil {
				return err
			}
			if depth == 0 && !c.program.Whole {
				c.text = real
			}
			return c.script(exe, interp, arg, depth)
		}
		return fmt.Errorf("%s is not a program: it is neither an ELF file nor a script that begins with #!", exe)
	}
	if format, ok := errors.AsType[*elf.FormatError](err); ok {
		return fmt.Errorf("%s %s", exe, format.Text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", exe, err)
	}
	if err := c.mayExecute(exe); err != nil {
		return err
	}
	c.real, c.started = real, exe
	return c.dynamic(real, o)
}

func (c *collector) mayExecute(exe string) error {
	if mode, err := c.set.Mode(exe); err == nil && mode&0o111 == 0 {
		return fmt.Errorf("%s may not be executed: chmod +x gives it the right", exe)
	}
	return nil
}

func (c *collector) missing(exe string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !c.program.Whole {
		return fmt.Errorf("%s: no such file", exe)
	}
	return fmt.Errorf("there is no %s in %s", exe, c.program.Tree)
}

// scriptLine takes the first line of a script apart, as Linux does.
func scriptLine(s string) (interp, arg string, ok bool) {
	s, ok = strings.CutPrefix(s, "#!")
	if !ok {
		return "", "", false
	}
	line, _, _ := strings.Cut(s, "\n")
	interp, arg, _ = strings.Cut(strings.Trim(line, " \t\r"), " ")
	return interp, strings.Trim(arg, " \t"), interp != ""
}

// script brings the interpreter of a script. "#!/usr/bin/env NAME" is resolved
// here, because env would replace itself by the interpreter.
func (c *collector) script(exe, interp, arg string, depth int) error {
	p := c.program
	if path.Base(interp) == "env" && arg != "" {
		words := strings.Fields(strings.TrimPrefix(arg, "-S"))
		if len(words) > 0 && !strings.HasPrefix(words[0], "-") && !strings.Contains(words[0], "=") {
			found, ok := c.inPath(words[0])
			if !ok {
				return fmt.Errorf("%s is a script for %s, which is not here: install it, or say where it is with -e PATH=DIRECTORIES", exe, words[0])
			}
			if depth == 0 {
				p.Args = slices.Concat(words, []string{p.Exe}, p.Args[min(1, len(p.Args)):])
				p.Exe = found
			}
			return c.executable(found, depth+1)
		}
	}
	if _, err := c.set.Resolve(interp); err != nil {
		return fmt.Errorf("%s is a script for %s, which is not here", exe, interp)
	}
	return c.executable(interp, depth+1)
}

// inPath finds a command as the program's PATH says.
func (c *collector) inPath(name string) (string, bool) {
	if strings.Contains(name, "/") {
		_, err := c.set.Resolve(name)
		return name, err == nil
	}
	for _, dir := range strings.Split(c.env("PATH"), ":") {
		p := path.Join("/", dir, name)
		if f, err := c.set.Open(p); err == nil {
			f.Close()
			return p, true
		}
	}
	return "", false
}

// env returns the value of a variable of the program's.
func (c *collector) env(name string) string {
	for _, v := range slices.Backward(c.program.Env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// dynamic brings the dynamic linker that a program asks for, and its libraries.
func (c *collector) dynamic(exe string, o *elf.Object) error {
	if o.Interp == "" {
		return nil
	}
	if _, err := c.set.Bring(o.Interp); err != nil {
		return fmt.Errorf("%s asks for the dynamic linker %s, which is not here: %s", exe, o.Interp, linkerHint(o.Interp))
	}
	c.linker = elf.NewLinker(c.set, o.Interp, c.env("LD_LIBRARY_PATH"))
	c.glibc = strings.HasPrefix(path.Base(o.Interp), "ld-linux")
	libs := c.linker.Closure(exe, o)
	for _, name := range strings.FieldsFunc(c.env("LD_PRELOAD"), func(r rune) bool { return r == ':' || r == ' ' }) {
		libs = append(libs, c.linker.Find(name)...)
	}
	var lost []*elf.Library
	for _, l := range libs {
		if l.Path == "" {
			lost = append(lost, l)
			continue
		}
		if err := c.library(l); err != nil {
			return err
		}
	}
	c.objects = append(c.objects, exe)
	c.seen[exe] = true
	if len(lost) > 0 {
		return lostError(exe, lost)
	}
	if wrong := c.linker.Mismatches(exe, o, libs); len(wrong) > 0 {
		return oldError(exe, wrong)
	}
	return nil
}

// oldError says which libraries are too old.
func oldError(exe string, wrong []elf.Mismatch) error {
	best := wrong[0]
	for _, m := range wrong {
		if m.Path == best.Path && elf.CompareNames(m.Version, best.Version) > 0 {
			best = m
		}
	}
	by := exe
	if best.By != exe {
		by = best.By + ", a library of " + exe + ","
	}
	return fmt.Errorf("%s needs %s: it was built for newer libraries, which --root or --deb can give it", by, best)
}

func linkerHint(interp string) string {
	if strings.Contains(interp, "musl") {
		return "install musl, or give a tree that has it with --root"
	}
	return "install the C library that the program was linked with, or give a tree that has it with --root"
}

// library brings a library that was found.
func (c *collector) library(l *elf.Library) error {
	c.libs = append(c.libs, l.Name)
	c.objects = append(c.objects, l.Path)
	for _, p := range append([]string{l.Path}, l.Others...) {
		if _, err := c.set.Bring(p); err != nil {
			return err
		}
	}
	return nil
}

// lostError says which libraries are missing.
func lostError(exe string, lost []*elf.Library) error {
	var names []string
	for _, l := range lost {
		name := l.Name
		if l.By != exe {
			name += " (for " + path.Base(l.By) + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	it, where := "it", "it is"
	if len(names) > 1 {
		it, where = "them", "they are"
	}
	return fmt.Errorf("%s needs %s, which the dynamic linker would not find: install %s, or say where %s with -e LD_LIBRARY_PATH=DIRECTORY",
		exe, join(names), it, where)
}

// join makes a list in prose.
func join(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return words[0]
}

// plugins brings the libraries that the shared objects and programs in the set
// need, for as long as there are new ones. What is missing for them may never be
// asked for.
func (c *collector) plugins() error {
	if c.linker == nil {
		return nil
	}
	for again := true; again; {
		again = false
		var found []string
		for p, mode := range c.set.Regular() {
			if !c.seen[p] && (mode&0o111 != 0 || strings.Contains(path.Base(p), ".so")) {
				found = append(found, p)
			}
		}
		for _, p := range found {
			again = true
			c.seen[p] = true
			if err := c.needs(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// addCache gives the dynamic linker the cache without which it would not find
// what was found.
func (c *collector) addCache() {
	if c.linker == nil {
		return
	}
	if cache := c.linker.Cache(); cache != nil {
		c.set.AddFile("/etc/ld.so.cache", cache)
	}
}

// needs brings what one file needs, if it is an ELF file.
func (c *collector) needs(p string) error {
	f, err := c.set.Open(p)
	if err != nil {
		return nil
	}
	defer f.Close()
	o, err := elf.ReadLibrary(f)
	if err != nil {
		return nil
	}
	for _, l := range c.linker.Closure(p, o) {
		if l.Path != "" && !slices.Contains(c.libs, l.Name) {
			if err := c.library(l); err != nil {
				return err
			}
		}
	}
	return nil
}
