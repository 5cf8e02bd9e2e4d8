package main

// The guests of the ELF rows: each starts the same Linux program, natively for
// reference.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"kiln/abi"
	"kiln/test/bench/linux"
)

// runImage starts an app in a virtual machine, from the image that a guest
// makes of its root.
func (b *Bench) runImage(ctx context.Context, a *App, cpus, port int, image func(root string) (Image, error)) (*Machine, error) {
	root, err := b.apps.Root(ctx, a, guestPort)
	if err != nil {
		return nil, err
	}
	i, err := image(root)
	if err != nil {
		return nil, err
	}
	s := Spec{Image: i, CPUs: cpus, MemMiB: defaultMem, Port: port}
	if b.count {
		b.countInstructions(&s)
	}
	return b.vmm.Start(ctx, s)
}

func (g *kilnGuest) Run(ctx context.Context, b *Bench, a *App, cpus, port int) (*Machine, error) {
	return b.runImage(ctx, a, cpus, port, func(root string) (Image, error) { return g.appImage(ctx, a, root) })
}

func (g *trimmedGuest) Run(ctx context.Context, b *Bench, a *App, cpus, port int) (*Machine, error) {
	return b.runImage(ctx, a, cpus, port, func(root string) (Image, error) { return g.appImage(ctx, a, root, cpus) })
}

func (g *debianGuest) Run(ctx context.Context, b *Bench, a *App, cpus, port int) (*Machine, error) {
	return b.runImage(ctx, a, cpus, port, func(root string) (Image, error) { return g.appImage(ctx, a, root) })
}

// nativeGuest is the host itself: it runs programs on as many of its CPUs as a
// guest has.
type nativeGuest struct{}

func (nativeGuest) Key() string  { return "native" }
func (nativeGuest) Name() string { return "native" }

func (nativeGuest) Image(context.Context, Program, int, Purpose) (Image, error) {
	return Image{}, errors.New("what runs natively has no image: the guest native is for -elf")
}

func (nativeGuest) Run(ctx context.Context, b *Bench, a *App, cpus, port int) (*Machine, error) {
	root, err := b.apps.Root(ctx, a, port)
	if err != nil {
		return nil, err
	}
	args := append([]string{"-c", fmt.Sprintf("0-%d", cpus-1), filepath.Join(root, a.Exe)}, a.Args(root, port)...)
	c := exec.CommandContext(ctx, "taskset", args...)
	c.Env = append(os.Environ(), libraryPath(root))
	return launch(c, port)
}

// appImage has kiln run prepare the machine and takes the kernel and the boot
// archive from the command line that it prints. All else of that command line
// gives way to the one that all guests share.
func (g *kilnGuest) appImage(ctx context.Context, a *App, root string) (Image, error) {
	const kernelSuffix = ".kernel"
	initrd, err := g.make("kiln-elf-"+a.Name, func(path string) error {
		line, err := g.dryRun(ctx, a, root)
		if err != nil {
			return err
		}
		kernel, archive := option(line, "-kernel"), option(line, "-initrd")
		if kernel == "" || archive == "" {
			return fmt.Errorf("kiln run --dry-run printed no -kernel and -initrd: %q", line)
		}
		return errors.Join(place(kernel, path+kernelSuffix), staticAddress(path, archive))
	})
	return Image{Kernel: initrd + kernelSuffix, Initrd: initrd}, err
}

func (g *kilnGuest) dryRun(ctx context.Context, a *App, root string) ([]string, error) {
	args := []string{"run", "-q", "--dry-run", "--accel", "tcg"}
	if a.Files != nil {
		for _, name := range slices.Sorted(maps.Keys(a.Files(guestPort))) {
			args = append(args, "-v", filepath.Join(root, name)+":"+name)
		}
	}
	args = append(args, "--root", root, a.Exe, "--")
	c := exec.CommandContext(ctx, g.command, append(args, a.Args("/", guestPort)...)...)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, &errs)
	}
	return words(string(out)), nil
}

// words splits what a shell would. It knows single quotes and backslashes,
// which is what kiln prints.
func words(line string) (all []string) {
	var word strings.Builder
	started, quoted := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\'':
			started, quoted = true, !quoted
		case quoted:
			word.WriteByte(c)
		case c == '\\' && i+1 < len(line):
			i++
			started = true
			word.WriteByte(line[i])
		case c == ' ' || c == '\n':
			if started {
				all = append(all, word.String())
			}
			word.Reset()
			started = false
		default:
			started = true
			word.WriteByte(c)
		}
	}
	if started {
		all = append(all, word.String())
	}
	return all
}

// option returns the word after an option.
func option(line []string, name string) string {
	if i := slices.Index(line, name); i >= 0 && i+1 < len(line) {
		return line[i+1]
	}
	return ""
}

// staticAddress copies a boot archive and gives its manifest a static address,
// because the Linux guests have one.
func staticAddress(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	first, rest, ok, err := abi.Next(data)
	if err != nil || !ok || string(first.Name) != abi.ManifestName {
		return errors.Join(fmt.Errorf("%s does not start with a manifest", from), err)
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	m := abi.ParseManifest(first.Data)
	m.Net = staticNet()
	w := abi.NewArchiveWriter(f, m)
	w.PageAlign = true
	for {
		var e abi.Entry
		if e, rest, ok, err = abi.Next(rest); err != nil || !ok {
			return errors.Join(err, w.Close())
		}
		if err := w.Add(e); err != nil {
			return err
		}
	}
}

// appImage returns the trimmed kernel with the root as its initramfs.
func (g *trimmedGuest) appImage(ctx context.Context, a *App, root string, cpus int) (Image, error) {
	variant := linux.UP
	if cpus > 1 {
		variant = linux.SMP
	}
	k, err := g.store.Trimmed(ctx, variant)
	if err != nil {
		return Image{}, err
	}
	initrd, err := g.appInitramfs(ctx, "trimmed-"+a.Name+".cpio", a, root)
	return Image{Kernel: k.Path, Initrd: initrd, Append: g.commandLine(Program{Net: a.Ready != nil}, Fast)}, err
}

// appImage returns Debian's kernel with the root as its initramfs.
func (g *debianGuest) appImage(ctx context.Context, a *App, root string) (Image, error) {
	k, err := g.store.Debian(ctx)
	if err != nil {
		return Image{}, err
	}
	var extra []linux.File
	if a.Ready != nil {
		if extra, err = moduleFiles(k); err != nil {
			return Image{}, err
		}
	}
	initrd, err := g.appInitramfs(ctx, "debian-"+a.Name+".cpio", a, root, extra...)
	return Image{Kernel: k.Path, Initrd: initrd, Append: g.commandLine(Fast), ACPI: a.Ready != nil}, err
}

// appInitramfs packs a root, with an init that becomes the app.
func (b *builder) appInitramfs(ctx context.Context, file string, a *App, root string, extra ...linux.File) (string, error) {
	initFile, err := b.make("init", func(path string) error {
		return b.compile(ctx, initSource, path)
	})
	if err != nil {
		return "", err
	}
	return b.make(file, func(path string) error {
		code, err := os.ReadFile(initFile)
		if err != nil {
			return err
		}
		args := append([]string{a.Exe}, a.Args("/", guestPort)...)
		files := append(linux.BaseFiles(), linux.Random(), linux.Dir("proc"), linux.Dir("sys"),
			linux.Exec("init", code), linux.Exec("init.args", []byte(strings.Join(args, "\x00")+"\x00")))
		tree, err := treeFiles(root)
		if err != nil {
			return err
		}
		return os.WriteFile(path, linux.Initramfs(slices.Concat(files, extra, tree)), 0o644)
	})
}

// treeFiles returns a directory's files and directories as entries. Of
// permissions it keeps whether a file can be executed.
func treeFiles(root string) (files []linux.File, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := strings.TrimPrefix(path, root+"/")
		if d.IsDir() {
			files = append(files, linux.Dir(name))
			return nil
		}
		data, err := os.ReadFile(path)
		files = append(files, linux.Exec(name, data))
		return err
	})
	return files, err
}
