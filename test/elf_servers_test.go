package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestELFRedis: every command of redis-benchmark, then persistence: an
// append-only file that is synchronised at each command, and dumps. What needs a
// second process is refused, and the server goes on.
func TestELFRedis(t *testing.T) {
	onCPUs(t, func(t *testing.T, cpus int) {
		const port = 6379
		g := serve(t, cpus, []int{port}, "--deb", "redis-server", "/usr/bin/redis-server", "--",
			"--protected-mode", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes")
		cli := func(args ...string) string {
			t.Helper()
			return client(t, "redis-tools", "usr/bin/redis-cli", append([]string{"-p", g.port(port)}, args...)...)
		}
		out := client(t, "redis-tools", "usr/bin/redis-benchmark", "-p", g.port(port), "-q", "-c", "10", "-n", "300")
		if n := strings.Count(out, "requests per second"); n < 20 || strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("redis-benchmark printed %d results:\n%s", n, out)
		}
		client(t, "redis-tools", "usr/bin/redis-benchmark", "-p", g.port(port), "-q", "-t", "set,get", "-P", "16", "-n", "3000")

		cli("set", "kept", "yes")
		for _, command := range [][]string{
			{"debug", "loadaof"}, {"save"}, {"debug", "reload"},
			{"config", "set", "appendfsync", "everysec"}, {"set", "later", "too"}, {"debug", "loadaof"},
		} {
			if got := strings.TrimSpace(cli(command...)); got != "OK" {
				t.Errorf("%v: %s", command, got)
			}
		}
		has(t, cli("mget", "kept", "later"), "yes", "too")
		has(t, cli("bgsave"), "ERR")
		has(t, cli("bgrewriteaof"), "ERR")
		has(t, cli("ping"), "PONG")
		g.stop(0)
		has(t, g.out.String(), "clone: a unikernel runs one process", "Can't save in background: fork: Function not implemented", "Redis is now ready to exit")
	})
}

// TestELFNginx: files by sendfile over kept connections, compressed, over TLS and
// HTTP/2, and under load.
func TestELFNginx(t *testing.T) {
	site := t.TempDir()
	small := strings.Repeat("Kiln serves. ", 48)[:612]
	large := make([]byte, 3<<20+17)
	rand.Read(large)
	write(t, filepath.Join(site, "small.html"), []byte(small))
	write(t, filepath.Join(site, "large.bin"), large)
	write(t, filepath.Join(site, "text.html"), bytes.Repeat([]byte("all work and no play\n"), 5000))
	certificate(t, site)
	onCPUs(t, func(t *testing.T, cpus int) {
		g := serve(t, cpus, []int{80, 443}, "-v", site+":/site", "-v", "./test/programs/nginx.conf:/etc/nginx/nginx.conf", "deb:nginx", "--",
			"-g", "daemon off; master_process off;")
		for range 3 { // connections are kept
			if got := httpGet(t, http.DefaultClient, g.url(80)+"/small.html"); string(got) != small {
				t.Errorf("small.html came as %q", got)
			}
			if got := httpGet(t, http.DefaultClient, g.url(80)+"/large.bin"); !bytes.Equal(got, large) {
				t.Errorf("large.bin came wrong: %d bytes, not %d", len(got), len(large))
			}
		}
		insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
		defer insecure.CloseIdleConnections()
		if got := httpGet(t, insecure, "https://"+g.addr(443)+"/large.bin"); !bytes.Equal(got, large) {
			t.Errorf("large.bin came wrong over TLS: %d bytes, not %d", len(got), len(large))
		}
		headers := client(t, "curl", "usr/bin/curl", "-sS", "--compressed", "-D", "-", "-o", os.DevNull, g.url(80)+"/text.html")
		has(t, headers, "200 OK", "Content-Encoding: gzip")
		out := client(t, "curl", "usr/bin/curl", "-sS", "-k", "-w", "%{http_version} %{http_code}", "-r", "100-199", "-o", os.DevNull, "https://"+g.addr(443)+"/large.bin")
		has(t, out, "2 206")
		out = client(t, "wrk", "usr/bin/wrk", "-t", "1", "-c", "20", "-d", "2s", g.url(80)+"/small.html")
		has(t, out, "Requests/sec")
		if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
			t.Errorf("wrk met errors:\n%s", out)
		}
		http.DefaultClient.CloseIdleConnections()
		g.stop(0)
	})
}

// TestELFMemcached: its text protocol from several connections at once.
func TestELFMemcached(t *testing.T) {
	onCPUs(t, func(t *testing.T, cpus int) {
		const port = 11211
		g := serve(t, cpus, []int{port}, "deb:memcached", "--", "-u", "root", "-t", "4", "-m", "32")
		const clients, keys = 8, 200
		errs := make(chan error, clients)
		for id := range clients {
			go func() { errs <- memcachedClient(g.addr(port), id, keys) }()
		}
		for range clients {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		g.stop(0)
	})
}

func memcachedClient(addr string, id, keys int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	for k := range keys {
		value := strings.Repeat(fmt.Sprintf("%d.%d ", id, k), 1+k*3)
		ask := fmt.Sprintf("set k%d.%d 7 0 %d\r\n%s\r\nget k%[1]d.%[2]d\r\n", id, k, len(value), value)
		want := fmt.Sprintf("STORED\r\nVALUE k%d.%d 7 %d\r\n%s\r\nEND\r\n", id, k, len(value), value)
		if _, err := io.WriteString(c, ask); err != nil {
			return err
		}
		got := make([]byte, len(want))
		if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
			return fmt.Errorf("memcached answered %q, %v", got[:n], err)
		}
	}
	return nil
}

func httpGet(t *testing.T, c *http.Client, url string) []byte {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK {
		t.Errorf("%s: %s\n%s", url, r.Status, data)
	}
	return data
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// certificate writes a self-made certificate and its key into dir.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kiln.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"kiln.test"}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}
