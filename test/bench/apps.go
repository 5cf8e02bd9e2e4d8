package main

// The Linux programs of the ELF rows, and the directory from which each guest
// takes them: a root with the program, its dynamic linker and libraries, and
// its files, the same for all guests. The libraries are those that the host's
// dynamic linker finds, since Debian's packages are unpacked without what they
// depend on.

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"kiln/test/bench/linux"
)

//go:embed elf/micro.c
var microSource []byte

//go:embed elf/init.c
var initSource []byte

//go:embed elf/pace.c
var paceSource []byte

// App is a Linux program. Files whose contents depend on the port, and the
// arguments, are made for the place where the root is: "/" in a guest.
type App struct {
	Name  string
	Exe   string // its path in the root
	Args  func(root string, port int) []string
	Files func(port int) map[string]string // by path in the root; nil: none
	Ready probe                            // nil: it has no network
	root  func(ctx context.Context, p *apps, dir string) error
}

const (
	libDir = "/lib/x86_64-linux-gnu"
	linker = "/lib64/ld-linux-x86-64.so.2"
)

// serverPackages are the servers, the clients, and the libraries that a
// Debian system with a C compiler may lack.
var serverPackages = []string{
	"redis-server", "redis-tools", "libatomic1", "libjemalloc2", "liblzf1",
	"nginx", "libpcre2-8-0", "libssl3", "zlib1g", "libcrypt1",
}

var (
	micro = &App{
		Name: "micro", Exe: "/micro",
		Args: func(string, int) []string { return nil },
		root: func(ctx context.Context, p *apps, dir string) error {
			return p.compile(ctx, microSource, filepath.Join(dir, "micro"))
		},
	}
	redis = &App{
		Name: "redis", Exe: "/usr/bin/redis-server", Ready: probeRedis,
		// Without snapshots it needs no second process.
		Args: func(root string, port int) []string {
			return []string{"--port", strconv.Itoa(port), "--bind", "0.0.0.0", "--protected-mode", "no",
				"--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", filepath.Join(root, "tmp")}
		},
		root: func(ctx context.Context, p *apps, dir string) error {
			return p.install(ctx, dir, "/usr/bin/redis-server")
		},
	}
	nginx = &App{
		Name: "nginx", Exe: "/usr/sbin/nginx", Ready: probeHTTP,
		Args: func(root string, _ int) []string {
			return []string{"-p", root, "-e", "stderr", "-c", "etc/nginx.conf"}
		},
		Files: func(port int) map[string]string {
			return map[string]string{
				"/etc/nginx.conf":      fmt.Sprintf(nginxConf, port),
				"/etc/passwd":          "root:x:0:0:root:/:/bin/sh\n",
				"/etc/group":           "root:x:0:\n",
				"/srv/www/index.html":  strings.Repeat("<p>a page</p>\n", 44)[:612],
				"/var/log/nginx/empty": "", // it opens logs there before it has read that there are none
			}
		},
		root: func(ctx context.Context, p *apps, dir string) error { return p.install(ctx, dir, "/usr/sbin/nginx") },
	}
)

// nginxConf keeps nginx in one process. Its paths are relative to -p.
const nginxConf = `daemon off;
master_process off;
user root;
pid tmp/nginx.pid;
events { worker_connections 512; }
http {
	access_log off;
	sendfile on;
	keepalive_requests 1000000000;
	default_type text/html;
	client_body_temp_path tmp/body;
	proxy_temp_path tmp/proxy;
	fastcgi_temp_path tmp/fastcgi;
	uwsgi_temp_path tmp/uwsgi;
	scgi_temp_path tmp/scgi;
	server {
		listen %d;
		root srv/www;
	}
}
`

// apps makes the roots.
type apps struct {
	*builder
	store *linux.Store
}

// compile builds a static program from C.
func (b *builder) compile(ctx context.Context, source []byte, path string, flags ...string) error {
	if len(flags) == 0 {
		flags = []string{"-static", "-pthread"}
	}
	c := exec.CommandContext(ctx, "gcc", append(flags, "-O2", "-x", "c", "-o", path, "-")...)
	c.Stdin = bytes.NewReader(source)
	return b.run(c)
}

// paced is a variable that has a client open its connections one after another
// (elf/pace.c).
func (p *apps) paced(ctx context.Context) (string, error) {
	path, err := p.make("pace.so", func(path string) error {
		return p.compile(ctx, paceSource, path, "-shared", "-fPIC")
	})
	return "LD_PRELOAD=" + path, err
}

// packages returns the directory with the unpacked packages.
func (p *apps) packages(ctx context.Context) (string, error) {
	return p.store.Packages(ctx, serverPackages...)
}

// install copies a program of the packages, and what it needs to start.
func (p *apps) install(ctx context.Context, dir, exe string) error {
	root, err := p.packages(ctx)
	if err != nil {
		return err
	}
	file, err := filepath.EvalSymlinks(filepath.Join(root, exe))
	if err != nil {
		return err
	}
	if err := place(file, filepath.Join(dir, exe)); err != nil {
		return err
	}
	libs, err := libraries(ctx, root, file)
	if err != nil {
		return err
	}
	for _, lib := range libs {
		if err := place(lib, filepath.Join(dir, libDir, filepath.Base(lib))); err != nil {
			return err
		}
	}
	return place(linker, filepath.Join(dir, linker))
}

// libraries returns the files that a dynamic program loads when it starts,
// preferring those of the packages in root.
func libraries(ctx context.Context, root, exe string) ([]string, error) {
	c := exec.CommandContext(ctx, "ldd", exe)
	c.Env = append(os.Environ(), libraryPath(root))
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", exe, err)
	}
	return parseLdd(string(out))
}

// libraryPath is a variable that has the dynamic linker look in a root.
func libraryPath(root string) string {
	return "LD_LIBRARY_PATH=" + filepath.Join(root, "usr", libDir) + ":" + filepath.Join(root, libDir)
}

// parseLdd reads lines of ldd: "NAME => PATH (ADDRESS)", "PATH (ADDRESS)" for
// the dynamic linker, and the vDSO's, which has no path.
func parseLdd(out string) (paths []string, err error) {
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 3 && fields[1] == "=>" && strings.HasPrefix(fields[2], "/"):
			paths = append(paths, fields[2])
		case len(fields) >= 3 && fields[1] == "=>":
			err = errors.Join(err, fmt.Errorf("the library %s is missing: install its package", fields[0]))
		case len(fields) > 0 && strings.HasPrefix(fields[0], "/"):
			paths = append(paths, fields[0])
		}
	}
	return paths, err
}

// place copies a program or library, with its directories.
func place(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return write(to, data, 0o755)
}

func write(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, mode)
}

// Root returns an app's directory with the files for a port. It differs for
// each port, since natively there is no other place for them.
func (p *apps) Root(ctx context.Context, a *App, port int) (string, error) {
	return p.make(fmt.Sprintf("%s-%d", a.Name, port), func(dir string) error {
		base, err := p.make(a.Name, func(dir string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			return a.root(ctx, p, dir)
		})
		if err != nil {
			return err
		}
		return fill(dir, base, a, port)
	})
}

// fill makes dir a tree of hard links to what base has, with the app's files
// for a port.
func fill(dir, base string, a *App, port int) error {
	err := filepath.WalkDir(base, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, base))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		return os.Link(path, to)
	})
	if err != nil || a.Files == nil {
		return errors.Join(err, os.MkdirAll(filepath.Join(dir, "tmp"), 0o777))
	}
	for name, text := range a.Files(port) {
		if err := write(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(dir, "tmp"), 0o777)
}

// prepare makes what takes long: the kernels, and the roots of all apps.
func (p *apps) prepare(ctx context.Context) error {
	if _, err := p.store.Trimmed(ctx, linux.UP); err != nil {
		return err
	}
	if _, err := p.store.Debian(ctx); err != nil {
		return err
	}
	for _, a := range []*App{micro, redis, nginx} {
		if _, err := p.Root(ctx, a, guestPort); err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
	}
	return nil
}
