package qemu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"kiln/abi"
	"kiln/host/vm"
)

// launch starts a guest with TCG.
func launch(t *testing.T, g *guest, change func(*vm.Spec)) vm.Machine {
	t.Helper()
	needQEMU(t)
	spec := vm.Spec{Name: "test", Kernel: g.file(t), Memory: 16 << 20, CPUs: 1, Accel: vm.AccelTCG, Network: vm.NetNone}
	if change != nil {
		change(&spec)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	m, err := new(Launcher).Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Kill(); m.Wait() })
	return m
}

func TestStreamsAndStatus(t *testing.T) {
	for _, machine := range machines {
		t.Run(machine, func(t *testing.T) {
			g := &guest{}
			g.say(abi.PortControl, "kiln 1\n")
			g.say(abi.PortConsole, "a\x00b\r\n\xff")
			g.say(abi.PortError, "oops\n")
			g.say(abi.PortControl, "news that no host knows\nexit 200\n")
			g.exit(1) // the message is what counts
			var out, errs bytes.Buffer
			m := launch(t, g, func(s *vm.Spec) { s.Machine, s.Stdout, s.Stderr = machine, &out, &errs })
			status, err := m.Wait()
			if status != 200 || err != nil {
				t.Errorf("status %d, %v", status, err)
			}
			if out.String() != "a\x00b\r\n\xff" || errs.String() != "oops\n" {
				t.Errorf("stdout %q, stderr %q", &out, &errs)
			}
		})
	}
}

func TestStdin(t *testing.T) {
	g := &guest{}
	g.say(abi.PortControl, "kiln 1\n")
	g.echo(5)
	g.hear(abi.PortControl, "eof 5\n")
	g.say(abi.PortControl, "exit 0\n")
	g.exit(0)
	var out bytes.Buffer
	m := launch(t, g, func(s *vm.Spec) { s.Stdin, s.Stdout = strings.NewReader("a\x00\xffz\n"), &out })
	if status, err := m.Wait(); status != 0 || err != nil || out.String() != "a\x00\xffz\n" {
		t.Errorf("status %d, %v, output %q", status, err, &out)
	}
}

func TestStdinEmpty(t *testing.T) {
	g := &guest{}
	g.say(abi.PortControl, "kiln 1\n")
	g.hear(abi.PortControl, "eof 0\n")
	g.say(abi.PortControl, "exit 3\n")
	g.exit(0)
	m := launch(t, g, nil)
	if status, err := m.Wait(); status != 3 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}

// A signal sent before the guest is up reaches it all the same.
func TestSignal(t *testing.T) {
	g := &guest{}
	g.say(abi.PortControl, "kiln 1\n")
	g.hear(abi.PortControl, "signal 15\n")
	g.say(abi.PortControl, "exit 143\n")
	g.exit(0)
	m := launch(t, g, nil)
	m.Signal(15)
	if status, err := m.Wait(); status != 143 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestFault(t *testing.T) {
	g := &guest{}
	g.say(abi.PortControl, "kiln 1\nfault page fault at 0\n")
	g.exit(abi.ExitFault)
	m := launch(t, g, nil)
	_, err := m.Wait()
	if fault, ok := errors.AsType[*vm.FaultError](err); !ok || fault.Text != "page fault at 0" {
		t.Errorf("%v", err)
	}
}

func TestEndWithoutMessage(t *testing.T) {
	exits, resets := &guest{}, &guest{}
	exits.exit(7)
	resets.emit(0x0f, 0x0b) // ud2: without an IDT a triple fault
	if status, err := launch(t, exits, nil).Wait(); status != 7 || err != nil {
		t.Errorf("isa-debug-exit: status %d, %v", status, err)
	}
	if _, err := launch(t, resets, nil).Wait(); err == nil || !strings.Contains(err.Error(), "reset or powered off") {
		t.Errorf("triple fault: %v", err)
	}
}

func TestKill(t *testing.T) {
	g := &guest{}
	g.say(abi.PortControl, "kiln 1\n")
	g.hang()
	m := launch(t, g, nil)
	time.AfterFunc(100*time.Millisecond, func() { m.Kill() })
	if _, err := m.Wait(); !errors.Is(err, vm.ErrKilled) {
		t.Errorf("%v", err)
	}
	if err := m.Kill(); err != nil {
		t.Errorf("killing a dead machine: %v", err)
	}
}

func TestContextKills(t *testing.T) {
	needQEMU(t)
	g := &guest{}
	g.hang()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	m, err := new(Launcher).Launch(ctx, vm.Spec{Kernel: g.file(t), Memory: 16 << 20, CPUs: 1, Accel: vm.AccelTCG, Network: vm.NetNone})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Wait(); !errors.Is(err, vm.ErrKilled) {
		t.Errorf("%v", err)
	}
}

// The archive reaches the guest: PVH's start_info, in EBX, has the address of
// the module list at +16, whose first entry starts with the module's address.
func TestArchive(t *testing.T) {
	g := &guest{}
	g.say(abi.PortControl, "kiln 1\n")
	g.emit(0x8b, 0x43, 0x10) // mov eax, [ebx+16]
	g.emit(0x8b, 0x38)       // mov edi, [eax]
	for i := range 4 {
		g.await(abi.PortConsole, 0x20)
		g.port(abi.PortConsole)
		g.emit(0x8a, 0x47, byte(i), 0xee) // mov al, [edi+i]; out dx, al
	}
	g.say(abi.PortControl, "exit 0\n")
	g.exit(0)
	archive, err := vm.AnonymousFile("archive", func(w io.Writer) error { _, err := w.Write([]byte("KILN")); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var out bytes.Buffer
	m := launch(t, g, func(s *vm.Spec) { s.Archive, s.Stdout = archive, &out })
	if status, err := m.Wait(); status != 0 || err != nil || out.String() != "KILN" {
		t.Errorf("status %d, %v, output %q", status, err, &out)
	}
}

func TestLostOutputIsReported(t *testing.T) {
	g := &guest{}
	g.say(abi.PortConsole, "text")
	g.exit(0)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close()
	m := launch(t, g, func(s *vm.Spec) { s.Stdout = full })
	if _, err := m.Wait(); err == nil {
		t.Error("a write error went unnoticed")
	}
}
