// System checks, from inside a guest, system calls that programs make by
// themselves (golang.org/x/sys/unix), and those that reach the kernel by another
// way than the others. It prints what fails and exits with the number of
// failures.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var failures int

// What is asked for while packages are initialised is answered already.
var (
	early, earlyErr = os.ReadFile("/etc/hosts")
	earlyWD, _      = os.Getwd()
	earlyExe, _     = os.Executable()
	earlyHost, _    = os.Hostname()
	listener, _     = net.Listen("tcp", "127.0.0.1:0")
)

func check(ok bool, format string, args ...any) {
	if !ok {
		failures++
		fmt.Printf("FAIL "+format+"\n", args...)
	}
}

// need is check for errors that make the rest of a check pointless.
func need(err error) {
	if err != nil {
		panic(err)
	}
}

var dir string

func main() {
	var err error
	dir, err = os.MkdirTemp("", "")
	need(err)
	for _, f := range []func(){heapDump, identity, watching, attributes, mappings, flags, locks, times, socketTimeouts, initialisation, proc} {
		f()
	}
	if failures == 0 {
		fmt.Println("ok")
	}
	os.Exit(failures)
}

// heapDump: the runtime writes it while the world is stopped.
func heapDump() {
	f, err := os.Create(filepath.Join(dir, "heap"))
	need(err)
	f.WriteString("before\n")
	debug.WriteHeapDump(f.Fd())
	f.WriteString("after\n")
	f.Close()
	data, err := os.ReadFile(f.Name())
	need(err)
	const head = "before\ngo1.7 heap dump\n"
	check(bytes.HasPrefix(data, []byte(head)) && bytes.HasSuffix(data, []byte("\x00after\n")) && len(data) > 100_000,
		"a heap dump of %d bytes begins with %.30q", len(data), data)
}

// identity is asked for by functions that trap.
func identity() {
	check(unix.Umask(0o077) == 0o022, "umask was not 022")
	need(os.WriteFile(filepath.Join(dir, "private"), nil, 0o666))
	st, err := os.Stat(filepath.Join(dir, "private"))
	need(err)
	check(st.Mode() == 0o600, "umask 077 gave mode %v", st.Mode())
	check(syscall.Umask(0o022) == 0o077, "umask did not stay")
	need(unix.Setresgid(5, 6, 7))
	need(unix.Setresuid(1, 0, 3))
	r, e, s := unix.Getresuid()
	check(r == 1 && e == 0 && s == 3, "getresuid: %d %d %d", r, e, s)
	r, e, s = unix.Getresgid()
	check(r == 5 && e == 6 && s == 7, "getresgid: %d %d %d", r, e, s)
	need(unix.Setresuid(0, 0, 0))
	need(unix.Setresgid(0, 0, 0))
	unix.Sync()
}

// watching reads inotify as the watchers of files do: by the runtime's poller.
func watching() {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	need(err)
	in := os.NewFile(uintptr(fd), "inotify")
	d := filepath.Join(dir, "watched")
	need(os.Mkdir(d, 0o755))
	_, err = unix.InotifyAddWatch(fd, d, unix.IN_CREATE|unix.IN_CLOSE_WRITE|unix.IN_MODIFY|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_ATTRIB)
	need(err)
	go func() {
		time.Sleep(10 * time.Millisecond)
		os.WriteFile(d+"/a", []byte("x"), 0o644)
		os.Chmod(d+"/a", 0o600)
		os.Rename(d+"/a", d+"/b")
		os.Remove(d + "/b")
	}()
	want := []string{"CREATE a", "MODIFY a", "CLOSE_WRITE a", "ATTRIB a", "MOVED_FROM a", "MOVED_TO b", "DELETE b"}
	var got []string
	in.SetReadDeadline(time.Now().Add(20 * time.Second))
	for buf := make([]byte, 4096); len(got) < len(want); {
		n, err := in.Read(buf)
		if err != nil {
			check(false, "inotify: %v", err)
			break
		}
		for b := buf[:n]; len(b) > 0; {
			size := unix.SizeofInotifyEvent + binary.LittleEndian.Uint32(b[12:])
			got = append(got, eventNames[binary.LittleEndian.Uint32(b[4:])]+" "+strings.TrimRight(string(b[unix.SizeofInotifyEvent:size]), "\x00"))
			b = b[size:]
		}
	}
	check(fmt.Sprint(got) == fmt.Sprint(want), "inotify told %v", got)
	in.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = in.Read(make([]byte, 100))
	check(os.IsTimeout(err), "inotify with nothing to tell: %v", err)
	in.Close()
}

var eventNames = map[uint32]string{unix.IN_CREATE: "CREATE", unix.IN_CLOSE_WRITE: "CLOSE_WRITE", unix.IN_MODIFY: "MODIFY", unix.IN_ATTRIB: "ATTRIB",
	unix.IN_MOVED_FROM: "MOVED_FROM", unix.IN_MOVED_TO: "MOVED_TO", unix.IN_DELETE: "DELETE"}

func attributes() {
	name := filepath.Join(dir, "attributes")
	need(os.WriteFile(name, nil, 0o644))
	need(unix.Setxattr(name, "user.color", []byte("blue"), 0))
	buf := make([]byte, 100)
	n, err := unix.Getxattr(name, "user.color", buf)
	check(err == nil && string(buf[:n]) == "blue", "getxattr: %q %v", buf[:max(n, 0)], err)
	n, err = unix.Listxattr(name, buf)
	check(err == nil && string(buf[:n]) == "user.color\x00", "listxattr: %q %v", buf[:max(n, 0)], err)
	check(unix.Removexattr(name, "user.color") == nil, "removexattr failed")
	_, err = unix.Getxattr(name, "user.color", buf)
	check(err == unix.ENODATA, "an attribute that was removed: %v", err)
}

func mappings() {
	f, err := os.Create(filepath.Join(dir, "mapped"))
	need(err)
	need(f.Truncate(1 << 20))
	b, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	need(err)
	r, err := unix.Mmap(int(f.Fd()), 4096, 8192, unix.PROT_READ, unix.MAP_SHARED)
	need(err)
	copy(b[4096:], "by memory")
	_, err = f.WriteAt([]byte("by the file"), 8192)
	need(err)
	got := make([]byte, 9)
	f.ReadAt(got, 4096)
	check(string(got) == "by memory" && string(r[:9]) == "by memory" && string(b[8192:][:11]) == "by the file" && string(r[4096:][:11]) == "by the file",
		"a mapping and its file differ: %q %q", got, b[8192:][:11])
	need(unix.Msync(b, unix.MS_SYNC))
	need(unix.Munmap(r))
	b, err = unix.Mremap(b, 2<<20, unix.MREMAP_MAYMOVE)
	need(err)
	need(f.Truncate(2 << 20))
	b[2<<20-1] = 7
	need(unix.Munmap(b))
	got = got[:1]
	f.ReadAt(got, 2<<20-1)
	check(got[0] == 7, "what was written by memory is gone")
	f.Close()
}

// flags stores comparisons in fresh memory, where each page faults in between.
func flags() {
	fresh := make([]bool, 8<<20)
	for i := 0; i < len(fresh); i += 4096 {
		below := i - 1<<40
		if storeNegative(&fresh[i], 5, below); fresh[i] {
			check(false, "5 is negative at offset %#x of fresh memory, after %d", i, below)
			break
		}
	}
}

//go:noinline
func storeNegative(p *bool, x, _ int) { *p = x < 0 }

func locks() {
	open := func() *os.File {
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
		need(err)
		return f
	}
	a, b := open(), open()
	need(unix.Flock(int(a.Fd()), unix.LOCK_EX))
	err := unix.Flock(int(b.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	check(err == unix.EWOULDBLOCK, "two have a lock: %v", err)
	time.AfterFunc(10*time.Millisecond, func() { a.Close() })
	err = unix.Flock(int(b.Fd()), unix.LOCK_EX)
	check(err == nil, "flock after a wait: %v", err)
	b.Close()
}

func times() {
	start := time.Now()
	for x := 0; time.Since(start) < 50*time.Millisecond; x++ {
	}
	time.Sleep(300 * time.Millisecond)
	var u unix.Rusage
	need(unix.Getrusage(unix.RUSAGE_SELF, &u))
	used := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	check(used >= 20*time.Millisecond, "CPU time used: %v", used)
	var res, now unix.Timespec
	need(unix.ClockGetres(unix.CLOCK_MONOTONIC, &res))
	check(res.Nano() == 1, "clock_getres: %v", res)
	need(unix.ClockGettime(unix.CLOCK_REALTIME, &now))
	check(time.Since(time.Unix(now.Unix())).Abs() < time.Minute, "clock_gettime: %v", now)
}

// socketTimeouts: SO_RCVTIMEO on descriptors that block.
func socketTimeouts() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	need(err)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	need(err)
	need(unix.Connect(fd, &unix.SockaddrInet4{Port: listener.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}))
	for _, fd := range []int{fds[0], fd} {
		need(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}))
		start := time.Now()
		_, err = unix.Read(fd, make([]byte, 1))
		check(err == unix.EAGAIN && time.Since(start) >= 20*time.Millisecond, "a read with a timeout: %v after %v", err, time.Since(start))
	}
}

func initialisation() {
	check(earlyErr == nil && len(early) > 0 && earlyWD != "" && earlyExe != "" && earlyHost != "" && listener != nil,
		"in initialisers: %q %v %q %q %q %v", early, earlyErr, earlyWD, earlyExe, earlyHost, listener)
}

func proc() {
	for _, name := range []string{"limits", "stat", "status", "mountinfo", "cgroup", "cmdline", "fdinfo/1"} {
		data, err := os.ReadFile("/proc/self/" + name)
		check(err == nil && len(data) > 0, "/proc/self/%s: %q %v", name, data, err)
	}
}
