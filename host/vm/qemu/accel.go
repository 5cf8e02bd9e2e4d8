package qemu

// Which accelerator works is found by trial. A device node that opens proves
// little: some virtual machines offer a /dev/kvm that runs only particular
// guests, and QEMU aborts or the guest hangs. So a guest of a few instructions
// is booted with the accelerator in question, on the machine that kernels run
// on; it has to reach 64-bit mode and end with a known status.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"time"

	"kiln/host/vm"
)

// probeTimeout is generous: the guest takes milliseconds.
const probeTimeout = 10 * time.Second

// hardware returns the accelerator that this system may have; empty: none.
func hardware() vm.Accel {
	if runtime.GOARCH != "amd64" {
		return "" // the guest is always x86-64
	}
	switch runtime.GOOS {
	case "linux":
		return vm.AccelKVM
	case "darwin":
		return vm.AccelHVF
	}
	return ""
}

// chooseAccel returns the accelerator to use for want. If auto has to do
// without hardware, notice (if not nil) is told why.
func (l *Launcher) chooseAccel(ctx context.Context, want vm.Accel, notice func(string)) (vm.Accel, error) {
	fast := hardware()
	switch want {
	case vm.AccelTCG:
		return want, nil
	case vm.AccelAuto, "":
		why := errors.New("there is no accelerator for x86-64 guests on this host")
		if fast != "" {
			why = l.tryAccel(ctx, fast)
		}
		if why == nil {
			return fast, nil
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if notice != nil {
			notice(why.Error() + "; emulating with TCG, which is slower")
		}
		return vm.AccelTCG, nil
	case vm.AccelKVM, vm.AccelHVF:
		if want != fast {
			return "", &vm.SpecError{Text: fmt.Sprintf("%s does not exist on %s/%s: use --accel=tcg", want, runtime.GOOS, runtime.GOARCH)}
		}
		if err := l.tryAccel(ctx, want); err != nil {
			return "", &vm.SpecError{Text: err.Error() + "; use --accel=tcg to emulate"}
		}
		return want, nil
	}
	return "", &vm.SpecError{Text: fmt.Sprintf("unknown accelerator %q: choose auto, kvm, hvf or tcg", want)}
}

// tryAccel returns nil if the accelerator works, and else a sentence's worth of
// why. It tries once.
func (l *Launcher) tryAccel(ctx context.Context, a vm.Accel) error {
	l.probing.Lock()
	defer l.probing.Unlock()
	if err, known := l.probed[a]; known {
		return err
	}
	err := checkDevice(a)
	if err == nil {
		if err = l.bootProbe(ctx, a); ctx.Err() != nil {
			return ctx.Err() // says nothing about the accelerator
		}
	}
	if l.probed == nil {
		l.probed = make(map[vm.Accel]error)
	}
	l.probed[a] = err
	return err
}

// checkDevice looks at KVM's device, for the sake of a clear message.
func checkDevice(a vm.Accel) error {
	if a != vm.AccelKVM {
		return nil
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return &accelError{"KVM is not there (no /dev/kvm)",
			"switch virtualisation on in the firmware (VT-x or AMD-V), then: sudo modprobe kvm_intel || sudo modprobe kvm_amd"}
	case errors.Is(err, fs.ErrPermission):
		return &accelError{"KVM may not be used by this user (/dev/kvm: permission denied)",
			"sudo usermod -aG kvm $USER  (then log in again)"}
	}
	return fmt.Errorf("KVM does not work: %w", err)
}

// accelError says why an accelerator does not work and what helps.
type accelError struct{ text, fix string }

func (e *accelError) Error() string { return e.text }

// bootProbe boots the probe guest.
func (l *Launcher) bootProbe(ctx context.Context, a vm.Accel) error {
	binary, err := l.find()
	if err != nil {
		return err
	}
	image, err := vm.AnonymousFile("kiln-probe", writeProbe)
	if err != nil {
		return err
	}
	defer image.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()

	var in inherited
	complaints := &tail{}
	cmd := exec.Command(binary,
		"-M", machineType(DefaultMachine), "-accel", accelerator(a), "-cpu", cpuModel(a), "-m", "4",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", in.path(image))
	cmd.ExtraFiles = in.files
	cmd.Stdout, cmd.Stderr = complaints, complaints
	ended, err := startBound(cmd)
	if err != nil {
		return err
	}
	select {
	case <-ended:
	case <-ctx.Done():
		cmd.Process.Kill()
		<-ended
		return fmt.Errorf("%s is there, but a guest hangs with it", a.Title())
	}
	if cmd.ProcessState.ExitCode() == probeStatus<<1|1 {
		return nil
	}
	why := complaint(complaints.String())
	if why == "" {
		why = cmd.ProcessState.String()
	}
	return fmt.Errorf("%s is there, but cannot run an ordinary guest (%s)", a.Title(), why)
}
