package test

// The network card on a real link: a tap device of the host, in a network
// namespace that ends with the test. Unlike the user-space networks, a tap
// takes and gives packets of up to 64 KiB with checksums left open, and has
// several queues. So this is where offloads and queues work for real.

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/abi"
	"kiln/test/pattern"
)

const (
	tapDevice = "tap0"
	tapMTU    = 1500
	pumpPort  = "5001"
	pumpBytes = 32 << 20 // a connection
)

// tapHosts are the machine's addresses.
var tapHosts = []string{"192.0.2.2", "fd00:2::2"}

func TestTap(t *testing.T) {
	needQEMU(t)
	needTap(t)
	dir := t.TempDir()
	kernel := filepath.Join(dir, "pump.krn")
	if shell(t, "bin/kiln build -q ./test/guests/pump -o "+kernel); t.Failed() {
		return
	}
	archive := filepath.Join(dir, "archive")
	writeArchive(t, archive)
	for i, c := range []tapCase{
		{"microvm", "virtio-net-device,mq=on", 2, 2},
		{"q35", "virtio-net-pci,disable-legacy=on,romfile=,mq=on,vectors=6", 2, 2},
		{"q35", "virtio-net-pci,disable-legacy=on,romfile=,mq=on,vectors=0", 2, 2}, // an interrupt line
		{"pc", "virtio-net-pci,disable-legacy=on,romfile=,mq=on,vectors=3", 2, 2},  // one message for all
		{"microvm", "virtio-net-device,mq=on", 1, 1},
	} {
		t.Run(fmt.Sprintf("%d-%s-%dcpu", i, c.machine, c.cpus), func(t *testing.T) { c.run(t, dir, kernel, archive) })
	}
}

// needTap skips the test where no tap device can be made.
func needTap(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("making a tap device and a network namespace takes root")
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this host has no tap devices: " + err.Error())
	}
	f.Close()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the command ip (Debian: iproute2) is not installed")
	}
}

func writeArchive(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := &abi.Manifest{Args: []string{"pump"}}
	for _, a := range tapHosts {
		m.Net.Addresses = append(m.Net.Addresses, a+map[bool]string{true: "/64", false: "/24"}[strings.Contains(a, ":")])
	}
	if err := abi.NewArchiveWriter(f, m).Close(); err != nil {
		t.Fatal(err)
	}
}

// tapCase is a machine at a tap device.
type tapCase struct {
	machine, nic string
	cpus         int
	queues       int // that the machine shall use
}

// run is a test of its own thread's network namespace. The thread ends with
// the goroutine, because it stays locked, and the namespace with the last of its
// processes.
func (c tapCase) run(t *testing.T, dir, kernel, archive string) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("this process may not make a network namespace: " + err.Error())
	}
	for _, line := range []string{
		"link set lo up",
		"tuntap add dev " + tapDevice + " mode tap multi_queue vnet_hdr",
		"addr add 192.0.2.1/24 dev " + tapDevice,
		"addr add fd00:2::1/64 dev " + tapDevice + " nodad",
		"link set " + tapDevice + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Skipf("this host cannot set up a tap device: ip %s: %v %s", line, err, out)
		}
	}
	q := c.start(t, dir, kernel, archive)
	seen := capture(t)
	for _, host := range tapHosts {
		seen.reset()
		for _, connections := range []int{1, 4} {
			for _, direction := range []byte("sr") {
				pump(t, host, direction, connections)
			}
		}
		seen.check(t, host)
	}
	q.checkFeatures(t)
	q.checkQueues(t, c.queues)
}

// start boots the machine and waits until it listens.
func (c tapCase) start(t *testing.T, dir, kernel, archive string) *qmp {
	t.Helper()
	console, socket := filepath.Join(dir, "console"), filepath.Join(dir, "qmp")
	os.Remove(console)
	os.Remove(socket)
	machine := c.machine
	if machine == "microvm" {
		machine += ",acpi=off,isa-serial=on,rtc=on,pit=on,pic=on"
	}
	var stderr strings.Builder
	cmd := exec.Command("qemu-system-x86_64", "-M", machine, "-accel", "tcg,thread=multi", "-cpu", "max",
		"-m", "256", "-smp", fmt.Sprint(c.cpus), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "file:"+console, "-qmp", "unix:"+socket+",server=on,wait=off",
		"-global", "virtio-mmio.force-legacy=false",
		"-netdev", "tap,id=n0,ifname="+tapDevice+",script=no,downscript=no,vhost=off,queues=2",
		"-device", c.nic+",netdev=n0,id=nic0", "-kernel", kernel, "-initrd", archive)
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(console)
			t.Logf("the console:\n%s\nQEMU:\n%s", b, stderr.String())
		}
	})
	await(t, console, "listening\n")
	return dialQMP(t, socket)
}

// pump moves bytes over some connections at a time, and logs how fast.
func pump(t *testing.T, host string, direction byte, connections int) {
	t.Helper()
	var conns []net.Conn
	for range connections {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, pumpPort), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Minute))
		conns = append(conns, c)
	}
	begin := time.Now()
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			if err := pumpOne(c, direction); err != nil {
				t.Errorf("%s, direction %c, %d connections: %v", host, direction, connections, err)
			}
		})
	}
	all.Wait()
	rate := float64(connections) * pumpBytes / (1 << 20) / time.Since(begin).Seconds()
	t.Logf("%-11s %-18s %d connections: %4.0f MiB/s", host, map[byte]string{'s': "from the machine", 'r': "to the machine"}[direction], connections, rate)
}

func pumpOne(c net.Conn, direction byte) error {
	if _, err := c.Write(binary.BigEndian.AppendUint64([]byte{direction}, pumpBytes)); err != nil {
		return err
	}
	if direction == 's' {
		return pattern.Check(c, pumpBytes)
	}
	if err := pattern.Send(c, pumpBytes); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && string(answer) != "ok" {
		err = fmt.Errorf("the machine answers %q", answer)
	}
	return err
}

// sniffer sees all packets of the tap device (packet(7)).
type sniffer struct {
	mu       sync.Mutex
	from, to traffic // the machine
}

type traffic struct {
	packets, large, open int // larger than the MTU; with a checksum to be filled in
	longest              int
}

func capture(t *testing.T) *sniffer {
	t.Helper()
	link, err := net.InterfaceByName(tapDevice)
	if err != nil {
		t.Fatal(err)
	}
	all := uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}); err != nil {
		t.Fatal(err)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	s := &sniffer{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		<-stopped
		unix.Close(fd)
	})
	go func() {
		defer close(stopped)
		b, control := make([]byte, 64), make([]byte, 256)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, cn, _, from, err := unix.Recvmsg(fd, b, control, unix.MSG_TRUNC)
			if err != nil {
				continue // nothing came in the meantime
			}
			s.note(n, control[:cn], from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING)
		}
	}()
	return s
}

func (s *sniffer) note(size int, control []byte, outgoing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.from
	if outgoing {
		d = &s.to
	}
	d.packets++
	d.longest = max(d.longest, size)
	if size > 14+tapMTU {
		d.large++
	}
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA &&
			binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0 {
			d.open++
		}
	}
}

func (s *sniffer) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.to = traffic{}, traffic{}
}

// check reports whether large packets and open checksums went both ways.
func (s *sniffer) check(t *testing.T, host string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, d := range map[string]traffic{"from": s.from, "to": s.to} {
		t.Logf("%-11s %s the machine: %d packets, %d larger than the MTU, %d with an open checksum, the longest of %d bytes",
			host, name, d.packets, d.large, d.open, d.longest)
		if d.large == 0 || d.open == 0 {
			t.Errorf("%s: no segmentation or checksum offload is used %s the machine", host, name)
		}
	}
}

// qmp is QEMU's monitor.
type qmp struct {
	enc *json.Encoder
	dec *json.Decoder
}

func dialQMP(t *testing.T, socket string) *qmp {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	q := &qmp{json.NewEncoder(c), json.NewDecoder(c)}
	var greeting any
	if err := q.dec.Decode(&greeting); err != nil {
		t.Fatal(err)
	}
	q.ask(t, "qmp_capabilities", nil, nil)
	return q
}

// ask runs a command. It reports false if QEMU does not know it.
func (q *qmp) ask(t *testing.T, command string, arguments, answer any) bool {
	t.Helper()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := q.enc.Encode(request); err != nil {
		t.Fatal(err)
	}
	for {
		var r struct {
			Return json.RawMessage
			Error  *struct{ Class, Desc string }
		}
		if err := q.dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Error != nil && r.Error.Class == "CommandNotFound":
			return false
		case r.Error != nil:
			t.Fatalf("QEMU: %s: %s", command, r.Error.Desc)
		case r.Return == nil: // an event
		case answer == nil:
			return true
		default:
			if err := json.Unmarshal(r.Return, answer); err != nil {
				t.Fatal(err)
			}
			return true
		}
	}
}

// nicPath is where QEMU keeps the virtio device, as against its transport.
func (q *qmp) nicPath(t *testing.T) string {
	t.Helper()
	var devices []struct{ Name, Path string }
	if !q.ask(t, "x-query-virtio", nil, &devices) {
		t.Skip("this QEMU does not tell of virtio devices: features and queues are not checked")
	}
	for _, d := range devices {
		if d.Name == "virtio-net" {
			return d.Path
		}
	}
	t.Fatalf("there is no network card among %v", devices)
	return ""
}

func (q *qmp) checkFeatures(t *testing.T) {
	t.Helper()
	var status struct {
		Guest struct {
			Device    []string `json:"dev-features"`
			Transport []string `json:"transports"`
		} `json:"guest-features"`
	}
	if !q.ask(t, "x-query-virtio-status", map[string]string{"path": q.nicPath(t)}, &status) {
		return
	}
	var names []string
	for _, f := range append(status.Guest.Device, status.Guest.Transport...) {
		name, _, _ := strings.Cut(f, ":")
		names = append(names, name)
	}
	t.Log("negotiated:", strings.Join(names, " "))
	for _, want := range []string{
		"VIRTIO_NET_F_CSUM", "VIRTIO_NET_F_GUEST_CSUM", "VIRTIO_NET_F_HOST_TSO4", "VIRTIO_NET_F_HOST_TSO6",
		"VIRTIO_NET_F_GUEST_TSO4", "VIRTIO_NET_F_GUEST_TSO6", "VIRTIO_NET_F_MRG_RXBUF", "VIRTIO_NET_F_MQ",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not negotiated", want)
		}
	}
}

// checkQueues checks that packets came and went by each queue pair.
func (q *qmp) checkQueues(t *testing.T, pairs int) {
	t.Helper()
	path := q.nicPath(t)
	for i := range 4 {
		var status struct {
			Used int `json:"used-idx"`
		}
		q.ask(t, "x-query-virtio-queue-status", map[string]any{"path": path, "queue": i}, &status)
		t.Logf("virtqueue %d: used index %d", i, status.Used)
		if used := status.Used != 0; used != (i < 2*pairs) {
			t.Errorf("virtqueue %d is used: %v", i, used)
		}
	}
}
