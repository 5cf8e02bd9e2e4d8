package program

// What programs open while they run cannot be read from their headers. For the
// common families it is known.

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// commonFiles are files that any program may expect, where the host has them.
var commonFiles = []string{
	"/etc/nsswitch.conf", "/etc/services", "/etc/protocols", // getaddrinfo and its like
	"/etc/localtime",
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", // what distributions call it
}

// common brings commonFiles, and what goes with the C library.
func (c *collector) common() error {
	for _, p := range commonFiles {
		c.try(p)
	}
	if !c.glibc {
		return nil
	}
	c.try("/etc/ld.so.cache")
	c.try("/etc/ld.so.preload")
	for _, name := range glibcPlugins {
		for _, l := range c.linker.Find(name) {
			if l.Path == "" {
				continue
			}
			if err := c.library(l); err != nil {
				return err
			}
		}
	}
	for _, p := range []string{"/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8"} {
		if err := c.tree(p, nil); err != nil {
			return err
		}
	}
	return nil
}

// glibcPlugins are libraries that glibc opens by name: for getaddrinfo and
// getpwnam, and for the end of a thread.
var glibcPlugins = []string{"libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1"}

// try brings a file if it is there.
func (c *collector) try(p string) { c.set.Bring(p) }

// tree brings a tree if it is there.
func (c *collector) tree(p string, keep func(string, fs.DirEntry) bool) error {
	err := c.set.BringTree(p, keep, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// trees brings several, without what is for the compiler only.
func (c *collector) trees(paths ...string) error {
	for _, p := range paths {
		if err := c.tree(p, notForCompilers); err != nil {
			return err
		}
	}
	return nil
}

func notForCompilers(p string, d fs.DirEntry) bool {
	return d.IsDir() || !slices.Contains([]string{".a", ".o", ".h"}, path.Ext(p))
}

// family is a kind of program.
type family struct {
	exe, lib *regexp.Regexp // of the program's name, and of one of its libraries; nil: no matter
	bring    func(c *collector, version string) error
}

var families = []family{
	{regexp.MustCompile(`^python(\d+\.\d+)`), regexp.MustCompile(`^libpython(\d+\.\d+)[a-z]*\.so`), (*collector).python},
	{regexp.MustCompile(`^node(js)?$`), regexp.MustCompile(`^libnode\.so`), (*collector).node},
	{regexp.MustCompile(`^ruby(\d+\.\d+)?$`), regexp.MustCompile(`^libruby`), (*collector).ruby},
	{regexp.MustCompile(`^php(\d+\.\d+|-cgi|-fpm)?`), nil, (*collector).php},
	{regexp.MustCompile(`^perl[\d.]*$`), regexp.MustCompile(`^libperl\.so`), (*collector).perl},
	{regexp.MustCompile(`^java$`), nil, (*collector).java},
	{nil, regexp.MustCompile(`^libcrypto\.so`), (*collector).openSSL},
	{nil, regexp.MustCompile(`^lib(tinfo|ncurses)w?\.so`), (*collector).terminal},
}

// families brings what the program's families need, each once.
func (c *collector) families() error {
	for i, f := range families {
		version, ok := f.match(path.Base(c.real), c.libs)
		if !ok || c.matched[i] {
			continue
		}
		c.matched[i] = true
		if err := f.bring(c, version); err != nil {
			return err
		}
	}
	return nil
}

func (f family) match(exe string, libs []string) (version string, ok bool) {
	if f.exe != nil {
		if m := f.exe.FindStringSubmatch(exe); m != nil {
			return strings.Join(m[1:], ""), true
		}
	}
	if f.lib != nil {
		for _, l := range libs {
			if m := f.lib.FindStringSubmatch(l); m != nil {
				return strings.Join(m[1:], ""), true
			}
		}
	}
	return "", false
}

// prefix is the directory that the program is installed beneath: its file is in
// PREFIX/bin.
func (c *collector) prefix() string { return path.Dir(path.Dir(c.real)) }

// python brings the standard library, without its tests, and the directories
// for packages; of a virtual environment all.
func (c *collector) python(version string) error {
	lib := path.Join(c.prefix(), "lib", "python"+version)
	keep := func(p string, d fs.DirEntry) bool {
		switch {
		case p == lib+"/test", p == lib+"/idlelib", strings.HasPrefix(p, lib+"/config-"):
			return false
		}
		return notForCompilers(p, d)
	}
	for _, p := range []string{lib, "/usr/lib/python" + version, "/usr/lib/python3/dist-packages", "/usr/local/lib/python" + version} {
		if err := c.tree(p, keep); err != nil {
			return err
		}
	}
	venv := path.Dir(path.Dir(c.started))
	if _, err := c.set.Bring(path.Join(venv, "pyvenv.cfg")); err != nil {
		return nil
	}
	return c.trees(path.Join(venv, "lib"), path.Join(venv, "bin"))
}

// node brings the packages that Debian has taken out of the program.
func (c *collector) node(string) error {
	for _, name := range []string{"acorn", "acorn-walk", "balanced-match", "brace-expansion", "cjs-module-lexer", "minimatch", "undici"} {
		if err := c.trees("/usr/share/nodejs/" + name); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) ruby(string) error {
	return c.trees(path.Join(c.prefix(), "lib/ruby"), "/usr/lib/x86_64-linux-gnu/ruby", "/var/lib/gems", "/usr/share/rubygems-integration")
}

func (c *collector) php(string) error {
	return c.trees(path.Join(c.prefix(), "lib/php"), path.Join(c.prefix(), "etc/php"), "/etc/php", "/usr/share/php")
}

func (c *collector) perl(string) error {
	return c.trees(path.Join(c.prefix(), "lib/perl5"), "/etc/perl", "/usr/share/perl", "/usr/share/perl5", "/usr/share/perl-base",
		"/usr/lib/x86_64-linux-gnu/perl", "/usr/lib/x86_64-linux-gnu/perl5", "/usr/lib/x86_64-linux-gnu/perl-base",
		"/usr/local/share/perl", "/usr/local/lib/x86_64-linux-gnu/perl")
}

// java brings the Java home, without what is for developers.
func (c *collector) java(string) error {
	home := c.prefix()
	return c.tree(home, func(p string, d fs.DirEntry) bool {
		below := strings.TrimPrefix(p, home+"/")
		return !slices.Contains([]string{"jmods", "include", "demo", "man", "lib/src.zip", "src.zip"}, below) && !strings.HasSuffix(p, ".diz")
	})
}

// openSSL brings its configuration, modules and certificates.
func (c *collector) openSSL(string) error {
	c.try("/etc/ssl/openssl.cnf")
	return c.trees("/usr/lib/ssl", "/etc/ssl/certs", "/usr/lib/x86_64-linux-gnu/ossl-modules", "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/certs")
}

// terminal brings the description of the terminal.
func (c *collector) terminal(string) error {
	term := c.program.Term
	if term == "" || strings.Contains(term, "/") {
		return nil
	}
	for _, dir := range []string{"/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"} {
		c.try(path.Join(dir, term[:1], term))
	}
	return nil
}
