// Package pattern is a stream of bytes whose every part differs from what is
// around it: pieces that are lost, doubled, swapped or damaged show. It repeats
// itself after a prime number of bytes, so that no segment, page or buffer size
// divides its period.
package pattern

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
)

const (
	period = 65521
	chunk  = 128 << 10
)

// table returns a period and as much again as a chunk needs, so that a chunk
// may begin anywhere in the first.
func table() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	t := make([]byte, period, period+chunk)
	for i := range t {
		t[i] = byte(r.Uint32())
	}
	for len(t) < cap(t) {
		t = append(t, t[:min(period, cap(t)-len(t))]...)
	}
	return t
}

// Send writes the first n bytes of the stream.
func Send(w io.Writer, n int64) error {
	t := table()
	for at := int64(0); at < n; {
		from := at % period
		k, err := w.Write(t[from : from+min(chunk, n-at)])
		if err != nil {
			return err
		}
		at += int64(k)
	}
	return nil
}

// Check reads n bytes and reports how they differ from the stream's first.
func Check(r io.Reader, n int64) error {
	t := table()
	b := make([]byte, chunk)
	for at := int64(0); at < n; {
		k, err := r.Read(b[:min(chunk, n-at)])
		from := at % period
		if want := t[from : from+int64(k)]; !bytes.Equal(b[:k], want) {
			for i := range want {
				if b[i] != want[i] {
					return fmt.Errorf("byte %d of %d is wrong", at+int64(i), n)
				}
			}
		}
		at += int64(k)
		if err != nil && at < n {
			return fmt.Errorf("after %d bytes of %d: %w", at, n, err)
		}
	}
	return nil
}
