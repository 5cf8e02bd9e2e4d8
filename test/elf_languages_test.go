package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const programs = "./test/programs/"

// TestELFBusybox: applets that need no second process.
func TestELFBusybox(t *testing.T) {
	dir := t.TempDir()
	numbers := bytes.Repeat([]byte("1 one\n2 two\n30 thirty\n"), 1000)
	write(t, filepath.Join(dir, "numbers"), numbers)
	write(t, filepath.Join(dir, "words"), []byte("pear\napple\nfig\napple\n"))
	for _, c := range []struct{ args, stdin, want string }{
		{"ls /data", "", "numbers\nwords\n"},
		{"cat /data/words -", "from standard input", "pear\napple\nfig\napple\nfrom standard input"},
		{"sha256sum /data/numbers", "", fmt.Sprintf("%x  /data/numbers\n", sha256.Sum256(numbers))},
		{"awk {s+=$1;n[$2]++}END{print(s,n[\"two\"])} /data/numbers", "", "33000 1000\n"},
		{"sed -n s/pp/PP/p /data/words", "", "aPPle\naPPle\n"},
		{"grep -c thirty /data/numbers", "", "1000\n"},
		{"sort -u /data/words", "", "apple\nfig\npear\n"},
		{"wc /data/numbers", "", "     3000      6000     22000 /data/numbers\n"},
		{"tar tf -", archive(t, "a/b", "a/c"), "a/b\na/c\n"},
		{"gzip -dc", compressed(t, "plain text"), "plain text"},
		{"date -u -d @86400 +%F", "", "1970-01-02\n"},
		{"find /data -name w*", "", "/data/words\n"},
		{"sh /busybox.sh", "from the console\n", "read: from the console\nwords is there\nsum 42 576\n00042|text\nwords 4, pear to apple\n/tmp\n<one>\n<two>\ntrapped\n"},
	} {
		t.Run(strings.Fields(c.args)[0], func(t *testing.T) {
			onCPUs(t, func(t *testing.T, cpus int) {
				args := []string{"-v", dir + ":/data", "-v", programs + "busybox.sh:/busybox.sh", "deb:busybox-static", "--"}
				if got := runELF(t, cpus, c.stdin, append(args, strings.Fields(c.args)...)...); got != c.want {
					t.Errorf("it printed %q, not %q", got, c.want)
				}
			})
		})
	}
}

// archive is a tar archive of empty files.
func archive(t *testing.T, names ...string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return b.String()
}

func compressed(t *testing.T, text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.String()
}

// TestELFPython: threads, asyncio, sqlite3 and more of the standard library, then
// two web servers, http.server and Flask.
func TestELFPython(t *testing.T) {
	onCPUs(t, func(t *testing.T, cpus int) {
		g := serve(t, cpus, []int{8000, 5000}, "-v", programs+"serve.py:/serve.py", "--deb", "python3-flask", "/usr/bin/python3", "--", "/serve.py")
		g.says("threads\nloops\ndatabases\n")
		g.says("system\n")
		g.says("\nserving\n") // and between the two what Flask says
		has(t, string(httpGet(t, http.DefaultClient, g.url(8000)+"/passwd")), "root:x:0:0:")
		for i := range 10 {
			has(t, post(t, fmt.Sprintf("%s/add/%d/2", g.url(5000), i), "data"), fmt.Sprintf(`"sent":4,"sum":%d`, i+2))
		}
		g.stop(0)
		has(t, g.out.String(), "shut down")
	})
}

// TestELFNode: files, streams, workers and sockets, then an HTTP server.
func TestELFNode(t *testing.T) {
	onCPUs(t, func(t *testing.T, cpus int) {
		g := serve(t, cpus, []int{8080}, "-m", "512", "-v", programs+"serve.js:/serve.js", "--deb", "nodejs", "/usr/bin/node", "--", "/serve.js")
		g.says("files\nstreams\nworkers\n")
		g.says("system\nserving\n")
		g.hello(8080)
	})
}

// TestELFJava: a virtual machine with a just-in-time compiler under pressure,
// then an HTTP server. The machine compiles the source itself.
func TestELFJava(t *testing.T) {
	onCPUs(t, func(t *testing.T, cpus int) {
		g := serve(t, cpus, []int{8080}, "-m", "1G", "-v", programs+"Stress.java:/Stress.java",
			"--deb", "openjdk-17-jdk-headless", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "--", "-Xmx96m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "/Stress.java")
		g.says("out of memory was caught\n200 threads\nmapped\nnulls\nstack overflow was caught\nserving\n")
		g.helloAndStop(8080, 143)
	})
}

// TestELFSqlite: the shell, with a script from standard input.
func TestELFSqlite(t *testing.T) {
	script, err := os.ReadFile("programs/script.sql")
	if err != nil {
		t.Fatal(err)
	}
	onCPUs(t, func(t *testing.T, cpus int) {
		got := runELF(t, cpus, string(script), "--deb", "sqlite3", "/usr/bin/sqlite3", "--", "-batch", "/tmp/db")
		if want := "wal\n10000|50005000\nok\n0\n9000\nlast|10000\nok\n"; got != want {
			t.Errorf("it printed\n%s\nnot\n%s", got, want)
		}
	})
}

// TestELFCompiled: what the compilers of this computer make.
func TestELFCompiled(t *testing.T) {
	for _, c := range []struct {
		name, source string
		compile      []string
	}{
		{"C++", "threads.cc", []string{"g++", "-O1", "-pthread"}},
		{"C++ static", "threads.cc", []string{"g++", "-O1", "-pthread", "-static"}},
		{"Rust", "std.rs", []string{"rustc", "--edition=2021", "-O"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "program")
			run(t, nil, append(c.compile, "-o", program, "programs/"+c.source)...)
			onCPUs(t, func(t *testing.T, cpus int) {
				if got, want := runELF(t, cpus, "", program), fmt.Sprintf("ok with %d CPUs\n", cpus); got != want {
					t.Errorf("it printed %q, not %q", got, want)
				}
			})
		})
	}
}

// TestELFGo: a net/http server built as for any Linux machine.
func TestELFGo(t *testing.T) {
	for _, c := range []struct{ cgo, mode string }{{"0", "exe"}, {"0", "pie"}, {"1", "exe"}, {"1", "pie"}} {
		t.Run("cgo="+c.cgo+" "+c.mode, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "web")
			if c.cgo == "1" {
				needTool(t, "gcc")
			}
			run(t, []string{"CGO_ENABLED=" + c.cgo}, "go", "build", "-buildmode="+c.mode, "-o", program, "./programs/web")
			onCPUs(t, func(t *testing.T, cpus int) {
				g := serve(t, cpus, []int{8080}, program)
				g.says(fmt.Sprintf("user root, %d CPUs, localhost [127.0.0.1", cpus))
				g.hello(8080)
			})
		})
	}
}

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(name + " is not installed: there is nothing to run")
	}
}

// run runs a compiler, if there is one.
func run(t *testing.T, env []string, args ...string) {
	t.Helper()
	needTool(t, args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// hello asks a server for "/greeting" many times, from several connections at
// once, and then has it shut down, with status 0.
func (g *guest) hello(port int) {
	g.t.Helper()
	g.helloAndStop(port, 0)
}

func (g *guest) helloAndStop(port, status int) {
	g.t.Helper()
	g.says("serving\n")
	const clients, requests = 8, 25
	errs := make(chan error, clients)
	for range clients {
		go func() { errs <- greet(g.url(port), requests) }()
	}
	for range clients {
		if err := <-errs; err != nil {
			g.t.Error(err)
		}
	}
	g.stop(status)
	has(g.t, g.out.String(), "shut down")
}

// greet sends requests over one connection.
func greet(url string, requests int) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := http.Client{Transport: transport, Timeout: time.Minute}
	for i := range requests {
		body := strings.Repeat("x", i*700)
		r, err := c.Post(url+"/greeting", "text/plain", strings.NewReader(body))
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if want := fmt.Sprintf("hello /greeting %d", len(body)); err != nil || string(got) != want {
			return fmt.Errorf("the answer is %q, not %q: %v", got, want, err)
		}
	}
	return nil
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	r, err := http.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
