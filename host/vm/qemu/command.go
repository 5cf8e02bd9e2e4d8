package qemu

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"kiln/host/network"
	"kiln/host/vm"
)

// command is a QEMU command line in the making.
type command struct {
	binary string
	spec   vm.Spec // checked, and nothing left open
}

// wiring is what differs between a machine that this process drives and one
// that the user starts by hand.
type wiring struct {
	console, control, stderr string // -chardev back ends
	kernel, archive          string // file names; archive empty: none
	network                  string // -netdev back end; empty: no network
	mtu                      int    // of the network; 0: Ethernet's
}

// arguments returns QEMU's arguments.
func (c *command) arguments(w wiring) []string {
	micro := c.spec.Machine == DefaultMachine
	args := []string{
		"-name", quote("kiln-" + c.spec.Name),
		"-M", machineType(c.spec.Machine),
		"-accel", accelerator(c.spec.Accel),
		"-cpu", cpuModel(c.spec.Accel),
		"-m", strconv.FormatInt(max(c.spec.Memory>>20, 1), 10),
		"-smp", strconv.Itoa(c.spec.CPUs),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=4",
		"-chardev", w.console + ",id=console", "-device", "isa-serial,chardev=console,index=0",
		"-chardev", w.control + ",id=control", "-device", "isa-serial,chardev=control,index=1",
		"-chardev", w.stderr + ",id=stderr", "-device", "isa-serial,chardev=stderr,index=2",
	}
	if micro {
		args = append(args, "-global", "virtio-mmio.force-legacy=false")
	}
	args = append(args, "-device", device("virtio-rng", micro))
	if w.network != "" {
		nic := device("virtio-net", micro) + ",netdev=net0,mac=" + network.MachineMAC
		if w.mtu != 0 {
			nic += ",host_mtu=" + strconv.Itoa(w.mtu)
		}
		if !micro {
			nic += ",romfile=" // no network boot
		}
		args = append(args, "-netdev", w.network, "-device", nic)
	}
	args = append(args, "-kernel", w.kernel)
	if w.archive != "" {
		args = append(args, "-initrd", w.archive)
	}
	return args
}

func machineType(name string) string {
	switch name {
	case DefaultMachine:
		// Without ACPI QEMU names the virtio devices on the kernel's
		// command line. PIT and RTC give the guest its time.
		return "microvm,acpi=off,isa-serial=off,rtc=on,pit=on,pic=on"
	case "q35":
		// The firmware spends a fifth of its time on these.
		return "q35,smm=off,sata=off,smbus=off,usb=off"
	}
	return name
}

func accelerator(a vm.Accel) string {
	if a == vm.AccelTCG {
		return "tcg,thread=multi"
	}
	return string(a)
}

func cpuModel(a vm.Accel) string {
	if a == vm.AccelTCG {
		return "max"
	}
	return "host"
}

// device returns the name of a virtio device on the machine's bus.
func device(name string, micro bool) string {
	if micro {
		return name + "-device" // virtio-mmio
	}
	return name + "-pci,disable-legacy=on"
}

// userNetwork is QEMU's own address translation, with the forwarded ports.
func userNetwork(ports []vm.Port) string {
	var b strings.Builder
	b.WriteString("user,id=net0")
	for _, p := range ports {
		fmt.Fprintf(&b, ",hostfwd=%s:%s:%d-:%d", p.Protocol, hostAddress(p.Host.Addr()), p.Host.Port(), p.Guest)
	}
	return b.String()
}

func hostAddress(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// standalone returns a command line for a shell: the console on standard input
// and output, the program's standard error on standard error.
func (c *command) standalone() []string {
	w := wiring{
		console: "stdio",
		control: "null",
		stderr:  "file,path=/dev/stderr",
		kernel:  c.spec.Kernel.Name(),
	}
	if c.spec.Archive != nil {
		w.archive = c.spec.Archive.Name()
	}
	if c.spec.Network != vm.NetNone {
		w.network = userNetwork(c.spec.Ports)
	}
	return append([]string{c.binary}, c.arguments(w)...)
}

// inherited collects the files that QEMU is started with.
type inherited struct{ files []*os.File }

// add returns the number that f has in QEMU.
func (in *inherited) add(f *os.File) int {
	in.files = append(in.files, f)
	return 2 + len(in.files) // after 0, 1 and 2
}

// path returns a file name that opens f in QEMU, whether or not f has a name
// of its own.
func (in *inherited) path(f *os.File) string {
	dir := "/dev/fd/"
	if runtime.GOOS == "linux" {
		dir = "/proc/self/fd/"
	}
	return dir + strconv.Itoa(in.add(f))
}

// quote protects a value in a comma-separated option.
func quote(s string) string { return strings.ReplaceAll(s, ",", ",,") }
