package sys

import (
	"math"
	"syscall"

	"kiln/kernel/fs"
)

// Reading, writing and positions.

func read(c *Calls, a args) (uintptr, error) {
	f, err := c.ownFile(a.a1)
	if err != nil {
		return 0, err
	}
	return ret(c.readTo(f, a.p2, a.a3, noOffset))
}

func write(c *Calls, a args) (uintptr, error) {
	f, err := c.ownFile(a.a1)
	if err != nil {
		return 0, err
	}
	return ret(c.writeFrom(f, a.p2, a.a3, noOffset))
}

// writeAll writes b; where the descriptor blocks, all of it.
func (c *Calls) writeAll(f *fs.File, b []byte) (done int, err error) {
	for {
		n, err := c.retry(f, fs.Out, f.Blocking(), func() (int, error) { return f.Write(b[done:]) })
		done += n
		if err == nil && n > 0 && done < len(b) && f.Blocking() {
			if _, ok := f.Ops().(fs.Writer); ok {
				continue
			}
		}
		if err == syscall.EPIPE {
			c.signal(int(syscall.SIGPIPE))
		}
		if done > 0 {
			err = nil
		}
		return done, err
	}
}

func pread(c *Calls, a args) (uintptr, error) {
	if int64(a.a4) < 0 {
		return 0, syscall.EINVAL
	}
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	return ret(c.readTo(f, a.p2, a.a3, int64(a.a4)))
}

func pwrite(c *Calls, a args) (uintptr, error) {
	if int64(a.a4) < 0 {
		return 0, syscall.EINVAL
	}
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	return ret(c.writeFrom(f, a.p2, a.a3, int64(a.a4)))
}

// noOffset makes transfers use the file's position.
const noOffset = -1

func readv(c *Calls, a args) (uintptr, error) { return c.vecCall(a, noOffset, 0, (*Calls).readToVec) }
func writev(c *Calls, a args) (uintptr, error) {
	return c.vecCall(a, noOffset, 0, (*Calls).writeFromVec)
}

func preadv(c *Calls, a args) (uintptr, error)  { return c.vecAt(a, (*Calls).readToVec) }
func pwritev(c *Calls, a args) (uintptr, error) { return c.vecAt(a, (*Calls).writeFromVec) }

func (c *Calls) vecAt(a args, transfer vecTransfer) (uintptr, error) {
	if int64(a.a4) < 0 {
		return 0, syscall.EINVAL
	}
	return c.vecCall(a, int64(a.a4), 0, transfer)
}

// preadv2 and pwritev2 take offset -1 for the position, and flags.
func preadv2(c *Calls, a args) (uintptr, error) {
	return c.vecFlags(a, rwfHipri|rwfDsync|rwfSync|rwfNowait, (*Calls).readToVec)
}

func pwritev2(c *Calls, a args) (uintptr, error) {
	return c.vecFlags(a, rwfHipri|rwfDsync|rwfSync|rwfNowait|rwfAppend, (*Calls).writeFromVec)
}

// Flags of preadv2 and pwritev2. What is in memory is stable at once.
const (
	rwfHipri = 1 << iota
	rwfDsync
	rwfSync
	rwfNowait
	rwfAppend
)

func (c *Calls) vecFlags(a args, known uintptr, transfer vecTransfer) (uintptr, error) {
	off := int64(a.a4)
	switch {
	case off < noOffset:
		return 0, syscall.EINVAL
	case a.a6&^known != 0:
		return 0, syscall.EOPNOTSUPP
	}
	return c.vecCall(a, off, a.a6, transfer)
}

// vecTransfer is a transfer between a file and what n iovecs at p name.
type vecTransfer func(c *Calls, f *fs.File, p pointer, n uintptr, off int64, wait bool) (int, error)

func (c *Calls) vecCall(a args, off int64, flags uintptr, transfer vecTransfer) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	if flags&rwfAppend != 0 {
		if s, ok := f.Ops().(fs.Sizer); ok {
			off = s.Size()
		}
	}
	return ret(transfer(c, f, a.p2, a.a3, off, f.Blocking() && flags&rwfNowait == 0))
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

// fsync is onFile for a file that could be stored.
func fsync(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err == nil && !storable(f) {
		err = syscall.EINVAL
	}
	return 0, err
}

// storable reports whether f is a file or a directory.
func storable(f *fs.File) bool {
	return f.Inode() != nil && (f.Inode().IsDir() || f.Inode().Stat().Mode&syscall.S_IFMT == syscall.S_IFREG)
}

// copyChunk is the buffer of calls that copy between files.
const copyChunk = 64 << 10

// copyFile copies up to n bytes. A nil offset means the file's position.
func (c *Calls) copyFile(in, out *fs.File, inOff, outOff *int64, n int) (done int, err error) {
	buf := c.chunk(min(n, copyChunk))
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
		if c.interrupted() {
			break
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
	var r ranges
	if !isNull(a.p3) {
		off, err := get[int64](c, a.p3)
		if err != nil {
			return 0, err
		}
		r.in = &off
	}
	in, err := c.file(a.a2)
	if err != nil {
		return 0, err
	}
	_, ok := in.Ops().(fs.ReaderAt)
	switch {
	case in.Flags()&syscall.O_ACCMODE == syscall.O_WRONLY:
		return 0, syscall.EBADF
	case !ok && r.in != nil:
		return 0, syscall.ESPIPE
	case r.in != nil && (*r.in < 0 || *r.in > math.MaxInt64-int64(min(a.a4, maxRW))) || int64(a.a4) < 0:
		return 0, syscall.EINVAL
	}
	out, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	switch {
	case out.Flags()&syscall.O_ACCMODE == syscall.O_RDONLY:
		return 0, syscall.EBADF
	case !ok || out.Flags()&syscall.O_APPEND != 0:
		return 0, syscall.EINVAL
	}
	return c.transfer(in, out, r, a.p3, null(), a.a4)
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
	r, err := c.offsets(a.p2, a.p4)
	if err != nil {
		return 0, err
	}
	if in.Inode() == out.Inode() && overlap(in, out, r, a.a5) {
		return 0, syscall.EINVAL
	}
	return c.transfer(in, out, r, a.p2, a.p4, a.a5)
}

// ranges is what a copy goes by: offsets in the program's memory, fetched
// once. Nil: the file's position.
type ranges struct{ in, out *int64 }

func (c *Calls) offsets(pin, pout pointer) (r ranges, err error) {
	if !isNull(pin) {
		off, err := get[int64](c, pin)
		if err != nil {
			return r, err
		}
		r.in = &off
	}
	if !isNull(pout) {
		off, err := get[int64](c, pout)
		if err != nil {
			return r, err
		}
		r.out = &off
	}
	if r.in != nil && *r.in < 0 || r.out != nil && *r.out < 0 {
		return r, syscall.EINVAL
	}
	return r, nil
}

// overlap reports whether the ranges of a copy within one file overlap.
func overlap(in, out *fs.File, r ranges, n uintptr) bool {
	from, _ := in.Seek(0, 1)
	to, _ := out.Seek(0, 1)
	if r.in != nil {
		from = *r.in
	}
	if r.out != nil {
		to = *r.out
	}
	size := int64(min(n, maxRW))
	return from < to+size && to < from+size
}

// transfer is copyFile; new offsets go to pin and pout.
func (c *Calls) transfer(in, out *fs.File, r ranges, pin, pout pointer, n uintptr) (uintptr, error) {
	n, err := c.room(out, n, r.out)
	if err != nil {
		return 0, err
	}
	done, err := c.copyFile(in, out, r.in, r.out, int(min(n, maxRW)))
	if r.in != nil {
		if err := put(c, pin, *r.in); err != nil {
			return 0, err
		}
	}
	if r.out != nil {
		if err := put(c, pout, *r.out); err != nil {
			return 0, err
		}
	}
	return ret(done, err)
}
