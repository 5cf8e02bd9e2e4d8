package gosys

import (
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// Reading, writing and positions.

func read(c *Calls, a args) (uintptr, error) {
	f, err := c.ownFile(a.a1)
	if err != nil {
		return 0, err
	}
	b, copied, err := c.buffer(a.p2, a.a3)
	if err != nil {
		return 0, err
	}
	n, err := retry(f, fs.In, f.Blocking(), func() (int, error) { return f.Read(b) })
	if copied {
		store(a.p2, b[:n])
	}
	return ret(n, err)
}

func write(c *Calls, a args) (uintptr, error) {
	f, err := c.ownFile(a.a1)
	if err != nil {
		return 0, err
	}
	b, err := c.source(a.p2, a.a3)
	if err != nil {
		return 0, err
	}
	return ret(c.writeAll(f, b))
}

// writeAll writes b; where the descriptor blocks, all of it.
func (c *Calls) writeAll(f *fs.File, b []byte) (done int, err error) {
	for {
		n, err := retry(f, fs.Out, f.Blocking(), func() (int, error) { return f.Write(b[done:]) })
		done += n
		if err == nil && n > 0 && done < len(b) && f.Blocking() {
			if _, ok := f.Ops().(fs.Writer); ok {
				continue
			}
		}
		if err == syscall.EPIPE {
			c.m.Signal(int(syscall.SIGPIPE))
		}
		if done > 0 {
			err = nil
		}
		return done, err
	}
}

func pread(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	b, copied, err := c.buffer(a.p2, a.a3)
	if err != nil {
		return 0, err
	}
	n, err := f.ReadAt(int64(a.a4), b)
	if copied {
		store(a.p2, b[:n])
	}
	return ret(n, err)
}

func pwrite(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	b, err := c.source(a.p2, a.a3)
	if err != nil {
		return 0, err
	}
	return ret(f.WriteAt(int64(a.a4), b))
}

// noOffset makes the calls with iovecs use the file's position.
const noOffset = -1

func readv(c *Calls, a args) (uintptr, error)  { return c.readVec(a, noOffset) }
func writev(c *Calls, a args) (uintptr, error) { return c.writeVec(a, noOffset) }

func preadv(c *Calls, a args) (uintptr, error) {
	if int64(a.a4) < 0 {
		return 0, syscall.EINVAL
	}
	return c.readVec(a, int64(a.a4))
}

func pwritev(c *Calls, a args) (uintptr, error) {
	if int64(a.a4) < 0 {
		return 0, syscall.EINVAL
	}
	return c.writeVec(a, int64(a.a4))
}

// preadv2 and pwritev2 take offset -1 for the position, and flags, of which
// none is known.
func preadv2(c *Calls, a args) (uintptr, error) {
	if a.a6 != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	return c.readVec(a, int64(a.a4))
}

func pwritev2(c *Calls, a args) (uintptr, error) {
	if a.a6 != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	return c.writeVec(a, int64(a.a4))
}

func (c *Calls) readVec(a args, off int64) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	bufs, copied, err := c.vectors(a.p2, a.a3, false)
	if err != nil {
		return 0, err
	}
	done, err := retry(f, fs.In, f.Blocking(), func() (int, error) { return readInto(f, bufs, off) })
	if copied {
		scatter(a.p2, bufs, done)
	}
	return ret(done, err)
}

// readInto fills bufs from f until one is not full.
func readInto(f *fs.File, bufs [][]byte, off int64) (done int, err error) {
	if s, ok := f.Ops().(socket.Socket); ok {
		return s.Recv(&socket.Message{Buffers: bufs}, 0)
	}
	for _, b := range bufs {
		n := 0
		if off < 0 {
			n, err = f.Read(b)
		} else {
			n, err = f.ReadAt(off+int64(done), b)
		}
		done += n
		if err != nil || n < len(b) {
			break
		}
	}
	if done > 0 {
		err = nil
	}
	return done, err
}

func (c *Calls) writeVec(a args, off int64) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	bufs, _, err := c.vectors(a.p2, a.a3, true)
	if err != nil {
		return 0, err
	}
	if s, ok := f.Ops().(socket.Socket); ok {
		return ret(c.send(f, s, &socket.Message{Buffers: bufs}, 0))
	}
	done := 0
	for _, b := range bufs {
		n := 0
		if off < 0 {
			n, err = c.writeAll(f, b)
		} else {
			n, err = f.WriteAt(off+int64(done), b)
		}
		done += n
		if err != nil || n < len(b) {
			break
		}
	}
	if done > 0 {
		err = nil
	}
	return ret(done, err)
}

func lseek(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	off, err := f.Seek(int64(a.a2), int(a.a3))
	return uintptr(off), err
}

func truncate(c *Calls, a args) (uintptr, error) {
	if int64(a.a2) < 0 {
		return 0, syscall.EINVAL
	}
	p, err := c.target(atCwd, a.p1, 0)
	if err != nil {
		return 0, err
	}
	if err := p.Inode().Access(c.view.Cred(), 2); err != nil {
		return 0, err
	}
	err = p.Inode().Truncate(int64(a.a2))
	if err == nil {
		c.view.Happened(p, syscall.IN_MODIFY)
	}
	return 0, err
}

func ftruncate(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	return none(f.Truncate(int64(a.a2)))
}

func fallocate(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	return none(f.Allocate(uint32(a.a2), int64(a.a3), int64(a.a4)))
}

// onFile is for calls that have nothing to do but check the descriptor: what
// is in memory is as safe as it gets.
func onFile(c *Calls, a args) (uintptr, error) {
	_, err := c.file(a.a1)
	return 0, err
}

// copyChunk is the buffer of calls that copy between files.
const copyChunk = 64 << 10

// copyFile copies up to n bytes. A nil offset means the file's position.
func (c *Calls) copyFile(in, out *fs.File, inOff, outOff *int64, n int) (done int, err error) {
	buf := make([]byte, min(n, copyChunk))
	for done < n {
		b := buf[:min(n-done, len(buf))]
		r, err := readSome(in, b, inOff)
		if err != nil || r == 0 {
			return done, unless(done, err)
		}
		w := 0
		if outOff != nil {
			w, err = out.WriteAt(*outOff, b[:r])
			*outOff += int64(w)
		} else {
			w, err = c.writeAll(out, b[:r])
		}
		done += w
		if w < r { // put back what was not taken
			if inOff != nil {
				*inOff -= int64(r - w)
			} else {
				in.Seek(int64(w-r), 1)
			}
			return done, unless(done, err)
		}
	}
	return done, nil
}

func readSome(f *fs.File, b []byte, off *int64) (n int, err error) {
	if off == nil {
		return f.Read(b)
	}
	n, err = f.ReadAt(*off, b)
	*off += int64(n)
	return n, err
}

// unless drops an error that came after something had been done.
func unless(done int, err error) error {
	if done > 0 {
		return nil
	}
	return err
}

// sendfile reads a file that has positions, as Linux's does.
func sendfile(c *Calls, a args) (uintptr, error) {
	out, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	in, err := c.file(a.a2)
	if err != nil {
		return 0, err
	}
	if _, ok := in.Ops().(fs.ReaderAt); !ok || out.Flags()&syscall.O_APPEND != 0 {
		return 0, syscall.EINVAL
	}
	return c.transfer(in, out, a.p3, nil, a.a4)
}

func copyFileRange(c *Calls, a args) (uintptr, error) {
	if a.a6 != 0 {
		return 0, syscall.EINVAL
	}
	in, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	out, err := c.file(a.a3)
	if err != nil {
		return 0, err
	}
	for _, f := range [2]*fs.File{in, out} {
		i := f.Inode()
		if i != nil && i.IsDir() {
			return 0, syscall.EISDIR
		}
		if _, ok := f.Ops().(fs.Truncater); !ok {
			return 0, syscall.EINVAL
		}
	}
	if in.Flags()&syscall.O_ACCMODE == syscall.O_WRONLY || out.Flags()&syscall.O_ACCMODE == syscall.O_RDONLY || out.Flags()&syscall.O_APPEND != 0 {
		return 0, syscall.EBADF
	}
	if in.Inode() == out.Inode() && c.overlap(in, out, a) {
		return 0, syscall.EINVAL
	}
	return c.transfer(in, out, a.p2, a.p4, a.a5)
}

// overlap reports whether the ranges of a copy within one file overlap.
func (c *Calls) overlap(in, out *fs.File, a args) bool {
	from, _ := in.Seek(0, 1)
	to, _ := out.Seek(0, 1)
	if a.p2 != nil {
		from, _ = get[int64](a.p2)
	}
	if a.p4 != nil {
		to, _ = get[int64](a.p4)
	}
	n := int64(min(a.a5, maxRW))
	return from < to+n && to < from+n
}

// transfer is copyFile with offsets in the program's memory.
func (c *Calls) transfer(in, out *fs.File, pin, pout pointer, n uintptr) (uintptr, error) {
	var inOff, outOff *int64
	if pin != nil {
		off, _ := get[int64](pin)
		inOff = &off
	}
	if pout != nil {
		off, _ := get[int64](pout)
		outOff = &off
	}
	done, err := c.copyFile(in, out, inOff, outOff, int(min(n, maxRW)))
	if pin != nil {
		put(pin, *inOff)
	}
	if pout != nil {
		put(pout, *outOff)
	}
	return ret(done, err)
}
