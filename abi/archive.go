package abi

// The boot archive is a cpio archive in the "newc" format (the format of
// Linux's initramfs, Documentation/driver-api/early-userspace/buffer-format):
// a sequence of entries, each a 110-byte header of ASCII hexadecimal fields, a
// NUL-terminated name padded to four bytes, and the data padded to four bytes.
// It ends with an entry named TRAILER!!!.
//
// A name may be followed by more NULs, which its size counts. So the data of a
// large file can begin at a multiple of PageSize in the archive, and pages of it
// can be mapped where the archive lies.
//
// The first entry is the manifest, named ManifestName. All others are the
// guest's initial files, with names relative to the root and parents before
// children. The archive reaches the guest as the first PVH module (an initrd),
// or inside the kernel image, or both: then the module's entries win.

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// ManifestName is the name of the archive entry that holds the manifest.
const ManifestName = ".kiln/manifest"

// PageSize is that of the guest, in bytes.
const PageSize = 4096

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
	h := header{fields: archive[len(magic):headerSize]}
	size, nameSize := uint64(h.field(6)), uint64(h.field(11))
	mode, uid, gid, mtime := h.field(1), h.field(2), h.field(3), h.field(5)
	if h.bad {
		return Entry{}, nil, false, ErrArchive
	}
	nameEnd := headerSize + nameSize
	dataStart := (nameEnd + 3) &^ 3
	dataEnd := dataStart + size
	if nameSize == 0 || dataEnd > uint64(len(archive)) {
		return Entry{}, nil, false, ErrArchive
	}
	name := archive[headerSize : nameEnd-1]
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	if string(name) == trailer {
		return Entry{}, nil, false, nil
	}
	next := (dataEnd + 3) &^ 3
	if next > uint64(len(archive)) {
		next = uint64(len(archive))
	}
	e = Entry{Name: name, Mode: mode, UID: uid, GID: gid, MTime: mtime, Data: archive[dataStart:dataEnd:dataEnd]}
	return e, archive[next:], true, nil
}

// header is the fields behind the magic number, of which a boot reads thousands.
type header struct {
	fields []byte
	bad    bool // a field that was read is no number
}

// field returns the n-th number, of eight hexadecimal digits.
func (h *header) field(n int) (v uint32) {
	all := uint8(isDigit)
	for _, c := range h.fields[8*n : 8*n+8] {
		d := digits[c]
		all &= d
		v = v<<4 | uint32(d&^isDigit)
	}
	h.bad = h.bad || all&isDigit == 0
	return v
}

const isDigit = 0x80

// digits has the values of hexadecimal digits, with isDigit.
var digits = [256]uint8{
	'0': isDigit, '1': isDigit | 1, '2': isDigit | 2, '3': isDigit | 3, '4': isDigit | 4,
	'5': isDigit | 5, '6': isDigit | 6, '7': isDigit | 7, '8': isDigit | 8, '9': isDigit | 9,
	'a': isDigit | 10, 'b': isDigit | 11, 'c': isDigit | 12, 'd': isDigit | 13, 'e': isDigit | 14, 'f': isDigit | 15,
	'A': isDigit | 10, 'B': isDigit | 11, 'C': isDigit | 12, 'D': isDigit | 13, 'E': isDigit | 14, 'F': isDigit | 15,
}

// ArchiveWriter writes a boot archive. Close writes the trailer; it does not
// close the underlying writer.
type ArchiveWriter struct {
	// PageAlign makes the data of files of a page and more begin at a page of
	// the archive. It may be set before any Add.
	PageAlign bool

	w   io.Writer
	off int64
	ino uint32
	err error
}

// NewArchiveWriter returns a writer whose archive starts with manifest m. It
// writes in small pieces.
func NewArchiveWriter(w io.Writer, m *Manifest) *ArchiveWriter {
	a := &ArchiveWriter{w: w}
	a.Add(Entry{Name: []byte(ManifestName), Mode: 0o100400, Data: m.Encode()})
	return a
}

// Add appends an entry. The first error sticks and is returned by Close too.
func (a *ArchiveWriter) Add(e Entry) error {
	return a.AddFrom(e, int64(len(e.Data)), bytes.NewReader(e.Data))
}

// AddFrom appends an entry whose data are size bytes that r has, instead of
// e.Data. What r has beyond them is not read; if it has less, the error is
// io.ErrUnexpectedEOF.
func (a *ArchiveWriter) AddFrom(e Entry, size int64, r io.Reader) error {
	if a.err != nil {
		return a.err
	}
	if uint64(size) > 1<<32-1 {
		a.err = errors.New("abi: " + string(e.Name) + ": files of 4 GiB and more do not fit in a boot archive")
		return a.err
	}
	a.ino++
	a.entry(e, size, r)
	return a.err
}

// Close ends the archive.
func (a *ArchiveWriter) Close() error {
	if a.err == nil {
		a.ino = 0
		a.entry(Entry{Name: []byte(trailer)}, 0, nil)
	}
	return a.err
}

func (a *ArchiveWriter) entry(e Entry, size int64, r io.Reader) {
	nameSize := len(e.Name) + 1
	if a.PageAlign && size >= PageSize && e.Mode&0o170000 == 0o100000 {
		nameSize += pad(a.off+headerSize+int64(nameSize), PageSize)
	}
	h := make([]byte, 0, headerSize+nameSize+3)
	h = append(h, magic...)
	for _, v := range []uint32{a.ino, e.Mode, e.UID, e.GID, 1, e.MTime, uint32(size), 0, 0, 0, 0, uint32(nameSize), 0} {
		s := strconv.FormatUint(1<<32|uint64(v), 16) // a leading 1, then eight digits
		h = append(h, s[1:]...)
	}
	h = append(h, e.Name...)
	h = append(h, make([]byte, headerSize+nameSize+pad(int64(headerSize+nameSize), 4)-len(h))...)
	a.write(h)
	if size > 0 && a.err == nil {
		var n int64
		n, a.err = io.Copy(a.w, io.LimitReader(r, size))
		a.off += n
		if a.err == nil && n < size {
			a.err = io.ErrUnexpectedEOF
		}
	}
	a.write(make([]byte, pad(size, 4)))
}

func (a *ArchiveWriter) write(b []byte) {
	if a.err == nil && len(b) > 0 {
		_, a.err = a.w.Write(b)
		a.off += int64(len(b))
	}
}

// pad is how far n is from the next multiple of unit, a power of two.
func pad(n, unit int64) int { return int(-n & (unit - 1)) }
