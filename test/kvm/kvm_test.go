// Package kvm tests Kiln on a KVM host where there is none: QEMU emulates a
// computer with AMD's virtualisation, on which Debian's kernel runs with its
// module kvm-amd, QEMU, kiln, and the tests of package host as the init
// process. Behaviour is that of a real host; speed is not.
//
// It takes some minutes, so it runs on request: make test-kvm.
package kvm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/test/bench/linux"
)

const (
	request = "KILN_TEST_KVM" // set: run, and with "log" show all that the host prints
	limit   = 9 * time.Minute // for the tests on the emulated host
)

// cpu is the host's. QEMU (7.2) does not pass a guest's XSETBV on to KVM, which
// then runs the guest with another XCR0 than it has set. Without XSAVE that
// cannot happen, so the guests of these tests have no AVX.
const cpu = "max,+svm,+npt,-xsave"

// The kernels that the host's tests boot, by name.
var guests = map[string]string{
	"hello":      "./examples/hello",
	"webserver":  "./examples/webserver",
	"machine":    "./test/guests/machine",
	"crash":      "./test/guests/crash",
	"sigterm":    "./test/guests/sigterm",
	"timekeeper": "./test/guests/timekeeper",
}

func TestKVM(t *testing.T) {
	if os.Getenv(request) == "" {
		t.Skip("emulating a KVM host takes minutes: make test-kvm runs this test")
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("qemu-system-x86_64 is not installed")
	}
	for _, tool := range []string{"apt-get", "dpkg-deb", "ldd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the host's kernel is Debian's, and %s is not installed", tool)
		}
	}
	kernel := debian(t)
	dir := t.TempDir()
	root := collect(t, dir, qemu, kernel)
	initrd := filepath.Join(dir, "initrd")
	if err := os.WriteFile(initrd, linux.Initramfs(root.files), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	host := exec.CommandContext(ctx, qemu, "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", cpu,
		"-smp", "2", "-m", "3072", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "stdio", "-kernel", kernel.Path, "-initrd", initrd,
		// Only where the TSC is its clock does KVM offer a stable kvmclock.
		"-append", "console=ttyS0 quiet tsc=reliable clocksource=tsc mitigations=off -- "+
			"-test.v -test.timeout="+limit.String()+" -test.run="+os.Getenv("KILN_TEST_KVM_RUN"))
	run(t, host)
}

// debian returns the host's kernel, kept in the user's cache directory.
func debian(t *testing.T) *linux.Kernel {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	store := &linux.Store{Dir: filepath.Join(cache, "kiln-bench"), Log: &log}
	kernel, err := store.DebianKVM(context.Background())
	if err != nil {
		t.Skipf("Debian's kernel cannot be had: %v\n%s", err, &log)
	}
	return kernel
}

// run starts the host and reports its tests as subtests of t.
func run(t *testing.T, host *exec.Cmd) {
	t.Helper()
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	host.Stderr = host.Stdout
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	finished := relay(t, out)
	if err := host.Wait(); err != nil || !finished {
		t.Errorf("the host ended before its tests did (%v)", errors.Join(err, host.Err))
	}
}

// relay turns the output of go test -v into subtests, and reports whether it is
// complete. A test's verdict follows its log; those of its subtests, indented,
// follow that.
func relay(t *testing.T, out io.Reader) (finished bool) {
	var log strings.Builder
	verdict, name := "", ""
	report := func() {
		if verdict == "" {
			return
		}
		t.Run(name, func(t *testing.T) {
			switch verdict {
			case "FAIL":
				t.Error("on the host:\n" + log.String())
			case "SKIP":
				t.Skip(log.String())
			default:
				t.Log("on the host:\n" + log.String())
			}
		})
		log.Reset()
		verdict = ""
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if os.Getenv(request) == "log" {
			fmt.Println(line)
		}
		if !strings.HasPrefix(strings.TrimSpace(line), "--- ") {
			report()
		}
		if rest, ok := strings.CutPrefix(line, "--- "); ok {
			verdict, name, _ = strings.Cut(rest, ": ")
			name, _, _ = strings.Cut(name, " ")
		}
		finished = finished || line == "PASS" || line == "FAIL"
		log.WriteString(line + "\n")
	}
	t.Log("what the host said in the end:\n" + log.String())
	return finished
}
