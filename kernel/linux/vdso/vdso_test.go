package vdso

import (
	"bytes"
	"debug/elf"
	"testing"
)

// The image is a shared object as debug/elf, and so a C library, reads it.
func TestImage(t *testing.T) {
	f, err := elf.NewFile(bytes.NewReader(Image()))
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != elf.ET_DYN || f.Machine != elf.EM_X86_64 || len(f.Progs) != 2 || f.Progs[0].Type != elf.PT_LOAD || f.Progs[1].Type != elf.PT_DYNAMIC {
		t.Fatalf("%+v %v", f.FileHeader, f.Progs)
	}
	if name, err := f.DynString(elf.DT_SONAME); err == nil && len(name) > 0 && name[0] != soname {
		t.Errorf("its name is %v, %v", name, err)
	}
}
