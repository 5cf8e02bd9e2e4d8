package test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Programs of all kinds, each started as its manual says and asked one thing:
// that much works at first try. Without -full only those of small packages run.

// TestELFMore has programs that end by themselves.
func TestELFMore(t *testing.T) {
	for _, c := range []struct {
		name   string
		memory string
		args   []string // of kiln run, behind --deb NAME
		want   string   // a part of what it prints
		small  bool
	}{
		{name: "perl", args: []string{"/usr/bin/perl", "--", "-e", `use threads; open F, ">/tmp/x"; print F "abc"; close F; threads->create(sub { print "thread ", -s "/tmp/x", "\n" })->join`}, want: "thread 3\n", small: true},
		{name: "lua5.4", args: []string{"/usr/bin/lua5.4", "--", "-e", `local f = os.tmpname(); io.open(f, "w"):write("abc"):close(); print(io.open(f):read("a"), os.time() > 0)`}, want: "abc\ttrue\n", small: true},
		{name: "php8.2-cli", args: []string{"/usr/bin/php8.2", "--", "-r", `file_put_contents("/tmp/a", "b"); echo filesize("/tmp/a"), gethostbyname("localhost"), json_encode([1, 2]);`}, want: "1127.0.0.1[1,2]", small: true},
		{name: "ruby", args: []string{"/usr/bin/ruby", "--", "-e", `require "socket"; s = TCPServer.new("127.0.0.1", 0); Thread.new { s.accept.puts "from a thread" }; puts TCPSocket.new("127.0.0.1", s.addr[1]).gets`}, want: "from a thread\n"},
		{name: "jq", args: []string{"/usr/bin/jq", "--", "-nc", "{a: [range(3)]}"}, want: `{"a":[0,1,2]}`, small: true},
		{name: "openssl", args: []string{"/usr/bin/openssl", "--", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=kiln.test", "-keyout", "/tmp/key"}, want: "BEGIN CERTIFICATE", small: true},
		{name: "git", args: []string{"/usr/bin/git", "--", "init", "-q", "-b", "main", "/tmp/repository"}},
		{name: "gawk", args: []string{"/usr/bin/gawk", "--", `BEGIN { n = split("c a b", l); asort(l); print l[1] l[2] l[3], PROCINFO["pid"] }`}, want: "abc 1\n", small: true},
		{name: "iproute2", args: []string{"/usr/bin/ip", "--", "route"}, want: "default via 10.0.2.2 dev eth0", small: true},
		{name: "procps", args: []string{"/usr/bin/ps", "--", "-eo", "pid,comm"}, want: "    1 ps\n", small: true},
		{name: "fio", args: []string{"/usr/bin/fio", "--", "--thread", "--name=kiln", "--filename=/tmp/f", "--size=4m", "--rw=randrw", "--ioengine=io_uring", "--iodepth=8", "--verify=crc32c"}, want: "err= 0"},
		{name: "sysbench", args: []string{"/usr/bin/sysbench", "--", "threads", "--threads=16", "--events=8", "--thread-yields=50", "--time=0", "run"}, want: "total number of events:              8"},
		{name: "ffmpeg", memory: "1G", args: []string{"/usr/bin/ffmpeg", "--", "-loglevel", "info", "-f", "lavfi", "-i", "testsrc=d=1:s=160x120", "-c:v", "mpeg4", "-f", "null", "-"}, want: "Output #0, null"},
		{name: "sbcl", memory: "1G", args: []string{"/usr/bin/sbcl", "--", "--noinform", "--eval", "(progn (gc :full t) (print (expt 2 70)) (terpri) (sb-ext:exit))"}, want: "1180591620717411303424"},
		{name: "guile-3.0", memory: "512", args: []string{"/usr/bin/guile", "--", "-c", "(display (expt 2 70))"}, want: "1180591620717411303424"},
		{name: "luajit", args: []string{"/usr/bin/luajit", "--", "-e", "local s = 0 for i = 1, 1e7 do s = s + i end print(s)"}, want: "50000005000000\n", small: true},
		{name: "mono-runtime", memory: "512", args: []string{"/usr/bin/mono", "--", "--version"}, want: "Mono JIT compiler"},
		{name: "zstd", args: []string{"/usr/bin/zstd", "--", "-q", "-T2", "/usr/bin/zstd", "-o", "/tmp/z"}, small: true},
		{name: "ripgrep", args: []string{"/usr/bin/rg", "--", "-c", "root", "/etc/passwd"}, want: "1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needFull(t, c.small)
			onCPUs(t, func(t *testing.T, cpus int) {
				args := append(memory(c.memory), "--deb", c.name)
				r := boot(t, "", append(append([]string{"-c", string('0' + rune(cpus))}, args...), c.args...)...)
				if r.status != 0 || !strings.Contains(r.stdout+r.stderr, c.want) {
					t.Errorf("status %d, %q is wanted\n%s%s", r.status, c.want, r.stdout, r.stderr)
				}
			})
		})
	}
}

// TestELFMoreServers has servers, which are told to end after their answer.
func TestELFMoreServers(t *testing.T) {
	const request = "GET /hello.txt HTTP/1.0\r\n\r\n"
	for _, c := range []struct {
		name      string
		memory    string
		port      int
		args      []string // of kiln run, behind --deb NAME
		ask, want string   // what is sent, and a part of the answer
		status    int      // after SIGTERM, or anyStatus
		small     bool
	}{
		{name: "haproxy", port: 80, args: []string{"/usr/sbin/haproxy", "--", "-db", "-f", "/more/haproxy.cfg"}, ask: request, want: "hello from haproxy", status: 143, small: true},
		{name: "lighttpd", port: 80, args: []string{"/usr/sbin/lighttpd", "--", "-D", "-f", "/more/lighttpd.conf"}, ask: request, want: "hello from a file", status: anyStatus, small: true}, // 1 if a connection was open
		{name: "php8.2-cli", port: 80, args: []string{"/usr/bin/php8.2", "--", "-S", "0.0.0.0:80", "-t", "/more"}, ask: request, want: "hello from a file", status: 143, small: true},
		{name: "tinyproxy", port: 8888, args: []string{"/usr/bin/tinyproxy", "--", "-d"}, ask: "GET / HTTP/1.0\r\n\r\n", want: "tinyproxy", small: true},
		{name: "beanstalkd", port: 11300, args: []string{"/usr/bin/beanstalkd"}, ask: "stats\r\n", want: "current-jobs-ready: 0", status: 137, small: true},
		{name: "mosquitto", port: 1883, args: []string{"/usr/sbin/mosquitto", "--", "-c", "/more/mosquitto.conf"}, ask: "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", want: " \x02\x00\x00", small: true},
		{name: "apache2-bin", port: 80, args: []string{"/usr/sbin/apache2", "--", "-X", "-f", "/more/apache.conf"}, ask: request, want: "hello from a file"},
		{name: "squid", memory: "512", port: 3128, args: []string{"/usr/sbin/squid", "--", "-N", "-f", "/more/squid.conf"}, ask: "GET / HTTP/1.0\r\n\r\n", want: "ERR_INVALID_URL"},
		{name: "knot", port: 53, args: []string{"/usr/sbin/knotd", "--", "-c", "/more/knot.conf"}, ask: dnsQuery, want: "\x12\x34"},
		{name: "mariadb-server", memory: "1G", port: 3306, args: []string{"/usr/sbin/mariadbd", "--", "--user=root", "--skip-grant-tables", "--bind-address=0.0.0.0", "--skip-networking=0"}, want: "mysql_native_password"},
		{name: "etcd-server", memory: "512", port: 2379, args: []string{"/usr/bin/etcd", "--", "--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://127.0.0.1:2379"}, ask: "GET /version HTTP/1.0\r\n\r\n", want: "etcdserver"},
		{name: "nats-server", port: 4222, args: []string{"/usr/sbin/nats-server"}, want: "INFO {", status: 1},
		{name: "caddy", memory: "512", port: 80, args: []string{"/usr/bin/caddy", "--", "file-server", "--root", "/more"}, ask: request, want: "hello from a file"},
		{name: "uvicorn", port: 8000, args: []string{"--deb", "python3", "-w", "/more", "/usr/bin/python3", "--", "-m", "uvicorn", "asgi:app", "--host", "0.0.0.0"}, ask: request, want: "hello from uvicorn"},
		{name: "ruby-webrick", memory: "512", port: 80, args: []string{"--deb", "ruby", "/usr/bin/ruby", "--", "-run", "-e", "httpd", "/more", "-p", "80"}, ask: request, want: "hello from a file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needFull(t, c.small)
			onCPUs(t, func(t *testing.T, cpus int) {
				args := append(memory(c.memory), "-v", programs+"more:/more", "--deb", c.name)
				g := serve(t, cpus, []int{c.port}, append(args, c.args...)...)
				var got string
				g.waitFor("an answer with "+c.want, func() bool {
					got = ask(g.addr(c.port), c.ask, c.want)
					return strings.Contains(got, c.want)
				})
				g.stop(c.status)
			})
		})
	}
}

// dnsQuery asks for kiln.test, over TCP.
const dnsQuery = "\x00\x1b\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04kiln\x04test\x00\x00\x01\x00\x01"

func needFull(t *testing.T, small bool) {
	t.Helper()
	if !small && !*full {
		t.Skip("its packages are large: -full runs it")
	}
}

func memory(size string) []string {
	if size == "" {
		return nil
	}
	return []string{"-m", size}
}

// ask sends a request over a new connection and returns the answer, as far as it
// has come when want has.
func ask(addr, request, want string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, request)
	var got bytes.Buffer
	for b := make([]byte, 4096); !strings.Contains(got.String(), want); {
		n, err := c.Read(b)
		got.Write(b[:n])
		if err != nil {
			break
		}
	}
	return got.String()
}
