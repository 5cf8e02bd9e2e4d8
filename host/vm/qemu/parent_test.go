package qemu

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/host/vm"
)

// TestMain lets the test binary play a launcher that is killed.
func TestMain(m *testing.M) {
	switch os.Getenv("KILN_TEST_PARENT") {
	case "launch":
		parentLaunch()
	case "watch":
		parentWatch()
	}
	os.Exit(m.Run())
}

func parentLaunch() {
	kernel, _ := os.Open(os.Getenv("KILN_TEST_KERNEL"))
	m, err := new(Launcher).Launch(context.Background(), vm.Spec{Kernel: kernel, Memory: 16 << 20, CPUs: 1, Accel: vm.AccelTCG, Network: vm.NetNone})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(m.(*machine).process.Pid)
	m.Wait()
}

func parentWatch() {
	cmd := exec.Command("sleep", "1000")
	if _, err := startWatched(cmd); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
	cmd.Wait()
}

func TestMachineDiesWithKilledParent(t *testing.T) {
	needQEMU(t)
	g := &guest{}
	g.hang()
	kernel := t.TempDir() + "/kernel"
	if err := os.WriteFile(kernel, pvhImage(probeBase, g.code), 0o600); err != nil {
		t.Fatal(err)
	}
	killParent(t, "KILN_TEST_PARENT=launch", "KILN_TEST_KERNEL="+kernel)
}

// The way of systems without Pdeathsig works here too.
func TestWatchedProcessDiesWithKilledParent(t *testing.T) {
	killParent(t, "KILN_TEST_PARENT=watch")
}

// killParent starts this test binary as a parent, kills it with SIGKILL and
// expects the child whose number it printed to end.
func killParent(t *testing.T, env ...string) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), env...)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent printed %q", line)
	}
	if !alive(child) {
		t.Fatal("the child is not there to begin with")
	}
	parent.Process.Kill()
	parent.Wait()
	for range 200 {
		if !alive(child) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	syscall.Kill(child, syscall.SIGKILL)
	t.Error("the child outlived its parent by two seconds")
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestWatchIsReleased(t *testing.T) {
	cmd := exec.Command("true")
	release, err := startWatched(cmd)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	release() // hangs if the shell stays
}
