package strace

import (
	"errors"
	"syscall"
	"testing"
)

type memory map[uint64]string

func (m memory) CopyIn(dst []byte, addr uint64) error {
	for start, s := range m {
		if addr >= start && addr+uint64(len(dst)) <= start+uint64(len(s)) {
			copy(dst, s[addr-start:])
			return nil
		}
	}
	return errors.New("no memory")
}

func TestText(t *testing.T) {
	m := memory{0x1000: "/etc/passwd\x00", 0x2000: "hello\n", 0x3000: "\x03\x00\x00\x00\x04\x00\x00\x00", 0x4000: "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"}
	for _, tt := range []struct {
		nr     uint64
		args   [6]uint64
		result uint64
		errno  syscall.Errno
		want   string
	}{
		{syscall.SYS_OPENAT, [6]uint64{1<<64 - 100, 0x1000, syscall.O_CLOEXEC}, 3, 0, `openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC, 00) = 3`},
		{syscall.SYS_OPEN, [6]uint64{0x9000, syscall.O_RDWR | syscall.O_CREAT, 0o644}, 0, syscall.ENOENT, `open(0x9000, O_RDWR|O_CREAT, 0644) = -1 ENOENT (no such file or directory)`},
		{syscall.SYS_WRITE, [6]uint64{1, 0x2000, 6}, 6, 0, `write(1, "hello\n", 6) = 6`},
		{syscall.SYS_READ, [6]uint64{0, 0x2000, 4096}, 5, 0, `read(0, "hello", 4096) = 5`},
		{syscall.SYS_MMAP, [6]uint64{0, 4096, 3, 0x22, 1<<64 - 1, 0}, 0x7f0000001000, 0, `mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000`},
		{syscall.SYS_PIPE2, [6]uint64{0x3000, 0}, 0, 0, `pipe2([3, 4], O_RDONLY) = 0`},
		{syscall.SYS_NANOSLEEP, [6]uint64{0x4000, 0}, 0, 0, `nanosleep({1, 2}, 0) = 0`},
		{syscall.SYS_FUTEX, [6]uint64{0x10, 128, 2}, 0, syscall.EAGAIN, `futex(0x10, FUTEX_WAIT|PRIVATE, 2, 0, 0, 0) = -1 EAGAIN (resource temporarily unavailable)`},
		{syscall.SYS_GETPID, [6]uint64{}, 1, 0, `getpid() = 1`},
		{9999, [6]uint64{1}, 0, syscall.ENOSYS, `syscall_9999(0x1, 0, 0, 0, 0, 0) = -1 ENOSYS (function not implemented)`},
	} {
		if got := (Call{tt.nr, tt.args}).Text(m, tt.result, tt.errno); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// Every format is that of a call, and every call's name is known.
func TestTables(t *testing.T) {
	names := map[string]bool{}
	for nr := range uint64(512) {
		names[Name(nr)] = true
	}
	for name := range formats() {
		if !names[name] {
			t.Errorf("there is no system call %s", name)
		}
	}
	for nr, want := range map[uint64]string{syscall.SYS_READ: "read", syscall.SYS_PREADV: "preadv", 334: "rseq", 435: "clone3", 335: "", 600: ""} {
		if got := Name(nr); got != want {
			t.Errorf("%d is %q, want %q", nr, got, want)
		}
	}
}
