//go:build kiln_linux

package linux

// Resource limits. Package sys stores them; those of memory concern the address
// space, too.

import (
	"syscall"

	"kiln/kernel/linux/mm"
)

const (
	sysPrlimit64    = 302
	resourceMemlock = 8 // RLIMIT_MEMLOCK
)

func setrlimit(t *Task, a *[6]uint64) (uint64, error) {
	v, err := t.shared(syscall.SYS_SETRLIMIT, a)
	if err == nil {
		t.p.limitMemory()
	}
	return v, err
}

func prlimit(t *Task, a *[6]uint64) (uint64, error) {
	v, err := t.shared(sysPrlimit64, a)
	if err == nil && a[2] != 0 {
		t.p.limitMemory()
	}
	return v, err
}

// limitMemory makes the address space, and writes to files, obey the limits that
// are set.
func (p *Program) limitMemory() {
	soft := func(resource int) uint64 {
		v, _ := p.calls.Limit(resource)
		return v
	}
	p.calls.LimitFileSize(soft(syscall.RLIMIT_FSIZE))
	p.space.SetLimits(mm.Limits{
		AS: soft(syscall.RLIMIT_AS), Data: soft(syscall.RLIMIT_DATA),
		Stack: soft(syscall.RLIMIT_STACK), Memlock: soft(resourceMemlock),
	})
}
