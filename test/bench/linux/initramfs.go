package linux

// An initramfs is a cpio archive in the "newc" format (Linux
// Documentation/driver-api/early-userspace/buffer-format.rst): entries of a
// 110-byte ASCII header, name and data, both padded to four bytes. The Linux
// guests get it uncompressed, which boots fastest.

import (
	"bytes"
	"fmt"
)

// File is one entry of an initramfs.
type File struct {
	Name         string
	Mode         uint32 // type and permissions, as in st_mode
	Major, Minor uint32 // of a device
	Data         []byte
}

const (
	modeDir  = 0o040755
	modeExec = 0o100755
	modeChar = 0o020666
)

// Exec returns an entry for a program.
func Exec(name string, data []byte) File { return File{Name: name, Mode: modeExec, Data: data} }

// Dir returns an entry for a directory.
func Dir(name string) File { return File{Name: name, Mode: modeDir} }

// BaseFiles are the entries that a static Go program expects on any system.
func BaseFiles() []File {
	return []File{
		Dir("dev"),
		{Name: "dev/console", Mode: modeChar, Major: 5, Minor: 1},
		{Name: "dev/null", Mode: modeChar, Major: 1, Minor: 3},
		{Name: "dev/zero", Mode: modeChar, Major: 1, Minor: 5},
		Dir("tmp"),
	}
}

// Random returns the device from which programs that do not know getrandom
// take their seeds.
func Random() File { return File{Name: "dev/urandom", Mode: modeChar, Major: 1, Minor: 9} }

// Initramfs encodes an archive. Parents come before their children.
func Initramfs(files []File) []byte {
	var b bytes.Buffer
	for i, f := range append(files[:len(files):len(files)], File{Name: "TRAILER!!!"}) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			i+1, f.Mode, 0, 0, 1, 0, len(f.Data), 0, 0, f.Major, f.Minor, len(f.Name)+1, 0, f.Name)
		pad(&b)
		b.Write(f.Data)
		pad(&b)
	}
	return b.Bytes()
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
