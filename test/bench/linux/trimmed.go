package linux

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

//go:embed trimmed.config
var sharedConfig string

//go:embed up.config
var upConfig string

//go:embed smp.config
var smpConfig string

// Variant is one of the two builds of the trimmed kernel.
type Variant string

const (
	UP  Variant = "up"  // one CPU, no /proc
	SMP Variant = "smp" // up to four CPUs, /proc and /sys
)

func (v Variant) config() string {
	if v == UP {
		return sharedConfig + upConfig
	}
	return sharedConfig + smpConfig
}

// Trimmed returns a variant of the trimmed kernel. The first call builds both,
// which takes minutes.
func (s *Store) Trimmed(ctx context.Context, v Variant) (*Kernel, error) {
	sum := sha256.Sum256([]byte(UP.config() + SMP.config()))
	dir := filepath.Join(s.Dir, fmt.Sprintf("trimmed-%x", sum[:6]))
	if err := s.once(dir, func(out string) error { return s.buildTrimmed(ctx, out) }); err != nil {
		return nil, err
	}
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, err
	}
	return &Kernel{Version: string(version), Path: filepath.Join(dir, "vmlinux-"+string(v))}, nil
}

func (s *Store) buildTrimmed(ctx context.Context, out string) error {
	tmp := filepath.Dir(out)
	root := filepath.Join(tmp, "root")
	version, err := s.unpack(ctx, root, "linux-source-6.1")
	if err != nil {
		return err
	}
	tarball, err := one(filepath.Join(root, "usr/src/linux-source-*.tar.xz"))
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Log, "unpacking the kernel's source")
	src := filepath.Join(tmp, "src")
	if err := os.Mkdir(src, 0o755); err != nil {
		return err
	}
	if err := s.run(ctx, src, "tar", "-xJf", tarball, "--strip-components=1"); err != nil {
		return err
	}
	for _, v := range []Variant{UP, SMP} {
		if err := s.compile(ctx, src, out, v); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(out, "version"), []byte(version), 0o644)
}

// compile builds one variant out of tree and leaves a stripped vmlinux in out.
func (s *Store) compile(ctx context.Context, src, out string, v Variant) error {
	obj := filepath.Join(filepath.Dir(out), string(v))
	if err := os.Mkdir(obj, 0o755); err != nil {
		return err
	}
	config := filepath.Join(obj, "options")
	if err := os.WriteFile(config, []byte(v.config()), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(s.Log, "building the trimmed Linux kernel (%s), some minutes\n", v)
	if err := s.run(ctx, src, "make", "-s", "O="+obj, "allnoconfig", "KCONFIG_ALLCONFIG="+config); err != nil {
		return err
	}
	if err := s.run(ctx, src, "make", "-s", "O="+obj, fmt.Sprintf("-j%d", runtime.NumCPU()), "vmlinux"); err != nil {
		return err
	}
	return s.run(ctx, obj, "strip", "-o", filepath.Join(out, "vmlinux-"+string(v)), "vmlinux")
}
