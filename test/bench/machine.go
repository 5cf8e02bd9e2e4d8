package main

// One function starts every guest, so that nothing but the image differs.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Image is what a guest boots.
type Image struct {
	Kernel string
	Initrd string // empty: none
	Append string // kernel command line
	ACPI   bool   // devices are found through ACPI rather than the command line
}

// Size returns the bytes that are loaded to boot the image.
func (i Image) Size() (int64, error) {
	var n int64
	for _, f := range []string{i.Kernel, i.Initrd} {
		if f == "" {
			continue
		}
		fi, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		n += fi.Size()
	}
	return n, nil
}

// Spec is one machine. guestPort is forwarded from Port on 127.0.0.1 if Port
// is not zero; otherwise there is no network card.
type Spec struct {
	Image
	CPUs   int
	MemMiB int
	Port   int
	Count  bool // count instructions; the machine stays when it is switched off
	Extra  []string
}

const (
	guestPort  = 8080
	defaultMem = 256
)

// Hypervisor is the QEMU program and accelerator that all guests share.
type Hypervisor struct {
	Path  string
	Accel string // tcg or kvm
}

func (h Hypervisor) accelArgs(count bool) []string {
	switch {
	case count:
		return []string{"-accel", "tcg,thread=single", "-icount", "shift=0", "-cpu", "max", "-no-shutdown"}
	case h.Accel == "tcg":
		return []string{"-accel", "tcg,thread=multi", "-cpu", "max"}
	}
	return []string{"-accel", h.Accel, "-cpu", "host"}
}

// args returns QEMU's arguments.
func (h Hypervisor) args(s Spec) []string {
	acpi := "off"
	if s.ACPI {
		acpi = "on"
	}
	a := []string{"-M", "microvm,acpi=" + acpi + ",isa-serial=on,rtc=on,pit=on,pic=on"}
	a = append(a, h.accelArgs(s.Count)...)
	a = append(a,
		"-m", strconv.Itoa(s.MemMiB), "-smp", strconv.Itoa(s.CPUs),
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", s.Kernel)
	if !s.Count {
		a = append(a, "-device", "isa-debug-exit,iobase=0xf4,iosize=4")
	}
	if s.Initrd != "" {
		a = append(a, "-initrd", s.Initrd)
	}
	if s.Append != "" {
		a = append(a, "-append", s.Append)
	}
	if s.Port != 0 {
		a = append(a, "-global", "virtio-mmio.force-legacy=false",
			"-netdev", fmt.Sprintf("user,id=n0,hostfwd=tcp:127.0.0.1:%d-:%d", s.Port, guestPort),
			"-device", "virtio-net-device,netdev=n0")
	}
	return append(a, s.Extra...)
}

// Machine is a running guest. Its times count from just before the fork.
type Machine struct {
	Port int // on 127.0.0.1, forwarded to the guest; 0: none

	cmd   *exec.Cmd
	began time.Time
	ended chan struct{} // closed once the process is gone and its output read

	// Set before ended is closed.
	exited time.Duration
	status int

	mu     sync.Mutex
	out    []byte
	chunks []chunk       // when which part of out came
	grown  chan struct{} // closed and replaced when out grows
}

type chunk struct {
	end int
	at  time.Duration
}

// Start boots a machine. The caller stops it; QEMU also dies with this process.
func (h Hypervisor) Start(ctx context.Context, s Spec) (*Machine, error) {
	return launch(exec.CommandContext(ctx, h.Path, h.args(s)...), s.Port)
}

// launch starts a command as a machine: what it prints is the console.
func launch(cmd *exec.Cmd, port int) (*Machine, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m := &Machine{Port: port, cmd: cmd, ended: make(chan struct{}), grown: make(chan struct{}), began: time.Now()}
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer r.Close()
		m.readOutput(r)
	}()
	go func() {
		cmd.Wait()
		m.exited, m.status = time.Since(m.began), cmd.ProcessState.ExitCode()
		<-read
		close(m.ended)
	}()
	return m, nil
}

func (m *Machine) readOutput(r *os.File) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		at := time.Since(m.began)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.out = append(m.out, buf[:n]...)
		m.chunks = append(m.chunks, chunk{len(m.out), at})
		close(m.grown)
		m.grown = make(chan struct{})
		m.mu.Unlock()
	}
}

// seen reports when the first byte of marker came, if it is there.
func (m *Machine) seen(marker string) (at time.Duration, ok bool, grown <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := bytes.Index(m.out, []byte(marker))
	if i < 0 {
		return 0, false, m.grown
	}
	return m.timeOf(i), true, nil
}

// Line waits for the console to show marker and returns when its first byte
// came.
func (m *Machine) Line(marker string, timeout time.Duration) (time.Duration, error) {
	limit := time.After(timeout - time.Since(m.began))
	for {
		at, ok, grown := m.seen(marker)
		if ok {
			return at, nil
		}
		select {
		case <-grown:
		case <-m.ended:
			if at, ok, _ := m.seen(marker); ok {
				return at, nil
			}
			return 0, m.failure("ended before it printed " + strconv.Quote(marker))
		case <-limit:
			return 0, m.failure("did not print " + strconv.Quote(marker) + " in " + timeout.String())
		}
	}
}

// Exit waits for the machine's end and returns when it came and QEMU's status.
func (m *Machine) Exit(timeout time.Duration) (time.Duration, int, error) {
	select {
	case <-m.ended:
		return m.exited, m.status, nil
	case <-time.After(timeout - time.Since(m.began)):
		return 0, 0, m.failure("did not end in " + timeout.String())
	}
}

// Ended is closed when the machine is gone.
func (m *Machine) Ended() <-chan struct{} { return m.ended }

// Stop kills the machine and waits for its end.
func (m *Machine) Stop() {
	m.cmd.Process.Kill()
	<-m.ended
}

// Output returns what the console has shown so far.
func (m *Machine) Output() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.out)
}

// consoleTail is how many lines of the console an error shows: enough for a
// kernel panic with what came before.
const consoleTail = 40

// ConsoleLine is a line of the console and when its first byte came.
type ConsoleLine struct {
	At   time.Duration
	Text string
}

// Lines returns the complete lines that the console has shown so far.
func (m *Machine) Lines() []ConsoleLine {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []ConsoleLine
	at := 0
	for l := range strings.Lines(string(m.out)) {
		if strings.HasSuffix(l, "\n") {
			lines = append(lines, ConsoleLine{m.timeOf(at), strings.TrimRight(l, "\r\n")})
		}
		at += len(l)
	}
	return lines
}

// timeOf returns when byte i of the output came. mu is held.
func (m *Machine) timeOf(i int) time.Duration {
	n := sort.Search(len(m.chunks), func(n int) bool { return m.chunks[n].end > i })
	return m.chunks[n].at
}

// failure returns an error that ends with the last lines of the console.
func (m *Machine) failure(what string) error {
	lines := strings.Split(strings.TrimSpace(m.Output()), "\n")
	if len(lines) > consoleTail {
		lines = lines[len(lines)-consoleTail:]
	}
	return errors.New("the guest " + what + "; its console ends with:\n\t" + strings.Join(lines, "\n\t"))
}

// CPUTime returns the processor time that the VMM has used: utime and stime
// of proc_pid_stat(5), which count in hundredths of a second.
func (m *Machine) CPUTime() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// freePort returns a TCP port on 127.0.0.1 that nobody uses now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
