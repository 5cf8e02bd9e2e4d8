package sys

import (
	"fmt"
	"math/rand"
	"syscall"
	"testing"
	"time"
)

func TestFlockLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		r := rand.New(rand.NewSource(2))
		open := func() int {
			fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
			return int(fd)
		}
		fds := []int{open(), open(), open()}
		dup, _ := s.call(syscall.SYS_DUP, fds[0])
		fds = append(fds, int(dup))
		for step := range 500 {
			k := r.Intn(len(fds))
			op := []int{syscall.LOCK_SH, syscall.LOCK_EX, syscall.LOCK_UN, syscall.LOCK_EX, 0}[r.Intn(5)]
			if r.Intn(20) == 0 && k < 3 {
				s.call(syscall.SYS_CLOSE, fds[k])
				fds[k] = open()
				log("%d: file %d is another one", step, k)
				continue
			}
			_, e := s.call(syscall.SYS_FLOCK, fds[k], op|syscall.LOCK_NB)
			log("%d: flock %d %d: %v", step, k, op, e)
		}
		_, e := s.call(syscall.SYS_FLOCK, 9999, syscall.LOCK_SH)
		log("%v", e)
	})
}

func TestFlockWaits(t *testing.T) {
	_, s := systems(t)
	var fds [2]int
	for i := range fds {
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
		fds[i] = int(fd)
	}
	s.call(syscall.SYS_FLOCK, fds[0], syscall.LOCK_EX)
	got := make(chan syscall.Errno)
	go func() {
		_, e := s.call(syscall.SYS_FLOCK, fds[1], syscall.LOCK_EX)
		got <- e
	}()
	select {
	case <-got:
		t.Fatal("two have the lock")
	case <-time.After(20 * time.Millisecond):
	}
	s.call(syscall.SYS_CLOSE, fds[0])
	if e := <-got; e != 0 {
		t.Error(e)
	}
}

// Record locks of the process and of open files, with random ranges.
func TestRecordLocksLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		r := rand.New(rand.NewSource(3))
		open := func(flags int) int {
			fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|flags, 0o600)
			return int(fd)
		}
		modes := []int{syscall.O_RDWR, syscall.O_RDWR, syscall.O_RDONLY, syscall.O_WRONLY}
		var fds []int
		for _, m := range modes {
			fds = append(fds, open(m))
		}
		s.call(syscall.SYS_FTRUNCATE, fds[0], 50)
		for step := range 1500 {
			k := r.Intn(len(fds))
			if r.Intn(30) == 0 {
				s.call(syscall.SYS_CLOSE, fds[k])
				fds[k] = open(modes[k])
				log("%d: file %d is another one", step, k)
				continue
			}
			s.call(syscall.SYS_LSEEK, fds[k], 10, 0)
			l := syscall.Flock_t{Type: int16(r.Intn(4)), Whence: int16(r.Intn(10) / 4), Start: int64(r.Intn(60) - 3), Len: int64(r.Intn(20) - 4)}
			cmd := []int{syscall.F_SETLK, fOFDSetlk, fOFDSetlk, syscall.F_GETLK, fOFDGetlk}[r.Intn(5)]
			if l.Type == syscall.F_UNLCK && cmd != syscall.F_SETLK {
				cmd = fOFDSetlk // to ask for that has a meaning since Linux 6.7
			}
			asked := l
			_, e := s.call(syscall.SYS_FCNTL, fds[k], cmd, &l)
			if cmd == syscall.F_GETLK || cmd == fOFDGetlk {
				// Which of several locks in the way is told does not matter.
				log("%d: %d get %v: %v %v", step, k, asked, l.Type == syscall.F_UNLCK, e)
				continue
			}
			log("%d: %d set %d %v: %v", step, k, cmd, asked, e)
		}
		for _, cmd := range []int{syscall.F_GETLK, syscall.F_SETLK, fOFDSetlk} {
			l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 1<<63 - 10, Len: 100}
			_, e := s.call(syscall.SYS_FCNTL, fds[0], cmd, &l)
			log("too far: %v", e)
			_, e = s.call(syscall.SYS_FCNTL, 9999, cmd, &l)
			log("closed: %v", e)
			l = syscall.Flock_t{Type: syscall.F_RDLCK, Pid: 5}
			_, e = s.call(syscall.SYS_FCNTL, fds[0], cmd, &l)
			log("with a process: %v", e)
		}
	})
}

// The lock in the way is described.
func TestGetLockLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		var fds [2]int
		for i := range fds {
			fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
			fds[i] = int(fd)
		}
		ask := func(what string, fd, cmd int, l syscall.Flock_t) {
			_, e := s.call(syscall.SYS_FCNTL, fd, cmd, &l)
			pid := fmt.Sprint(l.Pid)
			if int(l.Pid) == syscall.Getpid() {
				pid = "us"
			}
			log("%s: type %d whence %d %d+%d by %s: %v", what, l.Type, l.Whence, l.Start, l.Len, pid, e)
		}
		ask("lock 10+10", fds[0], fOFDSetlk, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 10, Len: 10})
		ask("lock 20+5", fds[0], fOFDSetlk, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 20, Len: 5})
		ask("lock 40 to the end", fds[0], fOFDSetlk, syscall.Flock_t{Type: syscall.F_RDLCK, Start: 40})
		ask("own", fds[0], fOFDGetlk, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 0, Len: 15})
		ask("0+15", fds[1], fOFDGetlk, syscall.Flock_t{Type: syscall.F_RDLCK, Start: 0, Len: 15})
		ask("30+5", fds[1], fOFDGetlk, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 30, Len: 5})
		ask("50+5 read", fds[1], fOFDGetlk, syscall.Flock_t{Type: syscall.F_RDLCK, Start: 50, Len: 5})
		ask("50+5 write", fds[1], fOFDGetlk, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 50, Len: 5})
		ask("the process", fds[1], syscall.F_GETLK, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 50, Len: 5})
		ask("the process locks", fds[1], syscall.F_SETLK, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 100, Len: 5})
		ask("for the process", fds[0], fOFDGetlk, syscall.Flock_t{Type: syscall.F_WRLCK, Start: 100, Len: 5})
	})
}
