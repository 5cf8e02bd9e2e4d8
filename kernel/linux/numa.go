//go:build kiln_linux

package linux

// Memory policies (numa(7)) of a machine with one node, and protection keys of a
// CPU that has none (pkeys(7)).

import (
	"encoding/binary"
	"syscall"

	"kiln/kernel/linux/mm"
)

// Modes of a policy, and flags beside them.
const (
	policyDefault       = 0
	policyPreferred     = 1
	policyBind          = 2
	policyInterleave    = 3
	policyLocal         = 4
	policyPreferredMany = 5

	policyStatic   = 1 << 15
	policyRelative = 1 << 14
	policyBalance  = 1 << 13

	nodeBits  = 1024 // MAX_NUMNODES
	oneNode   = 1    // the mask of all nodes
	getNode   = 1
	getByAddr = 2
	getAllow  = 4
)

// memoryPolicy is a thread's, stored for who asks.
type memoryPolicy struct {
	mode  uint32
	nodes uint64
}

// nodeMask reads a set of nodes. Nodes that the machine does not have count only
// where nothing else is in the set.
func (t *Task) nodeMask(addr, bits uint64) (set uint64, others bool, err error) {
	if bits == 0 || addr == 0 {
		return 0, false, nil
	}
	bits--
	if bits > 8*pageSize {
		return 0, false, syscall.EINVAL
	}
	b := make([]byte, (bits+63)/64*8)
	if err := t.copyIn(b, addr); err != nil {
		return 0, false, err
	}
	for i := range bits {
		if binary.LittleEndian.Uint64(b[i/64*8:])>>(i%64)&1 == 0 {
			continue
		}
		switch {
		case i == 0:
			set = oneNode
		case i >= nodeBits:
			return 0, false, syscall.EINVAL
		default:
			others = true
		}
	}
	return set, others, nil
}

// checkPolicy checks a mode with its set of nodes.
func (t *Task) checkPolicy(mode, addr, bits uint64) (p memoryPolicy, err error) {
	set, others, err := t.nodeMask(addr, bits)
	if err != nil {
		return p, err
	}
	flags := uint32(mode) & (policyStatic | policyRelative | policyBalance)
	kind := uint32(mode) &^ flags
	switch {
	case kind > policyPreferredMany, flags&policyStatic != 0 && flags&policyRelative != 0,
		flags&policyBalance != 0 && kind != policyBind:
		return p, syscall.EINVAL
	case kind == policyDefault || kind == policyLocal:
		if set != 0 || others || kind == policyLocal && flags != 0 {
			return p, syscall.EINVAL
		}
	case set == 0 && others, set == 0 && kind != policyPreferred, set == 0 && flags != 0:
		return p, syscall.EINVAL
	case set == 0:
		return memoryPolicy{mode: policyLocal}, nil
	}
	return memoryPolicy{uint32(mode), set}, nil
}

func setMempolicy(t *Task, a *[6]uint64) (uint64, error) {
	p, err := t.checkPolicy(a[0], a[1], a[2])
	if err == nil {
		t.memory = p
	}
	return 0, err
}

func getMempolicy(t *Task, a *[6]uint64) (uint64, error) {
	flags := a[4]
	p := t.memory
	switch {
	case flags&^(getNode|getByAddr|getAllow) != 0, flags&getAllow != 0 && flags != getAllow,
		a[1] != 0 && a[2] < nodeBits && a[2] < 64:
		return 0, syscall.EINVAL
	case flags&getAllow != 0:
		p = memoryPolicy{0, oneNode}
	case flags&getByAddr != 0:
		if _, ok := t.p.space.Find(a[3]); !ok {
			return 0, syscall.EFAULT
		}
		if flags&getNode != 0 {
			if err := t.p.space.Fault(a[3], mm.ProtRead); err != nil {
				return 0, syscall.EFAULT
			}
		}
		p = memoryPolicy{}
	case a[3] != 0:
		return 0, syscall.EINVAL
	case flags&getNode != 0 && p.mode != policyInterleave:
		return 0, syscall.EINVAL
	}
	if flags&getNode != 0 {
		p = memoryPolicy{0, p.nodes} // the number of the node
	}
	if a[0] != 0 {
		if err := t.put32(a[0], p.mode); err != nil {
			return 0, err
		}
	}
	if a[1] != 0 {
		b := make([]byte, (min(a[2], nodeBits)-1+63)/64*8)
		binary.LittleEndian.PutUint64(b, p.nodes)
		return 0, t.copyOut(a[1], b)
	}
	return 0, nil
}

// mappedAll reports whether all of a range is mapped.
func (t *Task) mappedAll(addr, n uint64) bool {
	for end := addr + n; addr < end; {
		m, ok := t.p.space.Find(addr)
		if !ok {
			return false
		}
		addr = m.End
	}
	return true
}

func mbind(t *Task, a *[6]uint64) (uint64, error) {
	const strict, move, moveAll = 1, 2, 4
	if a[5]&^(strict|move|moveAll) != 0 {
		return 0, syscall.EINVAL
	}
	if a[5]&moveAll != 0 && t.p.view.Cred().EUID != 0 {
		return 0, syscall.EPERM
	}
	if a[0]&(pageSize-1) != 0 {
		return 0, syscall.EINVAL
	}
	n := pageUp(a[1])
	if a[0]+n < a[0] {
		return 0, syscall.EINVAL
	}
	if _, err := t.checkPolicy(a[2], a[3], a[4]); err != nil || n == 0 {
		return 0, err
	}
	if !t.mappedAll(a[0], n) {
		return 0, syscall.EFAULT
	}
	return 0, nil
}

func setMempolicyHomeNode(t *Task, a *[6]uint64) (uint64, error) {
	switch {
	case a[0]&(pageSize-1) != 0 || a[3] != 0 || a[2] != 0:
		return 0, syscall.EINVAL
	case !t.mappedAll(a[0], pageUp(a[1])):
		return 0, syscall.EFAULT
	}
	return 0, nil
}

// migratePages: all pages are where they are to be.
func migratePages(t *Task, a *[6]uint64) (uint64, error) {
	for _, addr := range a[2:4] {
		set, others, err := t.nodeMask(addr, a[1])
		if err != nil {
			return 0, err
		}
		if addr == a[3] && (others || set == 0) {
			return 0, syscall.EINVAL
		}
	}
	if pid := int32(a[0]); pid != 0 && pid != processID && t.p.task(pid) == nil {
		return 0, syscall.ESRCH
	}
	return 0, nil
}

// movePages tells where pages are: on the only node, or nowhere yet.
func movePages(t *Task, a *[6]uint64) (uint64, error) {
	const move, moveAll, maxPages = 2, 4, 1 << 24
	count, pages, nodes, status := a[1], a[2], a[3], a[4]
	switch {
	case a[5]&^(move|moveAll) != 0:
		return 0, syscall.EINVAL
	case a[5]&moveAll != 0 && t.p.view.Cred().EUID != 0:
		return 0, syscall.EPERM
	case int32(a[0]) != 0 && int32(a[0]) != processID && t.p.task(int32(a[0])) == nil:
		return 0, syscall.ESRCH
	case count > maxPages:
		return 0, syscall.E2BIG
	}
	for i := range count {
		page, err := t.get64(pages + 8*i)
		if err != nil {
			return 0, err
		}
		at := int32(0)
		if nodes != 0 {
			node, err := t.get32(nodes + 4*i)
			if err != nil {
				return 0, err
			}
			if node != 0 {
				return 0, syscall.ENODEV
			}
		}
		if vec, err := t.p.space.Mincore(page&^(pageSize-1), pageSize); err != nil {
			at = -int32(syscall.EFAULT)
		} else if vec[0]&1 == 0 {
			at = -int32(syscall.ENOENT)
		}
		if err := t.put32(status+4*i, uint32(at)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func pkeyAlloc(_ *Task, a *[6]uint64) (uint64, error) {
	if a[0] != 0 || a[1]&^3 != 0 {
		return 0, syscall.EINVAL
	}
	return 0, syscall.ENOSPC
}

func pkeyFree(*Task, *[6]uint64) (uint64, error) { return 0, syscall.EINVAL }

func pkeyMprotect(t *Task, a *[6]uint64) (uint64, error) {
	if int32(a[3]) != -1 {
		return 0, syscall.EINVAL
	}
	return mprotect(t, a)
}
