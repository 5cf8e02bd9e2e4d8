// Init is the first process of a Linux guest whose network card needs modules.
// It loads those of /modules in the order of their names, gives eth0 the
// address that QEMU's user network expects, and becomes the program /app.
//
// It stands in for an initrd's scripts and is smaller and faster than any.
package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func main() {
	err := boot()
	fmt.Println("init:", err)
	os.Exit(1)
}

// boot does not return unless something fails.
func boot() error {
	modules, err := filepath.Glob("/modules/*.ko")
	if err != nil {
		return err
	}
	for _, m := range modules {
		if err := load(m); err != nil {
			return fmt.Errorf("loading %s: %w", m, err)
		}
	}
	for _, i := range []struct{ name, prefix string }{{"lo", "127.0.0.1/8"}, {"eth0", "10.0.2.15/24"}} {
		if err := up(i.name, netip.MustParsePrefix(i.prefix)); err != nil {
			return fmt.Errorf("configuring %s: %w", i.name, err)
		}
	}
	return unix.Exec("/app", []string{"/app"}, os.Environ())
}

func load(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.FinitModule(fd, "", 0)
}

// up gives an interface its address and netmask and brings it up, with the
// ioctls of netdevice(7).
func up(name string, p netip.Prefix) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	mask := ^uint32(0) << (32 - p.Bits())
	for _, set := range []struct {
		request uint
		addr    []byte
	}{
		{unix.SIOCSIFADDR, p.Addr().AsSlice()},
		{unix.SIOCSIFNETMASK, []byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}},
	} {
		if err := r.SetInet4Addr(set.addr); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.request, r); err != nil {
			return err
		}
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}
