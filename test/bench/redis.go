package main

// Redis' own client, redis-benchmark, and a probe.

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func probeRedis(c net.Conn) error {
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != "+PONG\r\n" {
		return fmt.Errorf("redis answered %q to PING", answer)
	}
	return nil
}

// loadTimeout bounds a load that is given as a number of requests.
const loadTimeout = 2 * time.Minute

// redisLoad makes n SETs and then n GETs and returns how many there were each
// second. pipeline is how many are sent before an answer is awaited.
func (b *Bench) redisLoad(ctx context.Context, m *Machine, n, pipeline int) (set, get float64, err error) {
	root, err := b.apps.packages(ctx)
	if err != nil {
		return 0, 0, err
	}
	paced, err := b.apps.paced(ctx)
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(root, "usr/bin/redis-benchmark"), "-h", "127.0.0.1", "-p", strconv.Itoa(m.Port),
		"-t", "set,get", "-c", strconv.Itoa(connections), "-n", strconv.Itoa(n), "-P", strconv.Itoa(pipeline), "--csv")
	c.Env = append(os.Environ(), libraryPath(root), paced)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-m.Ended():
			cancel()
		case <-ended:
		}
	}()
	if err := c.Run(); err != nil {
		return 0, 0, m.failure(fmt.Sprintf("did not bear redis-benchmark (%v: %s)", err, &errs))
	}
	rates, err := parseRedis(out.String())
	return rates["SET"], rates["GET"], err
}

// parseRedis reads the table of redis-benchmark --csv: a head with the columns
// "test" and "rps" among others, and a line for each test.
func parseRedis(out string) (map[string]float64, error) {
	lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(lines) == 0 {
		return nil, errors.Join(fmt.Errorf("redis-benchmark printed no table: %q", out), err)
	}
	test, rps := slices.Index(lines[0], "test"), slices.Index(lines[0], "rps")
	if test < 0 || rps < 0 {
		return nil, fmt.Errorf("redis-benchmark's table has the columns %q", lines[0])
	}
	rates := map[string]float64{}
	for _, line := range lines[1:] {
		if rates[line[test]], err = strconv.ParseFloat(line[rps], 64); err != nil {
			return nil, err
		}
	}
	for _, want := range []string{"SET", "GET"} {
		if rates[want] <= 0 {
			return nil, fmt.Errorf("redis-benchmark gave no rate of %s: %q", want, out)
		}
	}
	return rates, nil
}
