package debian

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// archive makes a Debian archive in a directory, and has apt use it by file: or
// copy: and nothing else. Each package is a control file and the files in it: a mode and a text, or
// a link.
func archive(t *testing.T, scheme string, packages map[string]string, files map[string]map[string]string) (dir string) {
	t.Helper()
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here", tool)
		}
	}
	dir = t.TempDir()
	var index bytes.Buffer
	for name, control := range packages {
		control = "Package: " + name + "\nArchitecture: amd64\nMaintainer: nobody <n@example.com>\nDescription: test\n" + control
		src := filepath.Join(t.TempDir(), name)
		putFile(t, src, "DEBIAN/control", control)
		for file, text := range files[name] {
			putFile(t, src, file, text)
		}
		deb := filepath.Join(dir, name+".deb")
		run(t, "dpkg-deb", "--root-owner-group", "-b", src, deb)
		data, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&index, "%sFilename: ./%s.deb\nSize: %d\nSHA256: %x\n\n", control, name, len(data), sha256.Sum256(data))
	}
	if err := os.WriteFile(filepath.Join(dir, "Packages"), index.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	for _, d := range []string{"lists/partial", "cache", "etc"} {
		if err := os.MkdirAll(filepath.Join(state, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	putFile(t, state, "etc/sources.list", "deb [trusted=yes] "+scheme+":"+dir+" ./\n")
	putFile(t, state, "etc/apt.conf", fmt.Sprintf("Dir::State::lists %q;\nDir::Etc::sourcelist %q;\nDir::Etc::sourceparts \"-\";\nDir::Cache %q;\nAPT::Sandbox::User \"root\";\n",
		state+"/lists", state+"/etc/sources.list", state+"/cache"))
	t.Setenv("APT_CONFIG", filepath.Join(state, "etc/apt.conf"))
	run(t, "apt-get", "update", "-qq", "-o", "Debug::NoLocking=1")
	return dir
}

func putFile(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	err := os.MkdirAll(filepath.Dir(p), 0o755)
	if target, ok := strings.CutPrefix(text, "-> "); ok && err == nil {
		err = os.Symlink(target, p)
	} else if err == nil {
		mode := os.FileMode(0o644)
		if strings.Contains(name, "bin/") {
			mode = 0o755
		}
		err = os.WriteFile(p, []byte(text), mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func example(t *testing.T, scheme string) string {
	return archive(t, scheme, map[string]string{
		"server":   "Version: 1:2.0-1\nDepends: libserve (>= 1), adduser, debconf (>= 0.5) | debconf-2.0\n",
		"libserve": "Version: 1.5\n", "adduser": "Version: 3\nDepends: perl-base\n", "perl-base": "Version: 5\n", "debconf": "Version: 1\n",
		"tools": "Version: 1\n", "broken": "Version: 1\nDepends: nowhere\n", "data": "Version: 1\n",
	}, map[string]map[string]string{
		"server":   {"usr/sbin/server": "S", "etc/server/conf": "c", "usr/share/doc/server/copyright": "d", "usr/bin/helper": "h", "var/lib/server/x": ""},
		"libserve": {"lib/x86_64-linux-gnu/libserve.so.1.5": "L", "lib/x86_64-linux-gnu/libserve.so.1": "-> libserve.so.1.5", "usr/lib/x": "x"},
		"tools":    {"bin/a": "a", "usr/bin/b": "-> a"},
		"data":     {"usr/share/data": "d"},
		"adduser":  {"usr/sbin/adduser": "p"},
	})
}

func TestPackages(t *testing.T) {
	example(t, "copy")
	o := Options{Cache: t.TempDir()}
	fetched := 0
	o.Fetching = func(n int, _ int64) { fetched += n }
	tree, err := Packages(t.Context(), []string{"server"}, o)
	if err != nil {
		t.Fatal(err)
	}
	if fetched != 2 {
		t.Errorf("%d packages fetched", fetched)
	}
	var got []string
	filepath.WalkDir(tree.Dir, func(p string, d os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(tree.Dir, p); !d.IsDir() {
			got = append(got, rel)
		}
		return err
	})
	want := []string{"bin", "etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/server/conf", "lib", "lib64", "sbin", "usr/bin/helper", "usr/lib/x",
		"usr/lib/x86_64-linux-gnu/libserve.so.1", "usr/lib/x86_64-linux-gnu/libserve.so.1.5", "usr/sbin/server", "var/lib/server/x"}
	if slices.Sort(got); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if p, err := tree.Program(); p != "/usr/sbin/server" || err != nil {
		t.Errorf("%q, %v", p, err)
	}
	// The second time it is in the cache.
	for _, name := range []string{"server=1:2.0-1", "server"} {
		fetched = 0
		again, err := Packages(t.Context(), []string{name}, o)
		if err != nil || again.Dir != tree.Dir || fetched != 0 {
			t.Errorf("%+v, %v, %d fetched", again, err, fetched)
		}
	}
}

func TestWhichProgram(t *testing.T) {
	example(t, "file")
	o := Options{Cache: t.TempDir()}
	for name, want := range map[string]string{
		"tools": `package tools has several programs: name one, as in "kiln run --deb tools /bin/a"; there are /bin/a, /usr/bin/b`,
		"data":  `package data has no programs of its own: name one of another package, as in "kiln run --deb data /usr/bin/NAME"`,
	} {
		tree, err := Packages(t.Context(), []string{name}, o)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := tree.Program(); err == nil || err.Error() != want {
			t.Errorf("%s: %q, %v", name, p, err)
		}
	}
}

func TestUnknownPackages(t *testing.T) {
	example(t, "file")
	const old = "; if this computer's lists are old or missing, run: sudo apt-get update"
	for name, want := range map[string]string{
		"nothing":    "apt knows no package nothing" + old,
		"server=9":   "apt: Version '9' for 'server' was not found" + old,
		"broken":     "apt cannot resolve what broken depends on: broken : Depends: nowhere but it is not installable",
		"-o":         `"-o" is not the name of a package: write it as NAME or NAME=VERSION`,
		"./x.deb":    `"./x.deb" is not the name of a package: write it as NAME or NAME=VERSION`,
		"libserve-":  `"libserve-" is not the name of a package: write it as NAME or NAME=VERSION`,
		"":           `"" is not the name of a package: write it as NAME or NAME=VERSION`,
		"two things": `"two things" is not the name of a package: write it as NAME or NAME=VERSION`,
	} {
		if _, err := Packages(t.Context(), []string{name}, Options{Cache: t.TempDir()}); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", name, err, want)
		}
	}
}

// A package that is not the one of apt's lists is refused.
func TestForgedPackage(t *testing.T) {
	for _, scheme := range []string{"file", "copy"} {
		t.Run(scheme, func(t *testing.T) { testForged(t, scheme) })
	}
}

func testForged(t *testing.T, scheme string) {
	dir := example(t, scheme)
	data, err := os.ReadFile(filepath.Join(dir, "tools.deb"))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(filepath.Join(dir, "tools.deb"), data, 0o666); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	if _, err := Packages(t.Context(), []string{"tools"}, Options{Cache: cache}); err == nil {
		t.Error("a forged package was accepted")
	} else {
		t.Log(err)
	}
	if found, _ := filepath.Glob(filepath.Join(cache, "debian/root/*")); len(found) > 0 {
		t.Errorf("%q", found)
	}
}

func TestResolvedRoundTrip(t *testing.T) {
	debs := []deb{{file: "a_1_amd64.deb", size: 12, sha256: "ab"}, {file: "b_1%3a2_all.deb", size: 3, sha256: "cd", local: "/a directory/b.deb"}}
	text := encode(debs)
	if got := decode(text); !reflect.DeepEqual(got, debs) {
		t.Errorf("%+v", got)
	}
	for n := range text {
		if got := decode(text[:n]); got != nil {
			t.Errorf("%q passes for all", text[:n])
		}
	}
	if got := decode("../../etc/x 1 2 3\nend\n"); got != nil {
		t.Errorf("%+v", got)
	}
}

// New lists are looked at.
func TestListsAreFollowed(t *testing.T) {
	example(t, "file")
	a, err := newApt([]string{"server"}, Options{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(a.tmp)
	before := a.key(t.Context())
	if before == "" || a.key(t.Context()) != before {
		t.Fatalf("key %q", before)
	}
	example(t, "file")
	if a.key(t.Context()) == before {
		t.Error("other lists have the same key")
	}
}

// What a package holds cannot lead out of the tree.
func TestExtractStaysInside(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	inside := filepath.Join(dir, "tree")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, entries := range map[string][]tar.Header{
		"dots": {{Name: "../outside", Typeflag: tar.TypeReg, Mode: 0o644}},
		"link": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/outside", Typeflag: tar.TypeReg, Mode: 0o644}},
		"abs":  {{Name: "m", Typeflag: tar.TypeSymlink, Linkname: dir}, {Name: "m/outside", Typeflag: tar.TypeReg, Mode: 0o644}},
		"hard": {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../../../../etc/passwd"}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range entries {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		root, err := os.OpenRoot(inside)
		if err != nil {
			t.Fatal(err)
		}
		_, err = extract(root, tar.NewReader(&b), map[string]Owner{})
		root.Close()
		if _, there := os.Lstat(outside); there == nil {
			t.Errorf("%s: wrote outside of the tree", name)
		}
		if err == nil && name != "dots" { // its dots are dropped
			t.Errorf("%s: was accepted", name)
		}
	}
}
