package sockettest

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/socket"
)

// Script does things to sockets and records what comes of it.
type Script func(r *Recorder)

// Compare runs scripts on the host and on sockets, and reports where the
// records differ.
func Compare(t *testing.T, sockets func(t *testing.T) socket.Sockets, scripts map[string]Script) {
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			host := Recorder{t: t, sockets: Host{}}
			script(&host)
			host.close()
			ours := Recorder{t: t, sockets: sockets(t)}
			script(&ours)
			ours.close()
			for i := range max(len(host.lines), len(ours.lines)) {
				h, o := "(nothing)", "(nothing)"
				if i < len(host.lines) {
					h = host.lines[i]
				}
				if i < len(ours.lines) {
					o = ours.lines[i]
				}
				if h != o {
					t.Errorf("step %d:\n  Linux: %s\n  Kiln:  %s", i+1, h, o)
				}
			}
		})
	}
}

// Recorder does socket calls for a Script and writes down the outcome.
type Recorder struct {
	t       *testing.T
	sockets socket.Sockets
	lines   []string
	opened  []socket.Socket
	ports   map[uint16]string
}

func (r *Recorder) close() {
	for _, s := range r.opened {
		s.Close()
	}
}

// Note records a line.
func (r *Recorder) Note(words ...string) { r.lines = append(r.lines, strings.Join(words, " ")) }

func (r *Recorder) err(what string, err error) {
	e := syscall.Errno(0)
	if err != nil && !errors.As(err, &e) {
		r.t.Errorf("%s: %v is not an errno", what, err)
	}
	if e == 0 {
		r.Note(what, "ok")
	} else {
		r.Note(what, e.Error())
	}
}

// Socket makes a socket; nil if it cannot.
func (r *Recorder) Socket(domain, typ, proto int) socket.Socket {
	s, err := r.sockets.Socket(domain, typ, proto)
	r.err("socket", err)
	if err != nil {
		return nil
	}
	r.opened = append(r.opened, s)
	return s
}

// Pair makes a socket pair.
func (r *Recorder) Pair(domain, typ int) (a, b socket.Socket) {
	a, b, err := r.sockets.SocketPair(domain, typ, 0)
	r.err("socketpair", err)
	if err == nil {
		r.opened = append(r.opened, a, b)
	}
	return a, b
}

// Do records the outcome of a call.
func (r *Recorder) Do(what string, err error) { r.err(what, err) }

// Accept waits up to a second for a connection.
func (r *Recorder) Accept(l socket.Socket) socket.Socket {
	for range 1000 {
		s, a, err := l.Accept()
		if err == syscall.EAGAIN {
			time.Sleep(time.Millisecond)
			continue
		}
		r.err("accept from "+r.name(a), err)
		if err == nil {
			r.opened = append(r.opened, s)
		}
		return s
	}
	r.Note("accept", "nothing came")
	return nil
}

// AcceptNow accepts without waiting.
func (r *Recorder) AcceptNow(l socket.Socket) {
	s, _, err := l.Accept()
	r.err("accept", err)
	if err == nil {
		s.Close()
	}
}

// Ready waits up to a second for want to be all of the readiness, and records
// what it is.
func (r *Recorder) Ready(s socket.Socket, want uint32) {
	var ev uint32
	for range 1000 {
		if ev = s.Ready() & (socket.In | socket.Out | socket.Err | socket.Hup | socket.RdHup); ev == want {
			break
		}
		time.Sleep(time.Millisecond)
	}
	r.Note("ready", strconv.FormatUint(uint64(ev), 16))
}

// Write writes, waiting up to a second for room.
func (r *Recorder) Write(s socket.Socket, data string) {
	n, err := s.Write([]byte(data))
	for i := 0; err == syscall.EAGAIN && i < 1000; i++ {
		time.Sleep(time.Millisecond)
		n, err = s.Write([]byte(data))
	}
	r.err("write "+strconv.Itoa(n), err)
}

// WriteNow writes without waiting.
func (r *Recorder) WriteNow(s socket.Socket, data string) {
	n, err := s.Write([]byte(data))
	r.err("write "+strconv.Itoa(n), err)
}

// Read reads up to n bytes, waiting up to a second for some.
func (r *Recorder) Read(s socket.Socket, n int) {
	b := make([]byte, n)
	k, err := s.Read(b)
	for i := 0; err == syscall.EAGAIN && i < 1000; i++ {
		time.Sleep(time.Millisecond)
		k, err = s.Read(b)
	}
	r.err("read "+strconv.Quote(string(b[:k])), err)
}

// ReadNow reads without waiting.
func (r *Recorder) ReadNow(s socket.Socket, n int) {
	b := make([]byte, n)
	k, err := s.Read(b)
	r.err("read "+strconv.Quote(string(b[:k])), err)
}

// Recv receives a message, waiting up to a second for one.
func (r *Recorder) Recv(s socket.Socket, n, control, flags int) {
	m := &socket.Message{Buffers: [][]byte{make([]byte, n/2), make([]byte, n-n/2)}, Control: make([]byte, 0, control)}
	k, err := s.Recv(m, flags)
	for i := 0; err == syscall.EAGAIN && i < 1000; i++ {
		time.Sleep(time.Millisecond)
		k, err = s.Recv(m, flags)
	}
	data := append(append([]byte(nil), m.Buffers[0]...), m.Buffers[1]...)
	r.err("recv "+strconv.Itoa(k)+" "+strconv.Quote(string(data[:min(k, n)]))+" flags "+strconv.FormatInt(int64(m.Flags), 16)+" from "+r.name(m.Addr), err)
	for b := m.Control; len(b) > 0; {
		level, typ, c, rest, ok := socket.NextControl(b)
		if !ok {
			break
		}
		r.Note("control", strconv.Itoa(level), strconv.Itoa(typ), strconv.Quote(string(c)))
		b = rest
	}
}

// Send sends a message to an address (zero: none).
func (r *Recorder) Send(s socket.Socket, data string, to socket.Addr, flags int) {
	n, err := s.Send(&socket.Message{Buffers: [][]byte{[]byte(data[:len(data)/2]), []byte(data[len(data)/2:])}, Addr: to}, flags)
	r.err("send "+strconv.Itoa(n), err)
}

// Names records the addresses of both ends.
func (r *Recorder) Names(s socket.Socket) {
	a, err := s.LocalAddr()
	r.err("local "+r.name(a), err)
	a, err = s.PeerAddr()
	r.err("peer "+r.name(a), err)
}

// Local returns the local address.
func (r *Recorder) Local(s socket.Socket) socket.Addr {
	a, err := s.LocalAddr()
	if err != nil {
		r.t.Error(err)
	}
	return a
}

// name writes an address so that it can be compared: ports that the system
// has chosen have a name in the order in which they are seen.
func (r *Recorder) name(a socket.Addr) string {
	if a.Family == syscall.AF_UNIX {
		return "unix" + strconv.Quote(a.Path)
	}
	port := strconv.Itoa(int(a.Port))
	if a.Port >= 32768 {
		if r.ports == nil {
			r.ports = make(map[uint16]string)
		}
		if r.ports[a.Port] == "" {
			r.ports[a.Port] = "P" + strconv.Itoa(len(r.ports))
		}
		port = r.ports[a.Port]
	}
	return strconv.Itoa(a.Family) + "/" + strconv.Quote(string(a.IP[:])) + ":" + port
}

// Option records an option, as an int if it is four bytes.
func (r *Recorder) Option(s socket.Socket, level, name, size int) {
	b := make([]byte, size)
	n, err := s.Option(level, name, b)
	what := "get " + strconv.Itoa(level) + " " + strconv.Itoa(name)
	if err == nil {
		what += " = " + strconv.Itoa(n) + " " + strconv.Quote(string(b[:min(n, size)]))
	}
	r.err(what, err)
}

// SetOption sets an int option.
func (r *Recorder) SetOption(s socket.Socket, level, name, v int) {
	r.SetBytes(s, level, name, []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
}

// SetBytes sets an option.
func (r *Recorder) SetBytes(s socket.Socket, level, name int, val []byte) {
	r.err("set "+strconv.Itoa(level)+" "+strconv.Itoa(name)+" to "+strconv.Quote(string(val)), s.SetOption(level, name, val))
}
