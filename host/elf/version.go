package elf

// Symbol versions, the part of them that decides whether a program starts at
// all. A glibc object says which versions it needs of which library
// (DT_VERNEED), and a library which it has (DT_VERDEF); glibc's dynamic linker
// compares the two before anything runs (elf/dl-version.c):
//
//	a library without any versions            a warning, if that
//	a version that is missing, needed weakly  a warning
//	a version that is missing                 the end
//
// The formats are those of the LSB, "Symbol Versioning". musl knows none of it.

import (
	"encoding/binary"
	"path"
	"slices"
	"strings"
)

// VersionNeed is a version that an object needs of a library.
type VersionNeed struct {
	Library string // by its soname
	Version string // such as GLIBC_2.34
}

// maxVersions is how many versions an object may need or have.
const maxVersions = 1 << 12

const versionWeak = 2 // VER_FLG_WEAK

// versions reads the two tables, whose addresses are those of the dynamic
// section.
func (o *object) versions(need, def uint64, name func(uint32) (string, error)) error {
	bad := &FormatError{"has a damaged table of symbol versions"}
	le := binary.LittleEndian
	// walk goes along a list of records of some size, with the offset of the
	// next at next.
	walk := func(at uint64, size, next int, do func(at uint64, b []byte) error) error {
		for range maxVersions {
			b, err := o.readAt(at, uint64(size))
			if err != nil {
				return err
			}
			if err := do(at, b); err != nil {
				return err
			}
			step := uint64(le.Uint32(b[next:]))
			if step == 0 {
				return nil
			}
			at += step
		}
		return bad
	}
	if at, ok := o.offset(need); ok && need != 0 {
		err := walk(at, 16, 12, func(at uint64, b []byte) error {
			library, err := name(le.Uint32(b[4:]))
			if err != nil {
				return err
			}
			return walk(at+uint64(le.Uint32(b[8:])), 16, 12, func(_ uint64, b []byte) error {
				version, err := name(le.Uint32(b[8:]))
				if err == nil && le.Uint16(b[4:])&versionWeak == 0 {
					o.VersionNeeds = append(o.VersionNeeds, VersionNeed{library, version})
				}
				if len(o.VersionNeeds) > maxVersions {
					return bad
				}
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	if at, ok := o.offset(def); ok && def != 0 {
		return walk(at, 20, 16, func(at uint64, b []byte) error {
			aux, err := o.readAt(at+uint64(le.Uint32(b[12:])), 8) // the first is the version's own name
			if err != nil {
				return err
			}
			version, err := name(le.Uint32(aux))
			o.Versions = append(o.Versions, version)
			return err
		})
	}
	return nil
}

// Mismatch is a version that a library does not have.
type Mismatch struct {
	VersionNeed
	By     string // the path of what needs it
	Path   string // the library's
	Newest string // the library's newest version of the same series; empty: it has none
}

// Mismatches returns which versions the libraries do not have that the object at
// a path, and they themselves, need. libs are the object's Closure.
func (l *Linker) Mismatches(at string, o *Object, libs []*Library) (all []Mismatch) {
	if l.musl {
		return nil
	}
	byName := map[string]*Library{}
	for _, lib := range slices.Backward(libs) {
		if lib.object != nil {
			byName[lib.object.Soname] = lib
			byName[lib.Name] = lib
		}
	}
	for _, by := range append([]*Library{{Path: at, object: o}}, libs...) {
		if by.object == nil {
			continue
		}
		for _, need := range by.object.VersionNeeds {
			lib := byName[need.Library]
			if lib == nil || len(lib.object.Versions) == 0 || slices.Contains(lib.object.Versions, need.Version) {
				continue
			}
			all = append(all, Mismatch{need, by.Path, lib.Path, newest(lib.object.Versions, need.Version)})
		}
	}
	return all
}

// newest returns the newest of versions that is called like one, but for the
// number.
func newest(versions []string, like string) (best string) {
	series, _, ok := strings.Cut(like, "_")
	for _, v := range versions {
		if s, number, _ := strings.Cut(v, "_"); ok && s == series && number != "" && number[0] >= '0' && number[0] <= '9' && (best == "" || CompareNames(v, best) > 0) {
			best = v
		}
	}
	return best
}

// String is a clause: what needs which version of what.
func (m Mismatch) String() string {
	s := m.Version + " of " + path.Base(m.Path)
	if m.Newest != "" {
		s += " (this one has " + m.Newest + ")"
	}
	return s
}
