// Soak runs one of eight workloads, named by its argument, that lean on
// goroutines, the collector and the network, and checks what comes out. It
// prints "ok".
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"
)

var workloads = map[string]func() error{
	"channels": channels, "trees": trees, "maps": maps, "timers": timers,
	"echo": echo, "http": httpServer, "udp": udp, "files": files,
}

func main() {
	if len(os.Args) != 2 || workloads[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "soak: name a workload")
		os.Exit(2)
	}
	if err := workloads[os.Args[1]](); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

// together runs n goroutines and returns their first error.
func together(n int, f func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func channels() error {
	stages := make([]chan int, 100)
	for i := range stages {
		stages[i] = make(chan int, i%4)
	}
	for i := range len(stages) - 1 {
		go func() {
			for v := range stages[i] {
				stages[i+1] <- v + 1
			}
			close(stages[i+1])
		}()
	}
	go func() {
		for i := range 1000 {
			stages[0] <- i
		}
		close(stages[0])
	}()
	sum := 0
	for v := range stages[len(stages)-1] {
		sum += v
	}
	if want := 999*1000/2 + 99*1000; sum != want {
		return fmt.Errorf("sum %d, want %d", sum, want)
	}
	return nil
}

type node struct {
	left, right *node
	value       [6]int
}

func grow(depth, v int) *node {
	n := &node{value: [6]int{v, v, v, v, v, v}}
	if depth > 0 {
		n.left, n.right = grow(depth-1, v), grow(depth-1, v)
	}
	return n
}

func (n *node) check(v int) int {
	if n == nil {
		return 0
	}
	for _, x := range n.value {
		if x != v {
			return -1 << 30
		}
	}
	return 1 + n.left.check(v) + n.right.check(v)
}

func trees() error {
	return together(8, func(i int) error {
		for range 6 {
			if n := grow(11, i).check(i); n != 1<<12-1 {
				return fmt.Errorf("tree %d has %d nodes", i, n)
			}
			runtime.Gosched()
		}
		return nil
	})
}

func maps() error {
	return together(6, func(i int) error {
		m := map[string][]byte{}
		for j := range 4000 {
			key := fmt.Sprint(i, "/", j%1500)
			if old, ok := m[key]; ok && string(old) != strings.Repeat(key, 3) {
				return fmt.Errorf("%q has %q", key, old)
			}
			m[key] = []byte(strings.Repeat(key, 3))
		}
		return nil
	})
}

func timers() error {
	return together(300, func(i int) error {
		for range 5 {
			d := time.Duration(1+i%20) * time.Millisecond
			start := time.Now()
			select {
			case <-time.After(d):
				if took := time.Since(start); took < d {
					return fmt.Errorf("%v took %v", d, took)
				}
			case <-time.After(time.Minute):
				return errors.New("a short timer came after a long one")
			}
		}
		return nil
	})
}

func echo() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return together(16, func(i int) error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		sent, received := sha256.New(), sha256.New()
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(received, c)
			done <- err
		}()
		r := rand.New(rand.NewPCG(uint64(i), 1))
		b := make([]byte, 20_000)
		for range 15 {
			for j := range b {
				b[j] = byte(r.Uint32())
			}
			p := b[:1+r.IntN(len(b))]
			sent.Write(p)
			if _, err := c.Write(p); err != nil {
				return err
			}
		}
		c.(*net.TCPConn).CloseWrite()
		if err := <-done; err != nil {
			return err
		}
		if !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
			return fmt.Errorf("connection %d came back changed", i)
		}
		return nil
	})
}

func httpServer() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat(r.URL.Path, 500)), 4000))
	}))
	return together(12, func(i int) error {
		client := &http.Client{Transport: &http.Transport{}}
		for j := range 15 {
			path := fmt.Sprintf("/%d/%d", i, j)
			resp, err := client.Get("http://" + l.Addr().String() + path)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := strings.Repeat(path, 500); err != nil || string(body) != want[:min(4000, len(want))] {
				return fmt.Errorf("%s gave %d bytes, %v", path, len(body), err)
			}
		}
		return nil
	})
}

func udp() error {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			server.WriteTo(b[:n], from)
		}
	}()
	return together(10, func(i int) error {
		c, err := net.Dial("udp", server.LocalAddr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		b := make([]byte, 2000)
		for j := range 40 {
			msg := fmt.Sprint(i, "-", j)
			for try := 0; ; try++ { // datagrams may be dropped when buffers are full
				c.Write([]byte(msg))
				c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
				n, err := c.Read(b)
				if err == nil && string(b[:n]) == msg {
					break
				}
				if try == 20 {
					return fmt.Errorf("%s never came back: %v", msg, err)
				}
			}
		}
		return nil
	})
}

func files() error {
	return together(8, func(i int) error {
		dir, err := os.MkdirTemp("", "soak")
		if err != nil {
			return err
		}
		for j := range 60 {
			name, want := fmt.Sprintf("%s/%d", dir, j%7), strings.Repeat(fmt.Sprint(i, j), 1+j*j%3000)
			if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
				return err
			}
			if err := os.Rename(name, name+"x"); err != nil {
				return err
			}
			if got, err := os.ReadFile(name + "x"); err != nil || string(got) != want {
				return fmt.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
			}
		}
		return os.RemoveAll(dir)
	})
}
