//go:build kiln_linux

package linux

import (
	"encoding/binary"
	"syscall"
)

// text stores a string with its end at a new place.
func text(x target, s string) uint64 {
	b := append([]byte(s), make([]byte, 8)...)
	at := x.memory()
	for i := 0; i+8 <= len(b); i += 8 {
		x.store(at+uint64(i), binary.LittleEndian.Uint64(b[i:]))
	}
	return at
}

// ipcScenario: System V's semaphores, messages and shared memory.
func ipcScenario(x target, n *notes) {
	m := x.memory()
	sem := uint64(x.call(syscall.SYS_SEMGET, 0, 2, 0o600))
	op := func(num, op, flags uint16) int64 {
		x.store(m, uint64(num)|uint64(op)<<16|uint64(flags)<<32)
		return x.call(syscall.SYS_SEMOP, sem, m, 1)
	}
	n.add("semop", op(0, 3, 0), op(0, 0xfffe, 0), op(0, 0xfffe, ipcNoWait), op(1, 0, 0), op(2, 1, 0), op(0, 32767, 0))
	n.add("semctl", x.call(syscall.SYS_SEMCTL, sem, 0, semGetVal, 0), x.call(syscall.SYS_SEMCTL, sem, 9, semGetVal, 0),
		x.call(syscall.SYS_SEMCTL, sem, 1, semSetVal, 32768), x.call(syscall.SYS_SEMCTL, sem, 1, 99, 0))
	n.add("remove", x.call(syscall.SYS_SEMCTL, sem, 0, ipcRemove, 0), op(0, 1, 0))

	q := uint64(x.call(syscall.SYS_MSGGET, 0, 0o600))
	for _, kind := range []uint64{5, 3, 4} {
		x.store(m, kind, 100+kind)
		n.add("send", x.call(syscall.SYS_MSGSND, q, m, 8, 0))
	}
	for _, want := range []int64{4, -4, 9, 0, 0} {
		n.add("receive", x.call(syscall.SYS_MSGRCV, q, m, 100, uint64(want), ipcNoWait), x.load(m), x.load(m+8))
	}
	n.add("remove", x.call(syscall.SYS_MSGCTL, q, ipcRemove, 0), x.call(syscall.SYS_MSGCTL, q, ipcStat, m))

	shm := uint64(x.call(syscall.SYS_SHMGET, 0, 5000, 0o600))
	at := uint64(x.call(syscall.SYS_SHMAT, shm, 0, 0))
	n.add("attach", int64(at) > 0, x.call(syscall.SYS_SHMAT, shm, at, 0), x.call(syscall.SYS_SHMAT, shm, 1, 0))
	n.add("stat", x.call(syscall.SYS_SHMCTL, shm, ipcStat, m), x.load(m+48), x.load(m+88))
	n.add("remove", x.call(syscall.SYS_SHMCTL, shm, ipcRemove, 0), x.call(syscall.SYS_SHMCTL, shm, ipcStat, m), x.load(m+20)&0xffffffff)
	n.add("detach", x.call(syscall.SYS_SHMDT, at+4096), x.call(syscall.SYS_SHMDT, at), x.call(syscall.SYS_SHMDT, at), x.call(syscall.SYS_SHMCTL, shm, ipcStat, m))
}

// mqScenario: POSIX message queues.
func mqScenario(x target, n *notes) {
	name, attr, m, prio := text(x, "kiln-test"), x.memory(), x.memory(), x.memory()
	x.call(syscall.SYS_MQ_UNLINK, name)
	x.store(attr, 0, 2, 16)
	fd := uint64(x.call(syscall.SYS_MQ_OPEN, name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_NONBLOCK, 0o600, attr))
	n.add("open", x.call(syscall.SYS_MQ_OPEN, name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, 0o600, attr), x.call(syscall.SYS_MQ_OPEN, text(x, "a/b"), 0, 0, 0))
	x.store(m, 1)
	n.add("send", x.call(syscall.SYS_MQ_TIMEDSEND, fd, m, 8, 1, 0))
	x.store(m, 2)
	n.add("send", x.call(syscall.SYS_MQ_TIMEDSEND, fd, m, 8, 7, 0), x.call(syscall.SYS_MQ_TIMEDSEND, fd, m, 8, 7, 0), x.call(syscall.SYS_MQ_TIMEDSEND, fd, m, 17, 7, 0))
	for range 3 {
		n.add("receive", x.call(syscall.SYS_MQ_TIMEDRECEIVE, fd, m, 16, prio, 0), x.load(m), x.load(prio))
	}
	n.add("attributes", x.call(syscall.SYS_MQ_GETSETATTR, fd, 0, attr), x.load(attr), x.load(attr+8), x.load(attr+16), x.load(attr+24))
	n.add("unlink", x.call(syscall.SYS_MQ_UNLINK, name), x.call(syscall.SYS_MQ_UNLINK, name), x.call(syscall.SYS_CLOSE, fd))
}

// selfScenario: a process that looks at itself.
func selfScenario(x target, n *notes) {
	pid, _ := x.thread()
	fd := uint64(x.call(sysPidfdOpen, pid, 0))
	n.add("pidfd", x.call(sysPidfdOpen, 0, 0), x.call(sysPidfdOpen, pid, 1), x.call(sysPidfdSendSignal, fd, 0, 0, 0),
		x.call(sysPidfdSendSignal, fd, 99, 0, 0), x.call(sysPidfdSendSignal, 9999, 0, 0, 0), x.call(sysPidfdGetfd, fd, 9999, 0), x.call(syscall.SYS_CLOSE, fd))
	from, to, vec := x.memory(), x.memory(), x.memory()
	x.store(from, 11, 12)
	x.store(vec, from, 16, to, 12, to+32, 4, 8, 4)
	n.add("read", x.call(sysProcessVMReadv, pid, vec+16, 2, vec, 1, 0), x.load(to), x.load(to+8), x.load(to+32))
	n.add("errors", x.call(sysProcessVMReadv, pid, vec+48, 1, vec, 1, 0), x.call(sysProcessVMReadv, pid, vec+16, 1, vec+48, 1, 0),
		x.call(sysProcessVMReadv, pid, vec, 1, vec, 1, 1), x.call(sysProcessVMReadv, 1<<22-2, vec+16, 1, vec, 1, 0))
	n.add("kcmp", x.call(sysKcmp, pid, pid, 1, 0, 0), x.call(sysKcmp, pid, pid, 0, 9999, 0), x.call(sysKcmp, pid, pid, 99, 0, 0))
}

// policyScenario: memory policies and protection keys.
func policyScenario(x target, n *notes) {
	mode, set := x.memory(), x.memory()
	x.store(set, 1)
	n.add("set", x.call(syscall.SYS_SET_MEMPOLICY, policyBind, set, 64), x.call(syscall.SYS_SET_MEMPOLICY, 99, set, 64), x.call(syscall.SYS_SET_MEMPOLICY, policyDefault, set, 64))
	n.add("get", x.call(syscall.SYS_GET_MEMPOLICY, mode, 0, 0, 0, 0), x.load(mode), x.call(syscall.SYS_GET_MEMPOLICY, mode, 0, 0, 0, 99))
	n.add("back", x.call(syscall.SYS_SET_MEMPOLICY, policyDefault, 0, 0))
	n.add("keys", x.call(sysPkeyAlloc, 1, 0), x.call(sysPkeyFree, 99), x.call(sysPkeyMprotect, mode, 4096, 1, 99))
}
