package program

// An interpreter's own program is a file, too: the script that is run, or that
// the interpreter's arguments name. It keeps its path in the machine, and with
// it come the files that it is made of:
//
//	Python, Ruby, Perl, Lua   what it imports by name from its own directory
//	Node                      what it requires by relative paths, and the
//	                          node_modules directories beside and above it
//	Java                      the files of -jar and of the class path
//
// A directory that is marked as a project (package.json, pyproject.toml, ...)
// comes whole. The argument of a relative path becomes an absolute one, because
// the machine's working directory is another.

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// language is how an interpreter finds its program among its arguments, and
// what the program's files say of others.
type language struct {
	exe    *regexp.Regexp // the interpreter's name
	stop   []string       // options after which there is no file: -c CODE
	valued []string       // options with a value
	files  []string       // options whose value is a file, or a list of them with colons

	projects []string // files that mark a directory as a project
	imports  *regexp.Regexp
	resolve  func(dir, name string) []string // where an import may be
	modules  string                          // a directory, beside the file or above, that comes whole
}

var languages = []language{
	{
		exe: regexp.MustCompile(`^(python|pypy)[\d.]*$`), stop: []string{"-c", "-m", "-"}, valued: []string{"-W", "-X"},
		projects: []string{"pyproject.toml", "setup.py", "requirements.txt", "manage.py", "Pipfile"},
		imports:  regexp.MustCompile(`(?m)^[ \t]*(?:from[ \t]+(\.*\w+)|import[ \t]+(\w[\w., \t]*))`), resolve: pythonModule,
	},
	{
		exe: regexp.MustCompile(`^node(js)?$`), stop: []string{"-e", "-p", "-i", "--eval", "--print", "--test", "-"},
		valued: []string{"-r", "--require", "--import", "-C", "--conditions"}, projects: []string{"package.json"}, modules: "node_modules",
		imports: regexp.MustCompile(`(?:\bfrom|\bimport|\brequire)\s*\(?\s*["'](\.[^"'\n]*)["']`), resolve: nodeModule,
	},
	{
		exe: regexp.MustCompile(`^ruby[\d.]*$`), stop: []string{"-e", "-"}, valued: []string{"-I", "-r", "-C"}, projects: []string{"Gemfile", "config.ru"},
		imports: regexp.MustCompile(`(?m)^[ \t]*(?:require_relative|load)[ \t(]+["']([^"'\n]+)["']`), resolve: extension(".rb"),
	},
	{
		exe: regexp.MustCompile(`^perl[\d.]*$`), stop: []string{"-e", "-E", "-"}, valued: []string{"-I"}, projects: []string{"cpanfile", "Makefile.PL"},
		imports: regexp.MustCompile(`(?m)^[ \t]*(?:require|do)[ \t(]+["']([^"'\n]+)["']`), resolve: extension(".pl"),
	},
	{
		exe: regexp.MustCompile(`^lua(jit)?[\d.]*$`), stop: []string{"-e", "-"}, valued: []string{"-l"},
		imports: regexp.MustCompile(`\brequire[ \t(]*["']([\w.]+)["']`), resolve: luaModule,
	},
	{
		exe: regexp.MustCompile(`^php[\d.]*(-cgi)?$`), stop: []string{"-r", "-i", "-m", "-a"}, valued: []string{"-d", "-c", "-z", "-S"}, files: []string{"-f", "-t"},
		projects: []string{"composer.json"}, imports: regexp.MustCompile(`(?:include|require)(?:_once)?[ \t(]*(?:__DIR__[ \t]*\.)?[ \t]*["']([^"'\n]+)["']`), resolve: extension(".php"),
	},
	{
		exe: regexp.MustCompile(`^java$`), stop: []string{"-version", "--version"}, valued: []string{"-m", "--module", "--add-modules", "--add-opens", "--add-exports"},
		files: []string{"-jar", "-cp", "-classpath", "--class-path", "-p", "--module-path"},
	},
}

// source brings the program of an interpreter.
func (c *collector) source() error {
	i := slices.IndexFunc(languages, func(l language) bool {
		return l.exe.MatchString(path.Base(c.real)) || l.exe.MatchString(path.Base(c.started))
	})
	if i < 0 {
		return nil
	}
	l := &languages[i]
	if c.text != "" {
		return c.sourceFile(l, c.text)
	}
	args := c.program.Args
	for at := 1; at < len(args); at++ {
		arg := args[at]
		switch {
		case slices.Contains(l.stop, arg):
			return nil
		case slices.Contains(l.files, arg) && at+1 < len(args):
			at++
			names := strings.Split(args[at], ":")
			for k, name := range names {
				var err error
				if names[k], err = c.argument(l, name); err != nil {
					return err
				}
			}
			args[at] = strings.Join(names, ":")
			if arg == "-jar" {
				return nil
			}
		case slices.Contains(l.valued, arg):
			at++
		case strings.HasPrefix(arg, "-"):
		default:
			var err error
			args[at], err = c.argument(l, arg)
			return err
		}
	}
	return nil
}

// argument brings a file or directory of the host that an argument names, if it
// is one, and returns the argument for the guest.
func (c *collector) argument(l *language, arg string) (string, error) {
	if c.program.HostDir == "" || arg == "" || path.IsAbs(arg) && c.program.Whole {
		return arg, nil
	}
	if c.program.Whole {
		if _, err := c.set.Resolve(path.Join("/", c.program.Dir, arg)); err == nil {
			return arg, nil // the tree has it
		}
	}
	host := arg
	if !path.IsAbs(arg) {
		host = filepath.Join(c.program.HostDir, arg)
	}
	dir, star := strings.CutSuffix(host, "/*") // of a class path
	info, err := os.Stat(dir)
	if err != nil {
		return arg, nil
	}
	if info.IsDir() {
		err = c.set.AddIf(dir, dir, wanted)
	} else {
		err = c.sourceFile(l, host)
	}
	if star {
		dir += "/*"
	}
	return dir, err
}

// Limits on what is followed.
const (
	maxSources = 10_000
	maxSource  = 4 << 20 // bytes of a file that is searched for imports
)

// sourceFile brings a file of the host, at its own path, and what it is made of.
func (c *collector) sourceFile(l *language, file string) error {
	if dir := l.project(filepath.Dir(file)); dir != "" {
		if err := c.set.AddIf(dir, dir, wanted); err != nil {
			return err
		}
	}
	if l.modules != "" {
		for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
			if m := filepath.Join(dir, l.modules); isDir(m) {
				if err := c.set.AddIf(m, m, nil); err != nil {
					return err
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	seen := map[string]bool{}
	for todo := []string{file}; len(todo) > 0 && len(seen) < maxSources; todo = todo[1:] {
		f := todo[0]
		if info, err := os.Stat(f); seen[f] || err != nil || !info.Mode().IsRegular() {
			continue
		}
		seen[f] = true
		if err := c.set.Add(f, f); err != nil {
			return err
		}
		if l.imports == nil {
			continue
		}
		for _, m := range l.imports.FindAllStringSubmatch(head(f), -1) {
			for _, name := range strings.Split(strings.Join(m[1:], ""), ",") {
				todo = append(todo, l.resolve(filepath.Dir(f), strings.TrimSpace(name))...)
			}
		}
	}
	return nil
}

// project returns dir, or for a language whose files lie deep in a project the
// nearest directory above, if it is one; else it is empty.
func (l *language) project(dir string) string {
	home, _ := os.UserHomeDir()
	for {
		if dir == "/" || dir == home {
			return ""
		}
		for _, p := range l.projects {
			if _, err := os.Stat(filepath.Join(dir, p)); err == nil {
				return dir
			}
		}
		if l.modules == "" {
			return ""
		}
		dir = filepath.Dir(dir)
	}
}

// wanted leaves out of a project what does not run.
func wanted(below string, d fs.DirEntry) bool {
	name := path.Base(below)
	return !d.IsDir() || name != "__pycache__" && name != ".git" && name != ".hg" && name != ".svn"
}

func isDir(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.IsDir()
}

// head is the text of a file, or nothing if it is too long for a source.
func head(name string) string {
	info, err := os.Stat(name)
	if err != nil || info.Size() > maxSource {
		return ""
	}
	data, _ := os.ReadFile(name)
	return string(data)
}

// pythonModule is a file, or a package with all that is in it.
func pythonModule(dir, name string) []string {
	for rest, ok := strings.CutPrefix(name, "."); ok; rest, ok = strings.CutPrefix(name, ".") {
		if name = rest; strings.HasPrefix(rest, ".") {
			dir = filepath.Dir(dir)
		}
	}
	name, _, _ = strings.Cut(name, ".") // what is in a package comes with it
	name, _, _ = strings.Cut(name, " ") // as another name
	if name == "" {
		return nil
	}
	files := []string{filepath.Join(dir, name+".py")}
	if p := filepath.Join(dir, name); isDir(p) {
		filepath.WalkDir(p, func(f string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && !wanted(f, d) {
				return fs.SkipDir
			}
			files = append(files, f)
			return err
		})
	}
	compiled, _ := filepath.Glob(filepath.Join(dir, name+".*.so"))
	return append(files, compiled...)
}

func nodeModule(dir, name string) []string {
	p := filepath.Join(dir, name)
	return []string{p, p + ".js", p + ".mjs", p + ".cjs", p + ".json", p + ".node", filepath.Join(p, "index.js"), filepath.Join(p, "package.json")}
}

func luaModule(dir, name string) []string {
	p := filepath.Join(dir, strings.ReplaceAll(name, ".", "/"))
	return []string{p + ".lua", filepath.Join(p, "init.lua")}
}

// extension finds files by their path, with an extension that may be left out.
func extension(ext string) func(dir, name string) []string {
	return func(dir, name string) []string {
		p := filepath.Join(dir, name)
		return []string{p, p + ext}
	}
}
