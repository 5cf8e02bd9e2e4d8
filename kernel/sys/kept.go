//go:build !kiln_linux

package sys

import "kiln/kernel/fs"

// WriteKept writes to files what the Go runtime has written to their
// descriptors while no goroutine could run (debug.WriteHeapDump): metal has
// kept it. It is done before any other call of the program is answered, so the
// program sees it in place. A pipe or a socket may not take it at once; then a
// goroutine writes it.
func (c *Calls) WriteKept() {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	var later []keptPiece
	for {
		fd, p := c.m.TakeKept()
		if len(p) == 0 {
			break
		}
		f := c.fds.Hold(fd)
		if f == nil {
			continue
		}
		if _, ok := f.Ops().(fs.Pollable); ok {
			later = append(later, keptPiece{f, p})
			continue
		}
		c.writeAll(f, p)
		f.Close()
	}
	if len(later) > 0 {
		go c.writePieces(later)
	}
}

type keptPiece struct {
	file *fs.File
	data []byte
}

func (c *Calls) writePieces(pieces []keptPiece) {
	for _, p := range pieces {
		for len(p.data) > 0 {
			n, err := c.retry(p.file, fs.Out, true, func() (int, error) { return p.file.Write(p.data) })
			if err != nil {
				break
			}
			p.data = p.data[n:]
		}
		p.file.Close()
	}
}
