package linux

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianModules are the modules, in load order, that give Debian's cloud
// kernel a virtio-mmio network card.
var debianModules = [...]string{
	"drivers/virtio/virtio_ring.ko",
	"drivers/virtio/virtio.ko",
	"drivers/virtio/virtio_mmio.ko",
	"net/core/failover.ko",
	"drivers/net/net_failover.ko",
	"drivers/net/virtio_net.ko",
}

// kvmModules are the modules, in load order, that make a KVM host of Debian's
// cloud kernel on an AMD processor, which is what QEMU can emulate.
var kvmModules = [...]string{
	"virt/lib/irqbypass.ko",
	"arch/x86/kvm/kvm.ko",
	"arch/x86/kvm/kvm-amd.ko",
}

// Debian returns the newest kernel of linux-image-cloud-amd64 that was there
// when the cache was made.
func (s *Store) Debian(ctx context.Context) (*Kernel, error) {
	return s.debian(ctx, "debian", debianModules[:])
}

// DebianKVM returns the same kernel with the modules of a KVM host.
func (s *Store) DebianKVM(ctx context.Context) (*Kernel, error) {
	return s.debian(ctx, "debian-kvm", kvmModules[:])
}

func (s *Store) debian(ctx context.Context, name string, modules []string) (*Kernel, error) {
	dir := filepath.Join(s.Dir, name)
	if err := s.once(dir, func(out string) error { return s.fetchDebian(ctx, out, modules) }); err != nil {
		return nil, err
	}
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, err
	}
	k := &Kernel{Version: string(version), Path: filepath.Join(dir, "vmlinux")}
	for _, m := range modules {
		k.Modules = append(k.Modules, filepath.Join(dir, filepath.Base(m)))
	}
	return k, nil
}

func (s *Store) fetchDebian(ctx context.Context, out string, modules []string) error {
	image, err := s.cloudImagePackage(ctx)
	if err != nil {
		return err
	}
	root := filepath.Join(out, "..", "root")
	version, err := s.unpack(ctx, root, image)
	if err != nil {
		return err
	}
	bz, err := one(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return err
	}
	if err := s.extractVmlinux(ctx, filepath.Join(out, "vmlinux"), bz); err != nil {
		return err
	}
	for _, m := range modules {
		ko, err := one(filepath.Join(root, "lib/modules/*/kernel", m))
		if err != nil {
			return err
		}
		if err := copyFile(filepath.Join(out, filepath.Base(m)), ko); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(out, "version"), []byte(version), 0o644)
}

// cloudImagePackage resolves the metapackage linux-image-cloud-amd64 to the
// package that holds the kernel.
func (s *Store) cloudImagePackage(ctx context.Context) (string, error) {
	c := exec.CommandContext(ctx, "apt-cache", "depends", "linux-image-cloud-amd64")
	c.Stderr = s.Log
	b, err := c.Output()
	for line := range strings.Lines(string(b)) {
		if _, p, ok := strings.Cut(line, "Depends: "); ok {
			return strings.TrimSpace(p), nil
		}
	}
	if err == nil {
		err = os.ErrNotExist
	}
	return "", &os.PathError{Op: "apt-cache depends", Path: "linux-image-cloud-amd64", Err: err}
}
