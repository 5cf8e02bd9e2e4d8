//go:build !kiln_linux

package sys

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// hookNoescape makes a call with up to three pointers, as the standard
// library's kilnSyscall does: what they point to may be in the caller's stack,
// and escape analysis does not know.
//
//go:noinline
func hookNoescape(c *Calls, trap uintptr, a [6]uintptr, p1, p2, p3, p4 pointer) (uintptr, syscall.Errno) {
	r, _, e, handled := c.Hook(trap, a[0], a[1], a[2], a[3], a[4], a[5], p1, p2, p3, p4, nil, nil)
	if !handled {
		return r, syscall.ENOSYS
	}
	return r, e
}

// grow uses stack, so that the goroutine's stack has to grow, that is move.
//
//go:noinline
func grow(n int) byte {
	var b [512]byte
	if n > 0 {
		b[n%512] = grow(n - 1)
	}
	return b[n%512]
}

// TestStackArguments makes calls whose arguments are in the stacks of many
// goroutines, while these stacks move.
func TestStackArguments(t *testing.T) {
	c, m := newKernel(t)
	calls := 0
	var mu sync.Mutex
	c.onStack = func(p pointer) bool {
		on := m.OnStack(p)
		mu.Lock()
		calls++
		n := calls
		mu.Unlock()
		grow(200) // on a fresh goroutine: certainly more than it has
		if n%50 == 0 {
			runtime.GC()
		}
		return on
	}
	// A handler that moves the stack before and after every answer.
	for i, h := range c.table.Load() {
		if h != nil {
			c.table.Load()[i] = func(c *Calls, a args) (uintptr, error) {
				grow(100)
				r, err := h(c, a)
				grow(300)
				return r, err
			}
		}
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if err := stackCalls(c, i); err != nil {
				t.Error(i, err)
			}
		})
	}
	wg.Wait()
	if calls == 0 {
		t.Error("no buffer was looked at")
	}
}

// stackCalls keeps all arguments in local variables.
func stackCalls(c *Calls, i int) error {
	var name [32]byte
	copy(name[:], fmt.Sprintf("/tmp/file%d", i))
	r, e := hookNoescape(c, syscall.SYS_OPENAT, [6]uintptr{atCwd, 0, syscall.O_CREAT | syscall.O_RDWR, 0o600}, nil, noescape(&name), nil, nil)
	if e != 0 {
		return e
	}
	var data [100]byte
	for k := range data {
		data[k] = byte(i + k)
	}
	if n, e := hookNoescape(c, syscall.SYS_WRITE, [6]uintptr{r, 0, 100}, nil, noescape(&data), nil, nil); e != 0 || n != 100 {
		return fmt.Errorf("write: %d, %v", n, e)
	}
	var x, y [60]byte
	iov := [2]syscall.Iovec{{Base: (*byte)(noescape(&x)), Len: 60}, {Base: (*byte)(noescape(&y)), Len: 60}}
	if n, e := hookNoescape(c, syscall.SYS_PREADV, [6]uintptr{r, 0, 2, 0}, nil, noescape(&iov), nil, nil); e != 0 || n != 100 {
		return fmt.Errorf("preadv: %d, %v", n, e)
	}
	if !bytes.Equal(x[:], data[:60]) || !bytes.Equal(y[:40], data[60:]) {
		return fmt.Errorf("preadv read %v %v", x, y)
	}
	var st syscall.Stat_t
	if _, e := hookNoescape(c, syscall.SYS_NEWFSTATAT, [6]uintptr{atCwd, 0, 0, 0}, nil, noescape(&name), noescape(&st), nil); e != 0 {
		return e
	}
	if st.Size != 100 {
		return fmt.Errorf("size is %d", st.Size)
	}
	return stackPipe(c, i)
}

// stackPipe waits, in a blocking read into the stack, for another goroutine.
func stackPipe(c *Calls, i int) error {
	var fds [2]int32
	if _, e := hookNoescape(c, syscall.SYS_PIPE2, [6]uintptr{0, 0}, noescape(&fds), nil, nil, nil); e != 0 {
		return e
	}
	done := make(chan error)
	go func() {
		grow(50)
		msg := [8]byte{byte(i), 1, 2, 3}
		_, e := hookNoescape(c, syscall.SYS_WRITE, [6]uintptr{uintptr(fds[1]), 0, 8}, nil, noescape(&msg), nil, nil)
		if e != 0 {
			done <- e
		}
		close(done)
	}()
	var got [8]byte
	n, e := hookNoescape(c, syscall.SYS_READ, [6]uintptr{uintptr(fds[0]), 0, 8}, nil, noescape(&got), nil, nil)
	if err := <-done; err != nil {
		return err
	}
	if want := [8]byte{byte(i), 1, 2, 3}; e != 0 || n != 8 || got != want {
		return fmt.Errorf("pipe: %d, %v, %v", n, e, got)
	}
	for _, fd := range fds {
		hookNoescape(c, syscall.SYS_CLOSE, [6]uintptr{uintptr(fd)}, nil, nil, nil, nil)
	}
	return nil
}

// TestArgsStayOnStack has the compiler confirm that no copy of the arguments is
// ever moved to the heap, where the runtime would not adjust their pointers.
func TestArgsStayOnStack(t *testing.T) {
	gobin := filepath.Join(runtime.GOROOT(), "bin", "go")
	out, err := exec.Command(gobin, "build", "-gcflags=-m=1", ".").CombinedOutput()
	if err != nil {
		t.Skipf("go build: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "moved to heap") {
		t.Fatal("the compiler's output says nothing about escapes")
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "moved to heap: a\n") || strings.Contains(line, "moved to heap: p") || strings.Contains(line, "args{...} escapes") {
			t.Error(strings.TrimSpace(line))
		}
	}
}
