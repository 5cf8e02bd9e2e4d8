package main

// The host's side of the network rows: waiting for the first answer, load with
// counts for each connection, and streams.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A probe tries one exchange on a fresh connection.
type probe func(net.Conn) error

const request = "GET / HTTP/1.1\r\nHost: guest\r\n\r\n"

func probeHTTP(c net.Conn) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	return readAnswer(bufio.NewReader(c))
}

func readAnswer(r *bufio.Reader) error {
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP status %s", a.Status)
	}
	_, err = io.Copy(io.Discard, a.Body)
	return err
}

func probeStream(c net.Conn) error {
	b := []byte{'p'}
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

// How FirstAnswer polls. QEMU's user network accepts a connection on the host
// at once and keeps trying to reach the guest, so an attempt that is made too
// early does not fail: it hangs, and may succeed later or never. One attempt
// at a time would then measure its own timeout, and one every millisecond
// would meet the guest with hundreds of connections. So a new attempt starts
// every poll interval if none is under way (once the guest refuses, they fail
// at once), and every pending interval if some are.
const (
	pollInterval    = time.Millisecond
	pendingInterval = 20 * time.Millisecond
	attemptTimeout  = time.Second
)

// FirstAnswer polls the machine's forwarded port until p succeeds, and returns
// when it did.
func (m *Machine) FirstAnswer(ctx context.Context, p probe, timeout time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithDeadline(ctx, m.began.Add(timeout))
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	results := make(chan error)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	pending := 0
	var last time.Time
	for {
		select {
		case err := <-results:
			if err == nil {
				return time.Since(m.began), nil
			}
			pending--
		case now := <-tick.C:
			if pending > 0 && now.Sub(last) < pendingInterval {
				continue
			}
			pending, last = pending+1, now
			wg.Go(func() {
				err := attempt(ctx, m.Port, p)
				select {
				case results <- err:
				case <-ctx.Done():
				}
			})
		case <-m.ended:
			return 0, m.failure("ended before it answered")
		case <-ctx.Done():
			return 0, m.failure("did not answer in " + timeout.String())
		}
	}
}

func attempt(ctx context.Context, port int, p probe) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	c, err := dial(ctx, port)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return p(c)
}

func dial(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// Wrk loads the web server with wrk and returns its requests per second. wrk's
// environment gets more variables.
func Wrk(ctx context.Context, port int, d time.Duration, env ...string) (float64, error) {
	c := exec.CommandContext(ctx, "wrk", "-t1", "-c"+strconv.Itoa(connections), fmt.Sprintf("-d%ds", int(d.Seconds())), fmt.Sprintf("http://127.0.0.1:%d/", port))
	c.Env = append(os.Environ(), env...)
	b, err := c.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w: %s", err, b)
	}
	rate := -1.0
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "Requests/sec":
			rate, err = strconv.ParseFloat(strings.TrimSpace(value), 64)
		case "Non-2xx or 3xx responses":
			err = errors.New("wrk: the server answered with errors")
		}
		if err != nil {
			return 0, err
		}
	}
	if rate < 0 {
		return 0, fmt.Errorf("wrk printed no rate: %s", b)
	}
	return rate, nil
}

// Fairness is what happened to the connections of a load.
type Fairness struct {
	Answers []int           // for each connection
	Gaps    []time.Duration // longest wait for an answer, for each connection
	Errors  []error
}

// starvedAfter is how long a connection waits for one answer until it counts
// as starved. With 32 connections the mean wait is about a hundredth of it.
const starvedAfter = time.Second

// Starved counts the connections that failed or waited longer than
// starvedAfter.
func (f Fairness) Starved() (n int) {
	for i, g := range f.Gaps {
		if g > starvedAfter || f.Errors[i] != nil {
			n++
		}
	}
	return n
}

// Hammer loads the web server over n connections for d. Each sends its next
// request when it has the answer. They are opened and tried one after another
// before the load, because QEMU's user network drops connections that arrive
// together, which is not the guest's doing.
func Hammer(ctx context.Context, port, n int, d time.Duration) (Fairness, error) {
	f := Fairness{Answers: make([]int, n), Gaps: make([]time.Duration, n), Errors: make([]error, n)}
	conns := make([]net.Conn, n)
	readers := make([]*bufio.Reader, n)
	for i := range conns {
		c, err := dial(ctx, port)
		if err != nil {
			return f, err
		}
		defer c.Close()
		conns[i], readers[i] = c, bufio.NewReader(c)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if err := exchange(c, readers[i]); err != nil {
			return f, fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for i, c := range conns {
		c.SetDeadline(end.Add(5 * starvedAfter))
		wg.Go(func() {
			for now := time.Now(); now.Before(end); {
				if f.Errors[i] = exchange(c, readers[i]); f.Errors[i] != nil {
					return
				}
				then := now
				now = time.Now()
				f.Answers[i]++
				f.Gaps[i] = max(f.Gaps[i], now.Sub(then))
			}
		})
	}
	wg.Wait()
	return f, nil
}

func exchange(c net.Conn, r *bufio.Reader) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	return readAnswer(r)
}

// Receive reads a stream from the guest for d, and returns bytes per second.
func Receive(ctx context.Context, port int, d time.Duration) (float64, error) {
	c, err := dial(ctx, port)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write([]byte{'s'}); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	if _, err := io.ReadFull(c, buf); err != nil { // past the start
		return 0, err
	}
	began, total := time.Now(), 0
	c.SetReadDeadline(began.Add(2 * d))
	for time.Since(began) < d {
		n, err := c.Read(buf)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / time.Since(began).Seconds(), nil
}

// Send writes a stream to the guest for d, and returns bytes per second,
// counted by the guest and timed until its count has come back.
func Send(ctx context.Context, port int, d time.Duration) (float64, error) {
	c, err := dial(ctx, port)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write([]byte{'r'}); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	began, sent := time.Now(), uint64(0)
	c.SetDeadline(began.Add(d + 20*time.Second))
	for time.Since(began) < d {
		n, err := c.Write(buf)
		if err != nil {
			return 0, err
		}
		sent += uint64(n)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(c, buf[:8]); err != nil {
		return 0, err
	}
	if got := binary.BigEndian.Uint64(buf); got != sent {
		return 0, fmt.Errorf("the guest received %d of %d bytes", got, sent)
	}
	return float64(sent) / time.Since(began).Seconds(), nil
}
