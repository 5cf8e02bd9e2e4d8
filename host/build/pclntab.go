package build

// The line table (.gopclntab) tells the runtime about every function: its name,
// its frame, which words of it are pointers, where goroutines may be preempted,
// and source files and lines. Of the kernel's own functions, a program built
// without symbols and debug information (-s) needs all of that but files and
// lines, and the calls that were inlined. They are taken out here, and what is
// left is put together, packed to the end of the room that it had; image.cut
// takes the rest of the room out of the file.
//
// The section holds, one after the other (cmd/link/internal/ld/pcln.go):
//
//	header       72 bytes: magic, pointer size, counts, offsets of what follows
//	funcnametab  names, ended by NUL
//	cutab        indexes into filetab
//	filetab      names, ended by NUL
//	pctab        sequences of pairs of varints, ended by a 0: a value and how
//	             far it holds. A table of a function is the offset of its
//	             sequence; 0: there is none
//	functab      for each function, where it starts and where its record is;
//	             then the records (funcRecord)
//	go:func.*    data of functions, by their offset from its start
//	findfunctab  stays where it is
//
// runtime.moduledata, in .go.module, has their addresses and sizes.

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

const (
	pcHeaderSize = 72
	pcMagic      = 0xfffffff1 // since Go 1.20
	noFuncData   = 1<<32 - 1
)

// Tables and data of functions that only tell about source code
// (internal/abi/symtab.go): inlined calls, arguments in tracebacks.
var (
	sourceTables = []int{2, 3}    // PCDATA_InlTreeIndex, PCDATA_ArgLiveIndex
	sourceData   = []int{3, 5, 6} // FUNCDATA_InlTree, FUNCDATA_ArgInfo, FUNCDATA_ArgLiveInfo
)

// funcRecord is what functab has of a function (runtime._func). Tables and Data
// follow it.
type funcRecord struct {
	Entry                uint32
	Name                 int32
	Args                 int32
	Defer                uint32
	Stack, File, Line    uint32 // tables
	NumTables, Unit      uint32
	StartLine            int32
	ID, Flag, _, NumData uint8
}

type function struct {
	funcRecord
	tables, data []uint32
}

// lineTable is the section, taken apart.
type lineTable struct {
	start   uint64    // its address
	old     [6]uint64 // offsets of funcnametab, cutab, filetab, pctab, functab, go:func.*
	end     uint64    // offset where go:func.* ends
	raw     []byte    // of the file, up to end
	funcs   []function
	textEnd []byte   // the entry that ends functab
	dropped []uint32 // offsets in go:func.* that functions referred to
}

// dropKernelLines takes out what only tells about the kernel's source code. A
// table that is not as expected stays as it is.
func (m *image) dropKernelLines(syms []symbol) {
	t := m.lineTable(syms)
	module := m.section(".go.module")
	if t == nil || module == nil {
		return
	}
	for i := range t.funcs {
		f := &t.funcs[i]
		pkg := symbolPackage(cString(t.raw[t.old[0]:t.old[1]], uint32(f.Name)))
		if isKernel(pkg) || strings.HasPrefix(pkg, thirdPartyPrefix) {
			t.dropSource(f)
		}
		f.tables = trimTail(f.tables, 0)
		f.data = trimTail(f.data, noFuncData)
	}
	if room := t.pack(module.data); room != 0 {
		s := m.section(".gopclntab")
		s.Addr, s.Size = s.Addr+room, s.Size-room
		m.cut(t.start, t.start+room)
	}
}

// lineTable reads the section, or returns nil.
func (m *image) lineTable(syms []symbol) *lineTable {
	s := m.section(".gopclntab")
	if s == nil || len(s.data) < pcHeaderSize {
		return nil
	}
	t := &lineTable{start: s.Addr}
	for _, sym := range syms {
		switch sym.name {
		case "go:func.*":
			t.old[5] = sym.value - s.Addr
		case "runtime.findfunctab":
			t.end = sym.value - s.Addr
		}
	}
	le := binary.LittleEndian
	count := le.Uint64(s.data[8:])
	for i := range 5 {
		t.old[i] = le.Uint64(s.data[32+8*i:])
	}
	if le.Uint32(s.data) != pcMagic || t.end > uint64(len(s.data)) || !slices.IsSorted(append(t.old[:], t.end)) ||
		t.old[0] < pcHeaderSize || count > (t.old[5]-t.old[4])/8 {
		return nil
	}
	t.raw = s.data[:t.end]
	if !t.readFunctions(t.raw[t.old[4]:t.old[5]], int(count)) {
		return nil
	}
	return t
}

func (t *lineTable) readFunctions(b []byte, count int) bool {
	le := binary.LittleEndian
	if len(b) < 8*count+4 {
		return false
	}
	t.textEnd = b[8*count : 8*count+4]
	for i := range count {
		off := le.Uint32(b[8*i+4:])
		if uint64(off) > uint64(len(b)) {
			return false
		}
		r := bytes.NewReader(b[off:])
		var f function
		if binary.Read(r, le, &f.funcRecord) != nil || f.NumTables > 64 {
			return false
		}
		f.tables, f.data = make([]uint32, f.NumTables), make([]uint32, f.NumData)
		if binary.Read(r, le, f.tables) != nil || binary.Read(r, le, f.data) != nil {
			return false
		}
		t.funcs = append(t.funcs, f)
	}
	return true
}

func (t *lineTable) dropSource(f *function) {
	f.File, f.Line = 0, 0
	for _, i := range sourceTables {
		if i < len(f.tables) {
			f.tables[i] = 0
		}
	}
	for _, i := range sourceData {
		if i < len(f.data) {
			t.dropped = append(t.dropped, f.data[i])
			f.data[i] = noFuncData
		}
	}
}

func trimTail(s []uint32, none uint32) []uint32 {
	for len(s) > 0 && s[len(s)-1] == none {
		s = s[:len(s)-1]
	}
	return s
}

// place is where a table went, and its size if that has changed.
type place struct{ addr, size uint64 }

// pack puts the tables together anew, at the end of their room, and tells
// moduledata where they are. It returns the size of the room that is left.
func (t *lineTable) pack(module []byte) uint64 {
	pctab, ok := t.packTables(t.raw[t.old[3]:t.old[4]])
	if !ok {
		return 0
	}
	data := t.packData(t.raw[t.old[5]:])
	functab := t.functab()
	functabAt := alignTo(t.old[3]+uint64(len(pctab)), 8) // from the header
	size := functabAt + uint64(len(functab))
	dataAt := t.end - uint64(len(data))
	dataAt -= (dataAt - t.old[5]) % dataAlign
	if dataAt > t.end || size > dataAt {
		return 0
	}
	at := (dataAt - size) &^ 7
	front := slices.Clone(t.raw[:t.old[3]])
	binary.LittleEndian.PutUint64(front[32+8*4:], functabAt)
	clear(t.raw)
	copy(t.raw[at:], front)
	copy(t.raw[at+t.old[3]:], pctab)
	copy(t.raw[at+functabAt:], functab)
	copy(t.raw[dataAt:], data)

	places := map[uint64]place{t.start: {addr: t.start + at}, t.start + t.old[5]: {addr: t.start + dataAt}}
	for _, off := range t.old[:3] {
		places[t.start+off] = place{addr: t.start + at + off}
	}
	places[t.start+t.old[3]] = place{t.start + at + t.old[3], uint64(len(pctab))}
	places[t.start+t.old[4]] = place{t.start + at + functabAt, uint64(len(functab))}
	t.patch(module, places)
	return at
}

// patch changes the addresses in moduledata, and behind them the lengths of
// slices: an address, the length, the capacity. The address of functab occurs
// in two slices, one of bytes and one that counts the functions.
func (t *lineTable) patch(module []byte, places map[uint64]place) {
	le := binary.LittleEndian
	for b := module; len(b) >= 24; b = b[8:] {
		old := le.Uint64(b)
		p, ok := places[old]
		if !ok {
			continue
		}
		le.PutUint64(b, p.addr)
		if p.size == 0 {
			delete(places, old) // what starts there may be another's end, too
		} else if le.Uint64(b[8:]) != uint64(len(t.funcs))+1 {
			le.PutUint64(b[8:], p.size)
			le.PutUint64(b[16:], p.size)
		}
	}
}

// packTables returns pctab with only the sequences that functions still have,
// and gives the functions their new offsets.
func (t *lineTable) packTables(pctab []byte) ([]byte, bool) {
	out := []byte{0} // no sequence is at 0
	offsets := map[uint32]uint32{0: 0}
	good := true
	move := func(off *uint32) {
		to, ok := offsets[*off]
		if !ok {
			n := sequenceSize(pctab, *off)
			if n == 0 {
				good = false
				return
			}
			to = uint32(len(out))
			out = append(out, pctab[*off:][:n]...)
			offsets[*off] = to
		}
		*off = to
	}
	for i := range t.funcs {
		f := &t.funcs[i]
		move(&f.Stack)
		move(&f.File)
		move(&f.Line)
		for k := range f.tables {
			move(&f.tables[k])
		}
	}
	return out, good
}

// sequenceSize returns the length of the sequence at off with its end, or 0 if
// there is none.
func sequenceSize(pctab []byte, off uint32) int {
	if uint64(off) >= uint64(len(pctab)) {
		return 0
	}
	b := pctab[off:]
	n := 0
	for first := true; ; first = false {
		value, size := binary.Uvarint(b[n:])
		if size <= 0 {
			return 0
		}
		n += size
		if value == 0 && !first {
			return n
		}
		if _, size = binary.Uvarint(b[n:]); size <= 0 {
			return 0
		}
		n += size
	}
}

// dataAlign is the greatest alignment of functions' data.
const dataAlign = 8

// packData returns go:func.* without the pieces that only dropped references
// led to, and gives the functions their new offsets. A piece ends where the
// next one starts.
func (t *lineTable) packData(data []byte) []byte {
	kept := map[uint32]bool{}
	for _, f := range t.funcs {
		for _, off := range f.data {
			kept[off] = true
		}
	}
	for _, off := range t.dropped {
		kept[off] = kept[off]
	}
	delete(kept, noFuncData)
	starts := slices.Sorted(maps.Keys(kept))
	if len(starts) == 0 || uint64(starts[len(starts)-1]) > uint64(len(data)) {
		return data
	}
	out := slices.Clone(data[:starts[0]])
	offsets := map[uint32]uint32{noFuncData: noFuncData}
	for i, off := range starts {
		end := uint32(len(data))
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if kept[off] {
			for uint32(len(out))%dataAlign != off%dataAlign {
				out = append(out, 0)
			}
			offsets[off] = uint32(len(out))
			out = append(out, data[off:end]...)
		}
	}
	for _, f := range t.funcs {
		for k := range f.data {
			f.data[k] = offsets[f.data[k]]
		}
	}
	return out
}

// functab returns the table of functions.
func (t *lineTable) functab() []byte {
	le := binary.LittleEndian
	head := make([]byte, 0, 8*len(t.funcs)+4)
	var records []byte
	for i := range t.funcs {
		f := &t.funcs[i]
		head = le.AppendUint32(head, f.Entry)
		head = le.AppendUint32(head, uint32(8*len(t.funcs)+4+len(records)))
		f.NumTables, f.NumData = uint32(len(f.tables)), uint8(len(f.data))
		for _, v := range []any{f.funcRecord, f.tables, f.data} {
			records, _ = binary.Append(records, le, v)
		}
	}
	return slices.Concat(head, t.textEnd, records)
}
