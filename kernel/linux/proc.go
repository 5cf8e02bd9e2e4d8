//go:build kiln_linux

package linux

import (
	"encoding/binary"
	"strings"

	"kiln/kernel/fs/procfs"
	"kiln/kernel/linux/mm"
)

// Process shows the program in /proc/self.
type Process struct{ p *Program }

// Process returns what /proc shows of the program.
func (p *Program) Process() Process { return Process{p} }

// Exe implements procfs.Process.
func (v Process) Exe() string { return v.p.exe }

// Auxv implements procfs.Process.
func (v Process) Auxv() (b []byte) {
	for _, a := range v.p.auxv {
		b = binary.LittleEndian.AppendUint64(b, a.key)
		b = binary.LittleEndian.AppendUint64(b, a.value)
	}
	return b
}

// Mappings implements procfs.Process.
func (v Process) Mappings(resident bool) []procfs.Mapping {
	list := v.p.space.Mappings(resident)
	out := make([]procfs.Mapping, len(list))
	for i, m := range list {
		out[i] = procfs.Mapping{
			Start: m.Start, End: m.End,
			Read: m.Prot&mm.ProtRead != 0, Write: m.Prot&mm.ProtWrite != 0, Exec: m.Prot&mm.ProtExec != 0,
			Shared: m.Shared, Offset: m.Offset, Dev: m.Dev, Inode: m.Inode, Name: m.Name,
			Locked: m.Locked, Anonymous: m.Anonymous, Resident: uint64(m.Resident) * mm.PageSize,
		}
	}
	return out
}

// Memory implements procfs.Process.
func (v Process) Memory() procfs.MemoryUse {
	s := v.p.space.Stats()
	return procfs.MemoryUse{
		Size: s.Size, PeakSize: s.PeakSize, Resident: s.Resident, PeakResident: s.PeakResident,
		Anonymous: s.Anonymous, File: s.File, Shared: s.Shared, Data: s.Data, Stack: s.Stack, Exec: s.Exec, Locked: s.Locked,
		Text: s.Text, StackEnd: s.StackEnd,
	}
}

// Threads implements procfs.Process.
func (v Process) Threads() []procfs.Thread {
	tasks := v.p.all()
	out := make([]procfs.Thread, len(tasks))
	names := make([]string, len(tasks))
	v.p.mu.Lock()
	for i, t := range tasks {
		names[i] = strings.TrimRight(string(t.name[:]), "\x00")
	}
	v.p.mu.Unlock()
	h := &v.p.signals
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, t := range tasks {
		out[i] = procfs.Thread{
			ID: int(t.tid), Name: names[i], State: 'R', // who looks runs; of others it is not known
			Pending: uint64(t.sig.pending.set), Blocked: uint64(t.sig.blocked),
		}
	}
	return out
}

// Rename implements procfs.Process.
func (v Process) Rename(id int, name string) bool {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	t := v.p.tasks[int32(id)]
	if t == nil {
		return false
	}
	clear(t.name[:])
	copy(t.name[:len(t.name)-1], name)
	return true
}

// Signals implements procfs.Process.
func (v Process) Signals() (s procfs.Signals) {
	h := &v.p.signals
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Pending = uint64(h.shared.set)
	for sig, a := range h.actions {
		switch {
		case sig == 0 || a.handler == sigDefault:
		case a.handler == sigIgnore:
			s.Ignored |= 1 << (sig - 1)
		default:
			s.Caught |= 1 << (sig - 1)
		}
	}
	return s
}
