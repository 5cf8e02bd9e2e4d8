package main

// The guests: each turns a Go program into an image. elfguests.go has how they
// run Linux programs.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"kiln/abi"
	"kiln/test/bench/linux"
)

// Program is a Go program that the guests run.
type Program struct {
	Name    string
	Package string
	Marker  string // the start of the first line it prints
	Net     bool
}

var (
	hello     = Program{Name: "hello", Package: "kiln/examples/hello", Marker: "Hello"}
	webserver = Program{Name: "webserver", Package: "kiln/examples/webserver", Marker: "listening", Net: true}
	stream    = Program{Name: "stream", Package: "kiln/test/bench/stream", Marker: "listening", Net: true}
	programs  = []Program{hello, webserver, stream}
)

// Purpose selects a variant of a guest where it has more than one.
type Purpose int

const (
	Fast  Purpose = iota
	Small         // for the least memory
)

// Guest makes images of Go programs, and runs Linux programs. Image builds the
// program at its first call and returns the same files afterwards. Run starts an
// app; port, if it is not zero, is the host's that leads to it. The caller stops
// the machine.
type Guest interface {
	Key() string  // in -guests
	Name() string // in the table
	Image(ctx context.Context, p Program, cpus int, why Purpose) (Image, error)
	Run(ctx context.Context, b *Bench, a *App, cpus, port int) (*Machine, error)
}

// builder compiles programs once and keeps what it makes in dir.
type builder struct {
	dir  string
	log  io.Writer
	done map[string]error
}

// make runs f, once for each name, to create the file dir/name.
func (b *builder) make(name string, f func(path string) error) (string, error) {
	path := filepath.Join(b.dir, name)
	err, ok := b.done[name]
	if !ok {
		err = f(path)
		b.done[name] = err
	}
	return path, err
}

// static builds a package for an ordinary Linux: static and stripped.
func (b *builder) static(ctx context.Context, pkg string) (string, error) {
	return b.make("static-"+filepath.Base(pkg), func(path string) error {
		c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		return b.run(c)
	})
}

func (b *builder) run(c *exec.Cmd) error {
	c.Stdout, c.Stderr = b.log, b.log
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return nil
}

// kilnGuest builds kernels with the kiln command. If kernels is set, it takes
// them from that directory, where they have the programs' names.
type kilnGuest struct {
	*builder
	command string
	kernels string
}

func (g *kilnGuest) Key() string  { return "kiln" }
func (g *kilnGuest) Name() string { return "Kiln" }

// Image returns the kernel and, as kiln run does, a boot archive with the
// manifest. The address is static because the Linux guests' is.
func (g *kilnGuest) Image(ctx context.Context, p Program, _ int, _ Purpose) (Image, error) {
	kernel, err := g.kernel(ctx, p)
	if err != nil {
		return Image{}, err
	}
	initrd, err := g.make("kiln-"+p.Name+".cpio", func(path string) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		m := &abi.Manifest{Args: []string{"/" + p.Name}}
		m.Net = staticNet()
		return abi.NewArchiveWriter(f, m).Close()
	})
	return Image{Kernel: kernel, Initrd: initrd}, err
}

// staticNet is what QEMU's user network gives by DHCP.
func staticNet() abi.NetConfig {
	return abi.NetConfig{Addresses: []string{"10.0.2.15/24"}, Gateways: []string{"10.0.2.2"}, DNS: []string{"10.0.2.3"}}
}

func (g *kilnGuest) kernel(ctx context.Context, p Program) (string, error) {
	if g.kernels != "" {
		return filepath.Join(g.kernels, p.Name), nil
	}
	return g.make("kiln-"+p.Name, func(path string) error {
		return g.run(exec.CommandContext(ctx, g.command, "build", "-q", "--trimpath", "--ldflags=-s -w", p.Package, "-o", path))
	})
}

// trimmedGuest is the trimmed Linux: the program is init, the address comes
// from the command line.
type trimmedGuest struct {
	*builder
	store  *linux.Store
	tscKHz int
	accel  string
}

func (g *trimmedGuest) Key() string  { return "trimmed" }
func (g *trimmedGuest) Name() string { return "trimmed Linux" }

func (g *trimmedGuest) Image(ctx context.Context, p Program, cpus int, why Purpose) (Image, error) {
	variant := linux.UP
	if cpus > 1 || why == Small {
		variant = linux.SMP
	}
	k, err := g.store.Trimmed(ctx, variant)
	if err != nil {
		return Image{}, err
	}
	initrd, err := g.initramfs(ctx, "trimmed-"+p.Name+".cpio", "init", p)
	return Image{Kernel: k.Path, Initrd: initrd, Append: g.commandLine(p, why)}, err
}

func (g *trimmedGuest) commandLine(p Program, why Purpose) string {
	a := []string{"console=ttyS0 reboot=t panic=-1 quiet tsc=reliable no_timer_check", tscOption(g.tscKHz)}
	if g.accel == "tcg" {
		a = append(a, "noapictimer clearcpuid=297,308,515")
	}
	if p.Net {
		a = append(a, "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off")
	}
	return strings.Join(append(a, smallOptions(why)...), " ")
}

// tscOption tells Linux the TSC's frequency. Finding it against the PIT takes
// time and, on an emulated machine, now and then fails and hangs the boot.
func tscOption(kHz int) string { return "tsc_early_khz=" + strconv.Itoa(kHz) }

func smallOptions(why Purpose) []string {
	if why == Small {
		return []string{"sysctl.vm.overcommit_memory=1"}
	}
	return nil
}

// initramfs packs a program as entry name, with extra files.
func (b *builder) initramfs(ctx context.Context, file, name string, p Program, extra ...linux.File) (string, error) {
	bin, err := b.static(ctx, p.Package)
	if err != nil {
		return "", err
	}
	return b.make(file, func(path string) error {
		data, err := os.ReadFile(bin)
		if err != nil {
			return err
		}
		files := append(linux.BaseFiles(), linux.Exec(name, data))
		return os.WriteFile(path, linux.Initramfs(append(files, extra...)), 0o644)
	})
}

// debianGuest is Debian's kernel as it is shipped. Programs with a network
// get a small init that loads the drivers.
type debianGuest struct {
	*builder
	store  *linux.Store
	tscKHz int
}

func (g *debianGuest) Key() string  { return "debian" }
func (g *debianGuest) Name() string { return "Debian Linux" }

func (g *debianGuest) Image(ctx context.Context, p Program, _ int, why Purpose) (Image, error) {
	k, err := g.store.Debian(ctx)
	if err != nil {
		return Image{}, err
	}
	i := Image{Kernel: k.Path, Append: g.commandLine(why), ACPI: p.Net}
	if !p.Net {
		i.Initrd, err = g.initramfs(ctx, "debian-"+p.Name+".cpio", "init", p)
		return i, err
	}
	extra, err := g.drivers(ctx, k)
	if err != nil {
		return Image{}, err
	}
	i.Initrd, err = g.initramfs(ctx, "debian-"+p.Name+".cpio", "app", p, extra...)
	return i, err
}

func (g *debianGuest) commandLine(why Purpose) string {
	return strings.Join(append([]string{"console=ttyS0 reboot=t panic=-1 quiet", tscOption(g.tscKHz)}, smallOptions(why)...), " ")
}

// drivers returns the init that loads modules, and the modules.
func (g *debianGuest) drivers(ctx context.Context, k *linux.Kernel) ([]linux.File, error) {
	bin, err := g.static(ctx, "kiln/test/bench/linux/init")
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	modules, err := moduleFiles(k)
	return append([]linux.File{linux.Exec("init", data)}, modules...), err
}

// moduleFiles returns the directory from which an init loads modules.
func moduleFiles(k *linux.Kernel) ([]linux.File, error) {
	files := []linux.File{linux.Dir("modules")}
	for i, m := range k.Modules {
		data, err := os.ReadFile(m)
		if err != nil {
			return nil, err
		}
		files = append(files, linux.Exec(fmt.Sprintf("modules/%d-%s", i, filepath.Base(m)), data))
	}
	return files, nil
}

// hostTSC returns the frequency of the host's TSC in kHz, which guests see
// unscaled. Linux derives loops_per_jiffy from it and shows it as BogoMIPS, to
// every user and on every x86 since 2.6.27: 2 BogoMIPS for each MHz.
func hostTSC() (int, error) {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		if strings.TrimSpace(key) != "bogomips" {
			continue
		}
		mips, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/cpuinfo: %w", err)
		}
		return int(mips * 500), nil
	}
	return 0, fmt.Errorf("/proc/cpuinfo does not tell bogomips; give the TSC's frequency with -tsc-khz (dmesg has it as \"tsc: Detected\")")
}
