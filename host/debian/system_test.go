package debian

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// obeyed does something to a tree with some files. see tells what is at a
// path: a text, a link, a directory, or nothing.
func obeyed(t *testing.T, files map[string]string, do func(*system)) (s *system, see func(string) string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		putFile(t, dir, name, text)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	s = newSystem(root)
	do(s)
	return s, func(name string) string {
		p := filepath.Join(dir, name)
		info, err := os.Lstat(p)
		switch {
		case err != nil:
			return ""
		case info.IsDir():
			return "dir"
		case info.Mode()&os.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			return "-> " + to
		}
		data, _ := os.ReadFile(p)
		return string(data)
	}
}

func script(text string) func(*system) { return func(s *system) { s.obey(text) } }

func TestUsers(t *testing.T) {
	s, see := obeyed(t, nil, script(`
		addgroup --system memcache
		adduser --system --ingroup memcache --home /nonexistent --gecos "Memory, cached" --shell /bin/false memcache
		adduser --system --group --home /var/lib/redis redis
		useradd -r -d /srv -g daemon -s /bin/sh worker
		adduser --system plain
		adduser --system --group redis       # the second time
		adduser redis memcache               # becomes a member
		adduser --system 'bad:name'
		adduser --system --gecos 'a:b' odd
		groupadd -g 500 five; addgroup --gid 500 other
		addgroup --group x; adduser --group y
	`))
	if err := s.write(filepath.Join(t.TempDir(), "owners")); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		"etc/passwd": {"memcache:x:100:100:Memory, cached:/nonexistent:/bin/false", "redis:x:101:101::/var/lib/redis:/usr/sbin/nologin",
			"worker:x:102:1::/srv:/bin/sh", "plain:x:103:65534::/nonexistent:/usr/sbin/nologin", "odd:x:104:65534::/nonexistent:/usr/sbin/nologin"},
		"etc/group": {"memcache:x:100:", "redis:x:101:", "five:x:500:", "other:x:102:", "x:x:103:", "y:x:104:"},
	} {
		text := see(file)
		_, added, _ := strings.Cut(text, "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
		if file == "etc/group" {
			_, added, _ = strings.Cut(text, "nogroup:x:65534:\n")
		}
		if got := strings.Fields(strings.ReplaceAll(added, " ", "_")); !reflect.DeepEqual(got, strings.Fields(strings.ReplaceAll(strings.Join(want, "\n"), " ", "_"))) {
			t.Errorf("%s:\n got %q\nwant %q", file, got, want)
		}
	}
	if see("var/lib/redis") != "dir" || s.owners["var/lib/redis"] != (Owner{101, 101}) {
		t.Errorf("home: %q, %v", see("var/lib/redis"), s.owners)
	}
}

func TestFilesOfScripts(t *testing.T) {
	s, see := obeyed(t, map[string]string{"usr/share/x/default": "D", "etc/kept": "old", "var/www/a/b": "b", "usr/bin/vim.tiny": "v", "usr/bin/vim.best": "w"}, script(`
		mkdir -p -m 700 /var/lib/x
		install -d -o www-data -g adm /var/log/x "/var/cache/x"
		install -o www-data /usr/share/x/default /etc/installed
		ucf --three-way /usr/share/x/default /etc/x.conf
		cp -p /usr/share/x/default /etc/kept
		cp /usr/share/x/default /var/www
		ln -s ../x.conf /etc/x.d/link; ln -sf other /etc/kept; ln /etc/kept /etc/hard
		touch /var/log/x/log
		chown -R www-data: /var/www; chown daemon.adm /var/log/x/log /none
		dpkg-statoverride --update --add root adm 640 /etc/x.conf
		update-alternatives --install /usr/bin/vi vi /usr/bin/vim.tiny 10 --slave /usr/share/vi vi.1 /none
		update-alternatives --install /usr/bin/vi vi /usr/bin/vim.best 30
		mkdir /../../out relative; touch /proc%n; ln -s / /
		rm -rf /etc
	`))
	s.choose()
	for name, want := range map[string]string{
		"var/lib/x": "dir", "var/log/x": "dir", "var/cache/x": "dir", "etc/installed": "D", "etc/x.conf": "D", "etc/kept": "old", "var/www/default": "D",
		"etc/x.d/link": "-> ../x.conf", "etc/hard": "", "out": "dir", "relative": "", "proc%n": "",
		"usr/bin/vi": "-> /etc/alternatives/vi", "etc/alternatives/vi": "-> /usr/bin/vim.best", "usr/share/vi": "",
	} {
		if got := see(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	want := map[string]Owner{
		"var/log/x": {33, 4}, "var/cache/x": {33, 4}, "etc/installed": {33, 0}, "etc/x.conf": {0, 4}, "var/log/x/log": {1, 4},
		"var/www": {33, 33}, "var/www/a": {33, 33}, "var/www/a/b": {33, 33}, "var/www/default": {33, 33},
	}
	if !reflect.DeepEqual(s.owners, want) {
		t.Errorf("owners: got %v, want %v", s.owners, want)
	}
}

func TestDirectoriesOfUsers(t *testing.T) {
	s, _ := obeyed(t, nil, script("adduser --system --no-create-home mysql; mkdir -p /var/lib/mysql /var/log/mysql /var/lib/other /var/log/www-data; chown root:adm /var/log/mysql"))
	s.ownDirs()
	want := map[string]Owner{"var/lib/mysql": {100, 65534}, "var/log/mysql": {0, 4}}
	if !reflect.DeepEqual(s.owners, want) {
		t.Errorf("%v", s.owners)
	}
}

func TestSystemdFiles(t *testing.T) {
	s, see := obeyed(t, map[string]string{
		"usr/lib/sysusers.d/a.conf":           "# users\nu srv - \"A server\" /var/lib/srv -\nu! fixed 77:www-data - - -\ng staff2 88\n",
		"usr/lib/tmpfiles.d/a.conf":           "d /run/srv 0750 srv srv - -\nL+ /etc/l - - - - ../target\nf /etc/f 0644 root adm - text\nd /run/%i - - - -\n",
		"usr/lib/systemd/system/srv.service":  "[Service]\nUser=srv\n#Group=x\nRuntimeDirectory=srv2 srv3/sub\nStateDirectory=srv\nExecStartPre=-/bin/mkdir -p /opt/data\n",
		"usr/lib/systemd/system/srv@.service": "[Service]\nRuntimeDirectory=srv-%i\n",
	}, func(s *system) { s.sysusers(); s.units() })
	for name, want := range map[string]string{
		"run/srv": "dir", "etc/l": "-> ../target", "etc/f": "text", "run/srv2": "dir", "run/srv3/sub": "dir", "var/lib/srv": "dir", "opt/data": "dir", "run/%i": "", "run/srv-%i": "",
	} {
		if got := see(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if u, _ := find(s.users, "fixed"); u.id != 77 || u.group != 33 {
		t.Errorf("%+v", u)
	}
	if s.owners["run/srv"] != (Owner{100, 100}) || s.owners["etc/f"] != (Owner{0, 4}) {
		t.Errorf("%v", s.owners)
	}
}

func TestModules(t *testing.T) {
	s, see := obeyed(t, map[string]string{
		"etc/apache2/mods-available/a.load": "# Depends: b a\nLoad a", "etc/apache2/mods-available/b.load": "b", "etc/apache2/mods-available/b.conf": "b",
		"etc/apache2/sites-available/000-default.conf": "s",
		"etc/php/8.2/mods-available/opcache.ini":       "; priority=10\nx", "etc/php/8.2/mods-available/xml.ini": "x", "usr/lib/php/8.2/sapi/cli": "", "usr/lib/php/8.2/sapi/fpm": "",
	}, script("a2enmod -q a; a2ensite 000-default; php_invoke enmod 8.2 ALL opcache; php_invoke enmod 8.2 cli xml; a2enmod ../x"))
	s.loadPHP()
	for name, want := range map[string]string{
		"etc/apache2/mods-enabled/a.load": "-> ../mods-available/a.load", "etc/apache2/mods-enabled/b.conf": "-> ../mods-available/b.conf", "etc/apache2/mods-enabled/b.load": "-> ../mods-available/b.load",
		"etc/apache2/sites-enabled/000-default.conf": "-> ../sites-available/000-default.conf",
		"etc/php/8.2/fpm/conf.d/10-opcache.ini":      "-> /etc/php/8.2/mods-available/opcache.ini", "etc/php/8.2/cli/conf.d/20-xml.ini": "-> /etc/php/8.2/mods-available/xml.ini",
		"etc/php/8.2/fpm/conf.d/20-xml.ini": "",
	} {
		if got := see(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// Links that lead out of the tree are no way out of it.
func TestEscapes(t *testing.T) {
	outside := t.TempDir()
	obeyed(t, map[string]string{"out": "-> " + outside, "usr/x": "x"}, script("mkdir /out/dir; touch /out/file; cp /usr/x /out/copy; ln -s a /out/link; chown -R daemon /out"))
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

func TestServices(t *testing.T) {
	if s, ok := ServiceOf("/usr/sbin/nginx"); !ok || len(s.Args) != 2 {
		t.Errorf("nginx: %+v", s)
	}
	if s, ok := ServiceOf("/usr/lib/postgresql/15/bin/postgres"); !ok || s.Cannot == "" {
		t.Errorf("postgres: %+v", s)
	}
	if s, ok := ServiceOf("/usr/bin/hello"); ok {
		t.Errorf("hello: %+v", s)
	}
}

func TestProgramOfPackage(t *testing.T) {
	for _, c := range []struct{ pkg, programs, want string }{
		{"one", "one /usr/bin/x", "/usr/bin/x"},
		{"srv", "srv /usr/bin/a,srv /usr/sbin/srv", "/usr/sbin/srv"},
		{"python3", "python3 /usr/bin/pdb3,python3 /usr/bin/pydoc3,python3-minimal /usr/bin/python3", "/usr/bin/python3"},
		{"nginx-light", "nginx /usr/sbin/nginx", "/usr/sbin/nginx"},
		{"redis-server", "redis-server /usr/bin/redis-server,redis-tools /usr/bin/redis-cli", "/usr/bin/redis-server"},
		{"postgresql-15", "postgresql-15 /usr/lib/postgresql/15/bin/initdb,postgresql-15 /usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/15/bin/postgres"},
		{"default-jre-headless", "openjdk-17-jre-headless /usr/lib/jvm/x/bin/java,openjdk-17-jre-headless /usr/lib/jvm/x/bin/keytool", "/usr/lib/jvm/x/bin/java"},
		{"mosquitto", "mosquitto /usr/bin/mosquitto_passwd,mosquitto /usr/sbin/mosquitto", "/usr/sbin/mosquitto"},
		{"ssh", "a /usr/bin/ssh,ssh /opt/bin/ssh,ssh /opt/bin/y", "/opt/bin/ssh"},
		{"tools", "tools /usr/bin/a,tools /usr/bin/b", ""},
	} {
		tree := &Tree{Dir: t.TempDir(), named: []string{c.pkg}}
		for _, p := range strings.Split(c.programs, ",") {
			pkg, file, _ := strings.Cut(p, " ")
			tree.programs = append(tree.programs, programFile{pkg, file})
		}
		if got, err := tree.Program(); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", c.pkg, got, err)
		}
	}
}

// Whatever an archive says, nothing is written outside of the tree, and the
// links that merge directories stay.
func FuzzExtract(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "./bin/a", Typeflag: tar.TypeReg, Size: 1, Mode: 0o755}, {Name: "../x", Typeflag: tar.TypeReg, Size: 1}, {Name: "bin", Typeflag: tar.TypeSymlink, Linkname: "../.."},
		{Name: "l", Typeflag: tar.TypeLink, Linkname: "/bin/a"}, {Name: "usr", Typeflag: tar.TypeDir}, {Name: "dev", Typeflag: tar.TypeChar},
	} {
		w.WriteHeader(&h)
		w.Write([]byte("x")[:h.Size])
	}
	w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "tree")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if err := begin(root); err != nil {
			t.Fatal(err)
		}
		extract(root, tar.NewReader(io.LimitReader(bytes.NewReader(data), 1<<20)), map[string]Owner{})
		if left, _ := os.ReadDir(outer); len(left) != 1 {
			t.Errorf("written outside of the tree: %v", left)
		}
	})
}

func FuzzUnits(f *testing.F) {
	f.Add("u a 5:b \"c d\" / /\ng x -\n", "d /run/a 0755 root root - -\nL /x - - - - /y\n", "[Service]\nRuntimeDirectory=a b\nUser=x\nExecStartPre=-mkdir /x\n")
	f.Fuzz(func(t *testing.T, users, files, unit string) {
		s, _ := obeyed(t, nil, func(s *system) {
			for _, l := range table(users) {
				s.sysuser(l)
			}
			for _, l := range table(files) {
				s.tmpfile(l)
			}
			s.unit(unit)
		})
		for _, u := range append(s.users, s.groups...) {
			if strings.ContainsAny(u.name+u.text, "\n") || strings.Contains(u.name, ":") {
				t.Errorf("a line of /etc/passwd would be broken by %q", u.name+":"+u.text)
			}
		}
	})
}
