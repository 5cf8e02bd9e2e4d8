package qemu

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/host/vm"
)

func parsePorts(t *testing.T, specs ...string) (ports []vm.Port) {
	t.Helper()
	for _, s := range specs {
		p, err := vm.ParsePort(s)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, p)
	}
	return ports
}

func TestStandaloneCommandLine(t *testing.T) {
	kernel, err := os.Create(filepath.Join(t.TempDir(), "k"))
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	c := &command{"qemu", vm.Spec{
		Name: "a,b", Kernel: kernel, Memory: 256 << 20, CPUs: 2, Machine: "microvm", Accel: vm.AccelTCG,
		Ports: parsePorts(t, "8080:80", "127.0.0.1:53:53/udp"),
	}}
	want := "qemu -name kiln-a,,b -M microvm,acpi=off,isa-serial=off,rtc=on,pit=on,pic=on -accel tcg,thread=multi -cpu max -m 256 -smp 2" +
		" -nodefaults -no-user-config -display none -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4" +
		" -chardev stdio,id=console -device isa-serial,chardev=console,index=0" +
		" -chardev null,id=control -device isa-serial,chardev=control,index=1" +
		" -chardev file,path=/dev/stderr,id=stderr -device isa-serial,chardev=stderr,index=2" +
		" -global virtio-mmio.force-legacy=false -device virtio-rng-device" +
		" -netdev user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:127.0.0.1:53-:53 -device virtio-net-device,netdev=net0,mac=52:54:00:12:34:56" +
		" -kernel " + kernel.Name()
	if got := strings.Join(c.standalone(), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.spec.Machine, c.spec.Accel, c.spec.Network = "q35", vm.AccelKVM, vm.NetNone
	got := strings.Join(c.standalone(), " ")
	for _, part := range []string{"-M q35,", "-accel kvm ", "-cpu host ", "-device virtio-rng-pci,disable-legacy=on "} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing in %s", part, got)
		}
	}
	if strings.Contains(got, "netdev") {
		t.Errorf("a network card without a network: %s", got)
	}
}

func TestRequestsThatCannotBeMet(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		change func(*vm.Spec)
		want   string
	}{
		"machine": {func(s *vm.Spec) { s.Machine = "vax" }, "unknown machine type"},
		"accel":   {func(s *vm.Spec) { s.Accel = "magic" }, "unknown accelerator"},
		"memory":  {func(s *vm.Spec) { s.Memory = 1 << 20 }, "too little"},
		"network": {func(s *vm.Spec) { s.Network = "avian" }, "unknown network"},
		"switch port": {func(s *vm.Spec) {
			s.Network, s.Ports = vm.NetSwitch, parsePorts(t, taken.Addr().String()+":80")
		}, "is taken"},
		"port": {func(s *vm.Spec) { s.Ports = parsePorts(t, taken.Addr().String()+":80") }, "is taken"},
	} {
		t.Run(name, func(t *testing.T) {
			needQEMU(t)
			spec := vm.Spec{Kernel: new(guest).file(t), Memory: 16 << 20, CPUs: 1, Accel: vm.AccelTCG, Network: vm.NetUser}
			c.change(&spec)
			_, err := new(Launcher).Launch(context.Background(), spec)
			if _, ok := errors.AsType[*vm.SpecError](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a SpecError with %q", err, c.want)
			}
		})
	}
}

func TestMissingBinary(t *testing.T) {
	l := &Launcher{Binary: "/nonexistent/qemu"}
	_, err := l.Launch(context.Background(), vm.Spec{Kernel: new(guest).file(t), Memory: 16 << 20, CPUs: 1, Network: vm.NetNone})
	if _, ok := errors.AsType[*vm.MissingError](err); !ok {
		t.Errorf("%v", err)
	}
	if checks := l.Probe(context.Background()); len(checks) != 1 || checks[0].OK || checks[0].Fix == "" {
		t.Errorf("%+v", checks)
	}
}

// The probe guest runs on QEMU's emulation, so what fails with an accelerator
// is the accelerator's doing.
func TestProbeGuest(t *testing.T) {
	needQEMU(t)
	if err := new(Launcher).bootProbe(context.Background(), vm.AccelTCG); err != nil {
		t.Error(err)
	}
}

func TestAutoAccelerator(t *testing.T) {
	needQEMU(t)
	var l Launcher
	var notices []string
	got, err := l.chooseAccel(context.Background(), vm.AccelAuto, func(s string) { notices = append(notices, s) })
	if err != nil {
		t.Fatal(err)
	}
	if (got == vm.AccelTCG) != (len(notices) == 1) {
		t.Errorf("%s with notices %q", got, notices)
	}
	t.Logf("%s %q", got, notices)
}

func TestParseVersion(t *testing.T) {
	for line, want := range map[string][2]int{
		"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg)": {7, 2},
		"QEMU emulator version 10.1.0":                     {10, 1},
		"QEMU emulator version 8.2":                        {8, 2},
	} {
		if major, minor, ok := parseVersion(line); !ok || [2]int{major, minor} != want {
			t.Errorf("%q: %d.%d, %v", line, major, minor, ok)
		}
	}
	if _, _, ok := parseVersion("something else"); ok {
		t.Error("nonsense was accepted")
	}
}

func TestComplaint(t *testing.T) {
	got := complaint("qemu-system-x86_64: warning: old\n\nqemu-system-x86_64: error: too small\nconsequence\n")
	if got != "too small" {
		t.Errorf("%q", got)
	}
}
