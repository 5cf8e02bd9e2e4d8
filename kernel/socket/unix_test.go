package socket_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/socket"
	. "kiln/kernel/socket/sockettest"
)

const (
	stream    = syscall.SOCK_STREAM
	datagram  = syscall.SOCK_DGRAM
	seqpacket = syscall.SOCK_SEQPACKET
)

// unixSockets is socket.Sockets with AF_UNIX only.
type unixSockets struct{ u *socket.Unix }

func (s unixSockets) Socket(_, typ, proto int) (socket.Socket, error) { return s.u.Socket(typ, proto) }

func (s unixSockets) SocketPair(_, typ, proto int) (a, b socket.Socket, err error) {
	return s.u.SocketPair(typ, proto)
}

// names is a file system of socket files.
type names struct {
	mu    sync.Mutex
	files map[string]any
}

func (n *names) MakeSocket(path string, s any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if filepath.Dir(path) != "." {
		return syscall.ENOENT
	}
	if n.files[path] != nil {
		return syscall.EEXIST
	}
	n.files[path] = s
	return nil
}

func (n *names) FindSocket(path string) (any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.files[path]; s != nil {
		return s, nil
	}
	return nil, syscall.ENOENT
}

func newUnix(*testing.T) socket.Sockets {
	return unixSockets{socket.NewUnix(&names{files: make(map[string]any)})}
}

func named(path string) socket.Addr { return socket.Addr{Family: syscall.AF_UNIX, Path: path} }

func abstract(name string) socket.Addr {
	return named("\x00kiln-test-" + strconv.Itoa(os.Getpid()) + name)
}

func connected(r *Recorder, typ int, at socket.Addr) (l, c, s socket.Socket) {
	l = r.Socket(syscall.AF_UNIX, typ, 0)
	r.Do("bind", l.Bind(at))
	r.Do("listen", l.Listen(2))
	c = r.Socket(syscall.AF_UNIX, typ, 0)
	r.Do("connect", c.Connect(at))
	s = r.Accept(l)
	return l, c, s
}

func TestUnixLikeLinux(t *testing.T) {
	t.Chdir(t.TempDir()) // for the host's socket files
	life := func(typ int) Script {
		return func(r *Recorder) {
			l, c, s := connected(r, typ, abstract("life"))
			r.Names(l)
			r.Names(c)
			r.Names(s)
			r.Ready(c, socket.Out)
			r.Ready(l, 0)
			r.AcceptNow(l)
			r.ReadNow(s, 5)
			r.WriteNow(c, "hello")
			r.WriteNow(c, "world")
			r.Ready(s, socket.In|socket.Out)
			r.Recv(s, 4, 0, syscall.MSG_PEEK)
			r.Recv(s, 4, 0, syscall.MSG_TRUNC)
			r.Recv(s, 100, 0, 0)
			r.Do("shutdown", c.Shutdown(syscall.SHUT_WR))
			r.Ready(s, socket.In|socket.Out|socket.RdHup)
			r.ReadNow(s, 5)
			r.WriteNow(c, "x")
			r.WriteNow(s, "back")
			r.ReadNow(c, 10)
			r.Do("close", s.Close())
			r.Ready(c, socket.In|socket.Out|socket.RdHup|socket.Hup)
			r.ReadNow(c, 10)
			r.WriteNow(c, "x")
		}
	}
	fresh := func(typ int) Script {
		return func(r *Recorder) {
			s := r.Socket(syscall.AF_UNIX, typ, 0)
			r.Names(s)
			r.Ready(s, s.Ready())
			r.ReadNow(s, 1)
			r.WriteNow(s, "x")
			r.AcceptNow(s)
			r.Do("listen", s.Listen(1))
			r.Do("shutdown", s.Shutdown(syscall.SHUT_WR))
			r.Do("shutdown", s.Shutdown(9))
			r.Do("connect", s.Connect(abstract("nobody")))
			r.Do("connect", s.Connect(named("nobody")))
			r.Do("connect", s.Connect(named("")))
			r.Do("connect", s.Connect(socket.Addr{Family: syscall.AF_INET}))
			r.Do("bind", s.Bind(socket.Addr{Family: syscall.AF_INET}))
			for _, o := range []int{syscall.SO_TYPE, 39, 38, syscall.SO_ERROR, syscall.SO_ACCEPTCONN, syscall.SO_SNDBUF, 16, 9999} {
				r.Option(s, syscall.SOL_SOCKET, o, 4)
			}
			r.Option(s, syscall.SOL_TCP, 1, 4)
			r.SetOption(s, syscall.SOL_TCP, 1, 1)
			r.SetOption(s, syscall.SOL_SOCKET, syscall.SO_TYPE, 1)
		}
	}
	Compare(t, newUnix, map[string]Script{
		"stream":          life(stream),
		"seqpacket":       life(seqpacket),
		"fresh stream":    fresh(stream),
		"fresh datagram":  fresh(datagram),
		"fresh seqpacket": fresh(seqpacket),
		"datagram": func(r *Recorder) {
			a, b := r.Socket(syscall.AF_UNIX, datagram, 0), r.Socket(syscall.AF_UNIX, datagram, 0)
			r.Do("bind", a.Bind(abstract("a")))
			r.Do("bind", b.Bind(abstract("b")))
			r.Send(a, "hello", abstract("b"), 0)
			r.Send(a, "", abstract("b"), 0)
			r.Send(a, "world", abstract("b"), 0)
			r.Recv(b, 4, 0, 0)
			r.Recv(b, 4, 0, 0)
			r.Read(b, 10)
			r.ReadNow(b, 10)
			r.Do("connect", a.Connect(abstract("b")))
			r.Names(a)
			r.WriteNow(a, "x")
			r.Recv(b, 4, 0, 0)
			r.Do("close", b.Close())
			r.WriteNow(a, "x")
			r.WriteNow(a, "x")
		},
		"pairs": func(r *Recorder) {
			for _, typ := range []int{stream, datagram, seqpacket} {
				a, b := r.Pair(syscall.AF_UNIX, typ)
				r.Names(a)
				r.WriteNow(a, "one")
				r.WriteNow(a, "two")
				r.ReadNow(b, 10)
				r.ReadNow(b, 10)
				r.Do("close", a.Close())
				r.ReadNow(b, 10)
				r.WriteNow(b, "x")
			}
		},
		"paths": func(r *Recorder) {
			l, c, s := connected(r, stream, named("sock"))
			r.Names(c)
			r.Names(s)
			d := r.Socket(syscall.AF_UNIX, datagram, 0)
			r.Do("connect", d.Connect(named("sock")))
			r.Do("bind", d.Bind(named("sock")))
			r.Do("bind", d.Bind(named("no/such")))
			r.Do("close", l.Close())
			e := r.Socket(syscall.AF_UNIX, stream, 0)
			r.Do("connect", e.Connect(named("sock")))
		},
		"bind": func(r *Recorder) {
			a := r.Socket(syscall.AF_UNIX, stream, 0)
			r.Do("bind", a.Bind(abstract("x")))
			r.Do("bind", a.Bind(abstract("y")))
			b := r.Socket(syscall.AF_UNIX, stream, 0)
			r.Do("bind", b.Bind(abstract("x")))
			r.Do("listen", b.Listen(1))
			r.Do("connect", b.Connect(abstract("x")))
			r.Do("close", a.Close())
			r.Do("bind", b.Bind(abstract("x")))
		},
		"backlog": func(r *Recorder) {
			l := r.Socket(syscall.AF_UNIX, stream, 0)
			r.Do("bind", l.Bind(abstract("l")))
			r.Do("listen", l.Listen(1))
			for range 3 {
				c := r.Socket(syscall.AF_UNIX, stream, 0)
				r.Do("connect", c.Connect(abstract("l")))
			}
			r.Ready(l, socket.In)
			r.AcceptNow(l)
			r.Do("connect", l.Connect(abstract("l")))
		},
		"unread": func(r *Recorder) {
			_, c, s := connected(r, stream, abstract("u"))
			r.WriteNow(s, "lost")
			r.Do("close", c.Close())
			r.Ready(s, socket.In|socket.Out|socket.Err|socket.RdHup|socket.Hup)
			r.ReadNow(s, 1)
			r.ReadNow(s, 1)
		},
		"listener closed": func(r *Recorder) {
			l := r.Socket(syscall.AF_UNIX, stream, 0)
			r.Do("bind", l.Bind(abstract("l")))
			r.Do("listen", l.Listen(1))
			c := r.Socket(syscall.AF_UNIX, stream, 0)
			r.Do("connect", c.Connect(abstract("l")))
			r.Do("close", l.Close())
			r.ReadNow(c, 1)
			r.WriteNow(c, "x")
		},
		"shut reading": func(r *Recorder) {
			a, b := r.Pair(syscall.AF_UNIX, stream)
			r.Do("shutdown", a.Shutdown(syscall.SHUT_RD))
			r.Ready(a, socket.In|socket.Out|socket.RdHup)
			r.ReadNow(a, 1)
			r.WriteNow(b, "x")
			r.Do("shutdown", a.Shutdown(syscall.SHUT_RDWR))
			r.Ready(a, socket.In|socket.Out|socket.RdHup|socket.Hup)
		},
		"credentials": func(r *Recorder) {
			a, b := r.Pair(syscall.AF_UNIX, stream)
			r.SetOption(b, syscall.SOL_SOCKET, 16, 1)
			r.Option(b, syscall.SOL_SOCKET, 16, 4)
			r.Do("close", a.Close())
		},
		"too long": func(r *Recorder) {
			a, _ := r.Pair(syscall.AF_UNIX, seqpacket)
			r.WriteNow(a, string(make([]byte, 1<<20)))
		},
	})
}

func TestUnixBounded(t *testing.T) {
	u := socket.NewUnix(nil)
	a, b, err := u.SocketPair(stream, 0)
	if err != nil {
		t.Fatal(err)
	}
	total, chunk := 0, make([]byte, 50_000)
	for {
		n, err := a.Write(chunk)
		total += n
		if err == syscall.EAGAIN {
			break
		}
		if err != nil || total > 10<<20 {
			t.Fatalf("%v after %d bytes", err, total)
		}
	}
	if a.Ready()&socket.Out != 0 {
		t.Error("full, but ready to be written")
	}
	woken := make(chan uint32, 1)
	defer a.Watch(func(ev uint32) { woken <- ev })()
	if n, err := b.Read(make([]byte, total)); n != total || err != nil {
		t.Errorf("%d of %d bytes, %v", n, total, err)
	}
	select {
	case ev := <-woken:
		if ev&socket.Out == 0 || a.Ready()&socket.Out == 0 {
			t.Errorf("events %#x", ev)
		}
	case <-time.After(time.Second):
		t.Error("the writer was not told")
	}
}

type closer struct{ closed, held int }

func (c *closer) Close() error { c.closed++; return nil }
func (c *closer) Hold() bool   { c.held++; return true }

func TestUnixFiles(t *testing.T) {
	u := socket.NewUnix(nil)
	a, b, _ := u.SocketPair(stream, 0)
	var f, g, h closer
	send := func(data string, files ...socket.File) {
		if _, err := a.Send(&socket.Message{Buffers: [][]byte{[]byte(data)}, Files: files}, 0); err != nil {
			t.Fatal(err)
		}
	}
	send("one", &f)
	send("two")
	send("three", &g)
	send("four", &h)
	m := &socket.Message{Buffers: [][]byte{make([]byte, 100)}}
	if n, _ := b.Recv(m, syscall.MSG_PEEK); n != 3 || len(m.Files) != 1 || f.held != 1 {
		t.Errorf("peeked at %d bytes with %d files", n, len(m.Files))
	}
	n, err := b.Recv(m, 0)
	if string(m.Buffers[0][:n]) != "one" || len(m.Files) != 1 || m.Files[0] != &f || err != nil {
		t.Errorf("%q, %v, %v", m.Buffers[0][:n], m.Files, err)
	}
	n, _ = b.Recv(m, 0)
	if !bytes.Equal(m.Buffers[0][:n], []byte("twothree")) || len(m.Files) != 1 || m.Files[0] != &g {
		t.Errorf("%q with %d files", m.Buffers[0][:n], len(m.Files))
	}
	b.Close()
	if f.closed != 0 || g.closed != 0 || h.closed != 1 {
		t.Errorf("closed %d and %d times the received, %d times the unread file", f.closed, g.closed, h.closed)
	}
}

// Two sockets that talk, close and die at random do not race or hang.
func TestUnixChurn(t *testing.T) {
	u := socket.NewUnix(nil)
	l, _ := u.Socket(stream, 0)
	l.Bind(named("\x00l"))
	l.Listen(100)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for range 200 {
				c, _ := u.Socket(stream, 0)
				if c.Connect(named("\x00l")) == nil {
					c.Write([]byte("hello"))
				}
				if i%2 == 0 {
					c.Shutdown(syscall.SHUT_WR)
				}
				c.Ready()
				c.Close()
			}
		}()
		go func() {
			defer wg.Done()
			for range 200 {
				if s, _, err := l.Accept(); err == nil {
					s.Read(make([]byte, 10))
					s.Ready()
					s.Write([]byte("x"))
					s.Close()
				}
			}
		}()
	}
	wg.Wait()
	l.Close()
}
