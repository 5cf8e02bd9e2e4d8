package program

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sources writes files, each with a text.
func sources(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, []byte(text))
	}
	return dir
}

func TestSources(t *testing.T) {
	root := system(t)
	for name, data := range map[string][]byte{"usr/bin/node": exe(), "usr/bin/lua5.4": exe(), "usr/bin/perl": exe()} {
		write(t, root, name, data)
	}
	host := sources(t, map[string]string{
		"py/app.py": "#!/usr/bin/env python3\nimport os, sys, helper as h\nfrom pkg.sub import x\n  from .near import y\n", "py/helper.py": "import deep", "py/deep.py": "", "py/near.py": "", "py/other.py": "",
		"py/pkg/__init__.py": "", "py/pkg/sub.py": "", "py/pkg/data.txt": "d", "py/pkg/__pycache__/sub.pyc": "c", "py/_fast.cpython-311-x86_64-linux-gnu.so": "", "py/fast.py": "import _fast",
		"proj/main.py": "", "proj/pyproject.toml": "", "proj/templates/a.html": "h", "proj/.git/x": "g",
		"js/app.js": "const a = require('./lib/a'); import b from \"./b.mjs\"; require('express')", "js/lib/a.js": "require('../c')", "js/b.mjs": "", "js/c/index.js": "", "js/z.js": "",
		"js/node_modules/express/index.js": "", "node_modules/up/index.js": "",
		"pkg/package.json": "{}", "pkg/src/deep/main.js": "", "pkg/public/a.css": "",
		"lua/a.lua": "local m = require 'x.y'", "lua/x/y.lua": "", "jar/a.jar": "j", "jar/lib/b.jar": "b", "jar/lib/c.jar": "c",
	})
	for _, c := range []struct{ exe, dir, args, wantArgs, want string }{
		{"python3", "py", "app.py -v x", "HOST/py/app.py -v x", "py/app.py py/helper.py py/deep.py py/near.py py/pkg/__init__.py py/pkg/sub.py py/pkg/data.txt"},
		{"python3", "py", "-u -X dev fast.py", "-u -X dev HOST/py/fast.py", "py/fast.py py/_fast.cpython-311-x86_64-linux-gnu.so"},
		{"python3", "py", "HOST/py/deep.py", "HOST/py/deep.py", "py/deep.py"},
		{"python3", "py", "-c app.py", "-c app.py", ""},
		{"python3", "py", "-m app.py", "-m app.py", ""},
		{"python3", "py", "gone.py", "gone.py", ""},
		{"python3", "", "proj/main.py", "HOST/proj/main.py", "proj/main.py proj/pyproject.toml proj/templates/a.html"},
		{"node", "js", "--require x ./app.js", "--require x HOST/js/app.js", "js/app.js js/lib/a.js js/b.mjs js/c/index.js js/node_modules/express/index.js node_modules/up/index.js"},
		{"node", "pkg", "src/deep/main.js", "HOST/pkg/src/deep/main.js", "pkg/package.json pkg/src/deep/main.js pkg/public/a.css node_modules/up/index.js"},
		{"lua5.4", "lua", "a.lua", "HOST/lua/a.lua", "lua/a.lua lua/x/y.lua"},
		{"java", "jar", "-Xmx64m -cp a.jar:lib/* Main", "-Xmx64m -cp HOST/jar/a.jar:HOST/jar/lib/* Main", "jar/a.jar jar/lib/b.jar jar/lib/c.jar"},
		{"java", "jar", "-jar a.jar lib/b.jar", "-jar HOST/jar/a.jar lib/b.jar", "jar/a.jar"},
		{"plain", "py", "app.py", "app.py", ""},
	} {
		absolute := func(s string) []string { return strings.Fields(strings.ReplaceAll(s, "HOST", host)) }
		exe := "/usr/bin/" + c.exe
		if c.exe == "plain" {
			exe = "/bin/plain"
		}
		p := &Program{Exe: exe, Args: append([]string{c.exe}, absolute(c.args)...), HostDir: filepath.Join(host, c.dir)}
		all, err := collect(t, root, p)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range all {
			if below, ok := strings.CutPrefix(name, host+"/"); ok {
				got = append(got, below)
			}
		}
		want := strings.Fields(c.want)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s %s:\ngot  %q\nwant %q", c.exe, c.args, got, want)
		}
		if !slices.Equal(p.Args[1:], absolute(c.wantArgs)) {
			t.Errorf("%s %s: runs with %q", c.exe, c.args, p.Args)
		}
	}
}

// In a tree of the user's, what is there is meant; what is not may be a relative
// path of the host.
func TestSourcesInTree(t *testing.T) {
	root := system(t)
	write(t, root, "srv/app.py", []byte("#"))
	host := sources(t, map[string]string{"app.py": "", "new.py": ""})
	for _, c := range []struct{ arg, want string }{
		{"app.py", "app.py"}, {"new.py", host + "/new.py"}, {host + "/new.py", host + "/new.py"},
	} {
		p := &Program{Exe: "/usr/bin/python3", Args: []string{"python3", c.arg}, HostDir: host, Dir: "/srv", Whole: true}
		got, err := collect(t, root, p)
		if err != nil || p.Args[1] != c.want {
			t.Errorf("%s: %q, %v", c.arg, p.Args, err)
		}
		if brought := slices.Contains(got, host+"/new.py"); brought != (c.arg == "new.py") {
			t.Errorf("%s: brought: %v", c.arg, brought)
		}
	}
}
