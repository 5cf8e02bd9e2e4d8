package test

import (
	"bufio"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestVirtioConsole: the driver of virtio consoles, on both transports and with
// each kind of interrupt.
func TestVirtioConsole(t *testing.T) {
	needQEMU(t)
	dir := t.TempDir()
	kernel := filepath.Join(dir, "console.krn")
	if shell(t, "cd test/testdata/console; bin/kiln build -q . -o "+kernel); t.Failed() {
		return
	}
	const pci = "virtio-serial-pci,disable-legacy=on,max_ports=1"
	for _, c := range []struct{ name, machine, device string }{
		{"mmio", "microvm,acpi=off,isa-serial=on,rtc=on,pit=on,pic=on", "virtio-serial-device,max_ports=1"},
		{"q35-messages", "q35", pci},
		{"q35-one-message", "q35", pci + ",vectors=1"},
		{"q35-line", "q35", pci + ",vectors=0"},
		{"pc-line", "pc", pci + ",vectors=0"},
	} {
		t.Run(c.name, func(t *testing.T) { talk(t, kernel, c.machine, c.device) })
	}
}

// talk exchanges lines with the machine's virtio console.
func talk(t *testing.T, kernel, machine, device string) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command("qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-cpu", "max", "-m", "128",
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-global", "virtio-mmio.force-legacy=false",
		"-chardev", "socket,id=c0,path="+l.Addr().String(), "-device", device, "-device", "virtconsole,chardev=c0",
		"-kernel", kernel)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill(); l.Close() })
	defer limit.Stop()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("QEMU does not connect: %v\n%s", err, out.String())
	}
	defer c.Close()
	from := bufio.NewReader(c)
	expect := func(want string) {
		if line, err := from.ReadString('\n'); line != want {
			t.Errorf("the console says %.40q (%d bytes), want %.40q (%d): %v", line, len(line), want, len(want), err)
		}
	}
	expect("ready\n")
	// What QEMU's end of the socket has no room for it drops, so lines are short
	// enough to lie there, in pieces of 128 bytes.
	for _, line := range []string{"one\n", strings.Repeat("0123456789", 1000) + "\n", strings.Repeat("x", 10_000) + "\n", "quit\n"} {
		c.Write([]byte(line))
		expect(line)
	}
	cmd.Wait()
	if got := strings.TrimSpace(out.String()); got != "done" {
		t.Errorf("the machine says %q", got)
	}
}
