//go:build kiln_linux

package procfs

import (
	"strconv"
	"strings"
	"syscall"

	"kiln/kernel/fs"
)

// Interface is a network interface, as netdevice(7) knows it.
type Interface struct {
	Name        string
	Index, MTU  uint32
	Type, Flags uint32 // ARPHRD_ and IFF_ numbers
	Queue       uint32 // packets
	Address     []byte // of its hardware
}

// classNet is the directory /sys/class/net.
type classNet struct {
	in *Info
	fs *fs.FileSystem
}

func (d classNet) list() []Interface {
	if d.in.Net == nil {
		return nil
	}
	return d.in.Net.Interfaces()
}

func (d classNet) Names() (names []string) {
	for _, i := range d.list() {
		names = append(names, i.Name)
	}
	return names
}

func (d classNet) Lookup(name string) (*fs.Inode, error) {
	for _, i := range d.list() {
		if i.Name == name {
			return d.fs.NewInode(syscall.S_IFDIR|0o555, files{d.fs, i.files()}), nil
		}
	}
	return nil, syscall.ENOENT
}

// files is the content of an interface's directory, by name.
func (i Interface) files() map[string]string {
	number := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	up, state := "0", "down"
	if i.Flags&syscall.IFF_UP != 0 {
		up, state = "1", "up"
	}
	if i.Flags&syscall.IFF_LOOPBACK != 0 {
		state = "unknown" // as on Linux
	}
	address := make([]string, 6)
	for n := range address {
		address[n] = "00"
		if n < len(i.Address) {
			address[n] = hex(uint64(i.Address[n]), 2)
		}
	}
	return map[string]string{
		"address": strings.Join(address, ":"), "addr_len": "6", "carrier": up, "operstate": state, "dormant": "0",
		"flags": "0x" + hex(uint64(i.Flags), 1), "ifindex": number(i.Index), "iflink": number(i.Index),
		"mtu": number(i.MTU), "tx_queue_len": number(i.Queue), "type": number(i.Type), "uevent": "INTERFACE=" + i.Name + "\nIFINDEX=" + number(i.Index),
	}
}

// files is a directory of short files.
type files struct {
	fs   *fs.FileSystem
	text map[string]string
}

func (d files) Names() (names []string) {
	for name := range d.text {
		names = append(names, name)
	}
	return names
}

func (d files) Lookup(name string) (*fs.Inode, error) {
	s, ok := d.text[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	return d.fs.NewInode(syscall.S_IFREG|0o444, text(constant(s))), nil
}

// comm is the file with a thread's name, which can be written (proc_pid_comm(5)).
type comm struct {
	in *Info
	id int
}

func (f comm) ReadAt(off int64, p []byte) (int, error) {
	t, ok := f.in.thread(f.id)
	if !ok {
		return 0, syscall.ESRCH
	}
	return content(t.Name+"\n").ReadAt(off, p)
}

func (f comm) WriteAt(_ int64, p []byte) (int, error) {
	name, _, _ := strings.Cut(string(p[:min(len(p), 15)]), "\n")
	if f.in.Process == nil || !f.in.Process.Rename(f.id, name) {
		return 0, syscall.ESRCH
	}
	return len(p), nil
}

// Truncate lets open with O_TRUNC have its way.
func (comm) Truncate(int64) error { return nil }
