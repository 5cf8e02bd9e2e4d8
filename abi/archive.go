package abi

// The boot archive is a cpio archive in the "newc" format (the format of
// Linux's initramfs, Documentation/driver-api/early-userspace/buffer-format):
// a sequence of entries, each a 110-byte header of ASCII hexadecimal fields, a
// NUL-terminated name padded to four bytes, and the data padded to four bytes.
// It ends with an entry named TRAILER!!!.
//
// The first entry is the manifest, named ManifestName. All others are the
// guest's initial files, with names relative to the root and parents before
// children. The archive reaches the guest as the first PVH module (an initrd),
// or inside the kernel image, or both: then the module's entries win.

import (
	"errors"
	"io"
	"strconv"
)

// ManifestName is the name of the archive entry that holds the manifest.
const ManifestName = ".kiln/manifest"

const (
	headerSize = 110
	magic      = "070701"
	trailer    = "TRAILER!!!"
)

// ErrArchive reports an archive that is cut short or is not cpio newc.
var ErrArchive = errors.New("abi: malformed boot archive")

// Entry is one file of an archive. Name and Data alias the archive.
type Entry struct {
	Name  []byte
	Mode  uint32 // type and permissions, as in st_mode
	UID   uint32
	GID   uint32
	MTime uint32 // seconds since 1970
	Data  []byte // the contents, or the target of a symbolic link
}

// Next returns the first entry of archive and what follows it. At the end of
// the archive ok is false and err nil.
func Next(archive []byte) (e Entry, rest []byte, ok bool, err error) {
	if len(archive) == 0 {
		return Entry{}, nil, false, nil
	}
	if len(archive) < headerSize || string(archive[:6]) != magic {
		return Entry{}, nil, false, ErrArchive
	}
	var f [13]uint32
	for i := range f {
		v, good := hex8(archive[6+8*i : 14+8*i])
		if !good {
			return Entry{}, nil, false, ErrArchive
		}
		f[i] = v
	}
	size, nameSize := uint64(f[6]), uint64(f[11])
	nameEnd := headerSize + nameSize
	dataStart := (nameEnd + 3) &^ 3
	dataEnd := dataStart + size
	if nameSize == 0 || dataEnd > uint64(len(archive)) {
		return Entry{}, nil, false, ErrArchive
	}
	name := archive[headerSize : nameEnd-1]
	if string(name) == trailer {
		return Entry{}, nil, false, nil
	}
	next := (dataEnd + 3) &^ 3
	if next > uint64(len(archive)) {
		next = uint64(len(archive))
	}
	e = Entry{Name: name, Mode: f[1], UID: f[2], GID: f[3], MTime: f[5], Data: archive[dataStart:dataEnd:dataEnd]}
	return e, archive[next:], true, nil
}

func hex8(b []byte) (v uint32, ok bool) {
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, true
}

// ArchiveWriter writes a boot archive. Close writes the trailer; it does not
// close the underlying writer.
type ArchiveWriter struct {
	w   io.Writer
	ino uint32
	err error
}

// NewArchiveWriter returns a writer whose archive starts with manifest m.
func NewArchiveWriter(w io.Writer, m *Manifest) *ArchiveWriter {
	a := &ArchiveWriter{w: w}
	a.Add(Entry{Name: []byte(ManifestName), Mode: 0o100400, Data: m.Encode()})
	return a
}

// Add appends an entry. The first error sticks and is returned by Close too.
func (a *ArchiveWriter) Add(e Entry) error {
	if a.err != nil {
		return a.err
	}
	if uint64(len(e.Data)) > 1<<32-1 {
		a.err = errors.New("abi: " + string(e.Name) + ": files of 4 GiB and more do not fit in a boot archive")
		return a.err
	}
	a.ino++
	a.entry(e)
	return a.err
}

// Close ends the archive.
func (a *ArchiveWriter) Close() error {
	if a.err == nil {
		a.ino = 0
		a.entry(Entry{Name: []byte(trailer)})
	}
	return a.err
}

func (a *ArchiveWriter) entry(e Entry) {
	var zero [4]byte
	h := make([]byte, 0, headerSize)
	h = append(h, magic...)
	for _, v := range []uint32{a.ino, e.Mode, e.UID, e.GID, 1, e.MTime, uint32(len(e.Data)), 0, 0, 0, 0, uint32(len(e.Name) + 1), 0} {
		s := strconv.FormatUint(1<<32|uint64(v), 16) // a leading 1, then eight digits
		h = append(h, s[1:]...)
	}
	a.write(h)
	a.write(e.Name)
	a.write(zero[:1+pad(headerSize+len(e.Name)+1)])
	a.write(e.Data)
	a.write(zero[:pad(len(e.Data))])
}

func (a *ArchiveWriter) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}

func pad(n int) int { return -n & 3 }
