package qemu

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"kiln/host/network"
	"kiln/host/vm"
)

// wires are the connections between this process and QEMU.
type wires struct {
	wiring
	inherited inherited
	streams   [3]net.Conn // console, control, standard error
	ports     []vm.Port   // as bound

	ours   []io.Closer // this process's ends, open while QEMU runs
	theirs []*os.File  // QEMU's ends, closed once it has them
}

// connect makes the connections that spec asks for.
func (w *wires) connect(spec vm.Spec) error {
	backends := [3]*string{&w.console, &w.control, &w.stderr}
	for i := range w.streams {
		conn, peer, err := w.pair()
		if err != nil {
			return err
		}
		w.streams[i] = conn
		*backends[i] = "socket,fd=" + strconv.Itoa(w.inherited.add(peer))
	}
	w.kernel = w.inherited.path(spec.Kernel)
	if spec.Archive != nil {
		w.archive = w.inherited.path(spec.Archive)
	}
	switch spec.Network {
	case vm.NetUser:
		ports, err := vm.ReservePorts(spec.Ports)
		if err != nil {
			return err
		}
		w.ports, w.network = ports, userNetwork(ports)
	case vm.NetSwitch:
		conn, peer, err := w.pair()
		if err != nil {
			return err
		}
		n, err := network.New(conn, spec.Ports)
		if err != nil {
			return err
		}
		w.ours = append(w.ours, n)
		w.ports, w.network = n.Ports(), "socket,id=net0,fd="+strconv.Itoa(w.inherited.add(peer))
		w.mtu = network.MTU
	}
	return nil
}

// pair returns two connected stream sockets, one to keep and one for QEMU.
func (w *wires) pair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock() // no other child may inherit them by chance
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot connect to QEMU: %w", os.NewSyscallError("socketpair", err))
	}
	mine, peer := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	w.theirs = append(w.theirs, peer)
	conn, err := net.FileConn(mine)
	mine.Close()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot connect to QEMU: %w", err)
	}
	w.ours = append(w.ours, conn)
	return conn, peer, nil
}

func (w *wires) closeOurs() {
	for _, c := range w.ours {
		c.Close()
	}
}

func (w *wires) closeTheirs() {
	for _, f := range w.theirs {
		f.Close()
	}
}
