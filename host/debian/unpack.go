package debian

// A package is an ar archive with a compressed tar archive of its files.
// dpkg-deb takes off both covers; the tar archive is read here, so that nothing
// can be written outside of the tree (os.Root sees to that), and the links that
// merge /bin, /lib, /lib64 and /sbin into /usr stay in place, whether a package
// knows of them or not.

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// unpackVersion is part of the trees' names: raise it when they change.
const unpackVersion = 4

// merged are the directories that are links into /usr.
var merged = []string{"bin", "lib", "lib64", "sbin"}

// unwanted are directories that no program reads.
var unwanted = []string{
	"usr/share/doc", "usr/share/doc-base", "usr/share/man", "usr/share/info", "usr/share/lintian", "usr/share/bug",
	"usr/share/locale", "usr/share/bash-completion", "usr/include",
}

// unpack makes the tree dir. It appears by rename, complete.
func (a *apt) unpack(ctx context.Context, debs []deb, dir string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := begin(root); err != nil {
		return err
	}
	var programs strings.Builder
	owners := map[string]Owner{}
	for _, d := range debs {
		found, err := a.unpackOne(ctx, root, d, owners)
		if err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
		for _, p := range found {
			fmt.Fprintf(&programs, "%s %s\n", d.name(), p)
		}
	}
	if err := a.install(ctx, root, debs, owners, dir+ownersSuffix); err != nil {
		return err
	}
	if err := finish(root); err != nil {
		return err
	}
	if err := os.WriteFile(dir+programsSuffix, []byte(programs.String()), 0o666); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !use(dir) {
		return err
	}
	return nil
}

// begin makes the links into /usr.
func begin(root *os.Root) error {
	for _, name := range merged {
		if err := root.MkdirAll("usr/"+name, 0o755); err != nil {
			return err
		}
		if err := root.Symlink("usr/"+name, name); err != nil {
			return err
		}
	}
	return nil
}

// unpackOne unpacks one package and returns its programs.
func (a *apt) unpackOne(ctx context.Context, root *os.Root, d deb, owners map[string]Owner) (programs []string, err error) {
	err = a.readTar(ctx, d, "--fsys-tarfile", func(r *tar.Reader) error {
		programs, err = extract(root, r, owners)
		return err
	})
	return programs, err
}

// readTar has read read one of a package's two archives.
func (a *apt) readTar(ctx context.Context, d deb, which string, read func(*tar.Reader) error) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", which, a.path(d))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := read(tar.NewReader(out)); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return err
	}
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("dpkg-deb: %s", strings.TrimSpace(errs.String()))
	}
	return nil
}

// maxScript is the size of a script that is read, in bytes.
const maxScript = 1 << 20

// scripts returns a package's installation scripts, in the order in which they
// would run.
func (a *apt) scripts(ctx context.Context, d deb) (all []string, err error) {
	found := map[string]string{}
	err = a.readTar(ctx, d, "--ctrl-tarfile", func(r *tar.Reader) error {
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if name := path.Base(h.Name); h.Typeflag == tar.TypeReg && h.Size <= maxScript && (name == "preinst" || name == "postinst") {
				data, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				found[name] = string(data)
			}
		}
	})
	for _, name := range []string{"preinst", "postinst"} {
		if found[name] != "" {
			all = append(all, found[name])
		}
	}
	return all, err
}

// install makes what installation would have made of the packages.
func (a *apt) install(ctx context.Context, root *os.Root, debs []deb, owners map[string]Owner, file string) error {
	s := newSystem(root)
	s.owners = owners
	s.sysusers()
	for _, d := range debs {
		scripts, err := a.scripts(ctx, d)
		if err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
		for _, text := range scripts {
			s.obey(text)
		}
	}
	s.units()
	s.choose()
	s.loadPHP()
	s.ownDirs()
	return s.write(file)
}

// extract writes the files of a tar archive and returns the programs among them.
// It enters those who do not belong to root into owners.
func extract(root *os.Root, r *tar.Reader, owners map[string]Owner) (programs []string, err error) {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return programs, nil
		}
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if name == "" || slices.ContainsFunc(unwanted, func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }) {
			continue
		}
		if err := put(root, name, h, r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if o := (Owner{uint32(h.Uid), uint32(h.Gid)}); o != (Owner{}) && h.Uid >= 0 && h.Gid >= 0 {
			owners[name] = o
		}
		if isProgram(name, h) {
			programs = append(programs, "/"+name)
		}
	}
}

// isProgram tells programs by where they are.
func isProgram(name string, h *tar.Header) bool {
	if h.Typeflag != tar.TypeSymlink && (h.Typeflag != tar.TypeReg || h.Mode&0o111 == 0) {
		return false
	}
	return slices.Contains([]string{"bin", "sbin", "games"}, path.Base(path.Dir(name)))
}

// put writes one file. What is there already is replaced, but a directory, or a
// link to one, stays a directory.
func put(root *os.Root, name string, h *tar.Header, r io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode&0o777) | 0o600 // the user has to be able to read it
	if h.Typeflag == tar.TypeDir {
		if info, err := root.Stat(name); err == nil && info.IsDir() {
			return nil
		}
		return root.Mkdir(name, mode|0o700)
	}
	root.Remove(name)
	switch h.Typeflag {
	case tar.TypeReg:
		return write(root, name, mode, h, r)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(strings.TrimPrefix(path.Clean("/"+h.Linkname), "/"), name)
	}
	return nil // a device: a guest has its own
}

func write(root *os.Root, name string, mode fs.FileMode, h *tar.Header, r io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = root.Chtimes(name, h.ModTime, h.ModTime)
	}
	return err
}

// users are those that Debian's base-passwd gives every system, as far as
// programs ask for them by name.
const users = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
proxy:x:13:13:proxy:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`

const groups = `root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
mail:x:8:
proxy:x:13:
www-data:x:33:
backup:x:34:
shadow:x:42:
nogroup:x:65534:
`

// finish adds what installation scripts would have made.
func finish(root *os.Root) error {
	for name, text := range map[string]string{
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
	} {
		if _, err := root.Lstat(name); err == nil {
			continue
		}
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return bundle(root)
}

// bundle makes the bundle of certificates, of those that the package
// ca-certificates has.
func bundle(root *os.Root) error {
	const target, source = "etc/ssl/certs/ca-certificates.crt", "usr/share/ca-certificates"
	if _, err := root.Stat(target); err == nil {
		return nil
	}
	var all []byte
	err := fs.WalkDir(root.FS(), source, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".crt") || !d.Type().IsRegular() {
			return err
		}
		data, err := root.ReadFile(name)
		all = append(all, data...)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(all) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(target), 0o755); err != nil {
		return err
	}
	if err := root.WriteFile(target, all, 0o644); err != nil {
		return err
	}
	// Where OpenSSL looks first; the links by hash that it looks for otherwise
	// are made by a program.
	if _, err := root.Stat("usr/lib/ssl"); err == nil {
		root.Symlink("/"+target, "usr/lib/ssl/cert.pem")
	}
	return nil
}
