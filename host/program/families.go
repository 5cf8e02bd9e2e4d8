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

	"kiln/host/elf"
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
	c.settings()
	if c.converts() {
		return c.trees("/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib64/gconv", "/usr/lib/gconv")
	}
	return nil
}

// settings brings what variables choose: the locale and the time zone.
func (c *collector) settings() {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_TIME", "LC_NUMERIC", "LC_MESSAGES", "LANG"} {
		if v, _, _ := strings.Cut(c.env(name), "."); v != "" && v != "C" && v != "POSIX" {
			c.try("/usr/lib/locale/locale-archive")
			c.try("/usr/share/locale/locale.alias")
		}
	}
	if tz := strings.TrimPrefix(c.env("TZ"), ":"); tz != "" && fs.ValidPath(tz) {
		c.try(path.Join("/usr/share/zoneinfo", tz))
	}
}

// converts tells whether the program uses iconv(3), whose character sets are
// libraries and tables. Two libraries name it without need.
func (c *collector) converts() bool {
	for _, p := range c.objects {
		if base := path.Base(p); strings.HasPrefix(base, "libc.so") || strings.HasPrefix(base, "libstdc++") {
			continue
		}
		f, err := c.set.Open(p)
		if err != nil {
			continue
		}
		ok := elf.Names(f, "iconv_open")
		f.Close()
		if ok {
			return true
		}
	}
	return false
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
	{regexp.MustCompile(`^(lua|luajit)[\d.]*$`), regexp.MustCompile(`^liblua`), (*collector).lua},
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
	dirs := []string{lib, "/usr/lib/python" + version, "/usr/lib/python3/dist-packages", "/usr/local/lib/python" + version}
	if err := c.zones(); err != nil {
		return err
	}
	if home, _, _ := strings.Cut(c.env("PYTHONHOME"), ":"); home != "" {
		dirs = append(dirs, path.Join(home, "lib", "python"+version))
	}
	for _, p := range append(dirs, strings.Split(c.env("PYTHONPATH"), ":")...) {
		if !path.IsAbs(p) {
			continue
		}
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

// zones brings the time zones, for those who open them by name, each once.
func (c *collector) zones() error {
	const zones = "/usr/share/zoneinfo"
	return c.tree(zones, func(p string, _ fs.DirEntry) bool { return p != zones+"/posix" && p != zones+"/right" })
}

// node brings the packages that Debian has taken out of the program.
func (c *collector) node(string) error {
	for _, name := range []string{"acorn", "acorn-walk", "balanced-match", "brace-expansion", "cjs-module-lexer", "minimatch", "undici"} {
		if err := c.trees("/usr/share/nodejs/" + name); err != nil {
			return err
		}
	}
	for _, p := range strings.Split(c.env("NODE_PATH"), ":") {
		if path.IsAbs(p) {
			if err := c.trees(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *collector) lua(string) error {
	return c.trees("/usr/share/lua", "/usr/local/share/lua", "/usr/lib/x86_64-linux-gnu/lua", "/usr/local/lib/lua")
}

func (c *collector) ruby(string) error {
	if err := c.zones(); err != nil {
		return err
	}
	return c.trees(path.Join(c.prefix(), "lib/ruby"), "/usr/lib/x86_64-linux-gnu/ruby", "/var/lib/gems", "/usr/share/rubygems-integration")
}

func (c *collector) php(string) error {
	if err := c.zones(); err != nil {
		return err
	}
	return c.trees(path.Join(c.prefix(), "lib/php"), path.Join(c.prefix(), "etc/php"), "/etc/php", "/usr/share/php")
}

func (c *collector) perl(string) error {
	return c.trees(path.Join(c.prefix(), "lib/perl5"), "/etc/perl", "/usr/share/perl", "/usr/share/perl5", "/usr/share/perl-base",
		"/usr/lib/x86_64-linux-gnu/perl", "/usr/lib/x86_64-linux-gnu/perl5", "/usr/lib/x86_64-linux-gnu/perl-base",
		"/usr/local/share/perl", "/usr/local/lib/x86_64-linux-gnu/perl")
}

// java brings the Java home, without what is for developers or for heaps of more
// than 32 GiB.
func (c *collector) java(string) error {
	home := c.prefix()
	return c.tree(home, func(p string, d fs.DirEntry) bool {
		below := strings.TrimPrefix(p, home+"/")
		return !slices.Contains([]string{"jmods", "include", "demo", "man", "docs", "lib/src.zip", "src.zip", "lib/ct.sym", "lib/server/classes_nocoops.jsa"}, below) && !strings.HasSuffix(p, ".diz")
	})
}

// openSSL brings its configuration, modules and certificates.
func (c *collector) openSSL(string) error {
	c.try("/etc/ssl/openssl.cnf")
	return c.trees("/usr/lib/ssl", "/etc/ssl/certs", "/usr/lib/x86_64-linux-gnu/ossl-modules", "/usr/lib/x86_64-linux-gnu/engines-3", "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/certs")
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
