package kvm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kiln/test/bench/linux"
)

// root is the host's file system.
type root struct {
	t     *testing.T
	files []linux.File
	have  map[string]bool
}

// collect builds and gathers what the host needs; dir is for what is built.
func collect(t *testing.T, dir, qemu string, kernel *linux.Kernel) *root {
	t.Helper()
	r := &root{t: t, files: linux.BaseFiles(), have: map[string]bool{"/": true, "/dev": true, "/tmp": true}}
	kiln, init := filepath.Join(dir, "kiln"), filepath.Join(dir, "init")
	r.command("go", "build", "-o", kiln, "./cmd/kiln")
	r.command("go", "test", "-c", "-o", init, "./test/kvm/host")
	r.add("/init", init)
	r.add("/bin/kiln", kiln)
	for name, pkg := range guests {
		image := filepath.Join(dir, name)
		r.command(kiln, "build", "-q", "-o", image, pkg)
		r.add("/kernels/"+name, image)
	}
	for i, m := range kernel.Modules {
		r.add("/modules/"+strconv.Itoa(i)+"-"+filepath.Base(m), m)
	}
	r.addQEMU(qemu)
	return r
}

// command runs a build step in the repository's root.
func (r *root) command(name string, args ...string) {
	r.t.Helper()
	c := exec.Command(name, args...)
	c.Dir = "../.."
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// addQEMU adds QEMU as it is installed here, with its libraries and firmware.
func (r *root) addQEMU(binary string) {
	r.t.Helper()
	r.add(binary, binary)
	libraries, err := exec.Command("ldd", binary).Output()
	if err != nil {
		r.t.Fatalf("ldd %s: %v", binary, err)
	}
	for _, word := range strings.Fields(string(libraries)) {
		if filepath.IsAbs(word) {
			r.add(word, word)
		}
	}
	help, err := exec.Command(binary, "-L", "help").Output()
	if err != nil {
		r.t.Fatalf("%s -L help: %v", binary, err)
	}
	for dir := range bytes.FieldsSeq(help) {
		for _, firmware := range []string{"bios-microvm.bin", "qboot.rom", "bios-256k.bin", "pvh.bin", "linuxboot_dma.bin", "kvmvapic.bin"} {
			if file := filepath.Join(string(dir), firmware); exists(file) {
				r.add(file, file)
			}
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// add makes a file of this machine the host's file name, once.
func (r *root) add(name, file string) {
	r.t.Helper()
	name = filepath.Clean(name)
	if r.have[name] {
		return
	}
	r.have[name] = true
	r.directory(filepath.Dir(name))
	data, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	r.files = append(r.files, linux.Exec(name[1:], data))
}

func (r *root) directory(name string) {
	if r.have[name] {
		return
	}
	r.have[name] = true
	r.directory(filepath.Dir(name))
	r.files = append(r.files, linux.Dir(name[1:]))
}
