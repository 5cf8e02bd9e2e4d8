package pvh

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"
)

type entry struct {
	start, size uint64
	typ         uint32
}

// build lays out a version 1 start info at 0x1000 and returns its memory.
func build(version uint32, entries []entry, modules []Module) []byte {
	b := make([]byte, 0x8000)
	put32, put64 := binary.LittleEndian.PutUint32, binary.LittleEndian.PutUint64
	put32(b[0x1000:], magic)
	put32(b[0x1004:], version)
	put32(b[0x1008:], 5)
	put32(b[0x100c:], uint32(len(modules)))
	put64(b[0x1010:], 0x2000)
	put64(b[0x1018:], 0x3000)
	put64(b[0x1020:], 0xf5000)
	put64(b[0x1028:], 0x4000)
	put32(b[0x1030:], uint32(len(entries)))
	for i, m := range modules {
		put64(b[0x2000+i*32:], m.Addr)
		put64(b[0x2008+i*32:], m.Size)
		put64(b[0x2010+i*32:], m.CommandLine)
	}
	copy(b[0x3000:], "A=1 -v\x00rest")
	for i, e := range entries {
		put64(b[0x4000+i*24:], e.start)
		put64(b[0x4008+i*24:], e.size)
		put32(b[0x4010+i*24:], e.typ)
	}
	return b
}

func over(b []byte) Memory {
	return func(phys uint64, n int) []byte {
		if phys > uint64(len(b)) || n < 0 || n > len(b)-int(phys) {
			return nil
		}
		return b[phys:][:n:n]
	}
}

func TestDecode(t *testing.T) {
	// What QEMU's q35 gives with 6 GiB.
	b := build(1, []entry{
		{0, 0x9fc00, 1}, {0x9fc00, 0x400, 2}, {0xf0000, 0x10000, 2},
		{0x100000, 0x7fee0000, 1}, {0x7ffe0000, 0x20000, 2}, {0xb0000000, 0x10000000, 2},
		{0xfed1c000, 0x4000, 2}, {0xfffc0000, 0x40000, 2}, {0x100000000, 0x100000000, 1},
	}, []Module{{0x7f000000, 12345, 0}})
	var info Info
	if s := Decode(&info, over(b), 0x1000); s != OK {
		t.Fatal(s)
	}
	if info.Version != 1 || info.Flags != 5 || info.CommandLine != 0x3000 || info.RSDP != 0xf5000 {
		t.Errorf("%+v", info)
	}
	if info.NumModules != 1 || info.Modules[0] != (Module{0x7f000000, 12345, 0}) {
		t.Errorf("modules: %+v", info.Modules[:info.NumModules])
	}
	m := &info.Map
	// The page that both memory and a reservation touch is reserved.
	if r := m.Region(0); r != (Region{0, 0x9f000, RAM}) {
		t.Errorf("first region: %#x", r)
	}
	if r := m.Region(1); r != (Region{0x9f000, 0xa0000, Reserved}) {
		t.Errorf("second region: %#x", r)
	}
	if m.Top(RAM) != 0x200000000 || m.Total(RAM) != 0x9f000+0x7fee0000+0x100000000 || m.Incomplete() {
		t.Errorf("top %#x, total %#x", m.Top(RAM), m.Total(RAM))
	}
	m.Take(0x400000, 0x12345)
	m.Take(0x7f000000, 12345)
	m.Take(0xf0000, 1) // not memory
	if m.Total(InUse) != 0x13000+0x4000 || m.Region(m.Len()) != (Region{}) || m.Region(-1) != (Region{}) {
		t.Errorf("taken: %#x", m.Total(InUse))
	}
	var cmd [16]byte
	if n := ReadString(over(b), info.CommandLine, cmd[:]); string(cmd[:n]) != "A=1 -v" {
		t.Errorf("command line %q", cmd[:n])
	}
	if n := ReadString(over(b), info.CommandLine, cmd[:3]); n != 3 {
		t.Errorf("cut command line: %d", n)
	}
	if ReadString(over(b), 0, cmd[:]) != 0 || ReadString(over(b), 0x7fff, cmd[:]) != 0 || ReadString(over(b), 1<<40, cmd[:]) != 0 {
		t.Error("a string was read from nowhere")
	}
}

func TestStatus(t *testing.T) {
	ram := []entry{{0, 1 << 20, 1}}
	for _, c := range []struct {
		want Status
		edit func(b []byte)
	}{
		{OK, func([]byte) {}},
		{NoInfo, func(b []byte) { b[0x1000]++ }},
		{NoMap, func(b []byte) { b[0x1004] = 0 }},
		{NoMap, func(b []byte) { b[0x1030] = 0 }},
		{NoMap, func(b []byte) { b[0x102a] = 1 }},
		{BadModules, func(b []byte) { b[0x1012] = 1 }},
	} {
		b := build(1, ram, []Module{{1, 2, 3}})
		c.edit(b)
		var info Info
		if s := Decode(&info, over(b), 0x1000); s != c.want {
			t.Errorf("%v, want %v", s, c.want)
		}
	}
	var info Info
	if s := Decode(&info, over(nil), 0x1000); s != NoInfo {
		t.Errorf("nothing readable: %v", s)
	}
	many := make([]Module, 20)
	if s := Decode(&info, over(build(1, ram, many)), 0x1000); s != OK || info.NumModules != MaxModules {
		t.Errorf("%v, %d modules", s, info.NumModules)
	}
}

// check verifies the invariants of a map.
func check(m *Map) error {
	for i := range m.Len() {
		r := m.Region(i)
		if r.Start >= r.End || r.Start%pageSize != 0 || r.End%pageSize != 0 || r.Type == 0 || r.Type > InUse {
			return fmt.Errorf("region %d is malformed: %#x", i, r)
		}
		if i == 0 {
			continue
		}
		p := m.Region(i - 1)
		if p.End > r.Start || p.End == r.Start && p.Type == r.Type {
			return fmt.Errorf("regions %d and %d are not apart: %#x %#x", i-1, i, p, r)
		}
	}
	return nil
}

// TestModel compares with a map that has one type for each page.
func TestModel(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for round := range 3000 {
		const pages = 512
		var model [pages]Type
		var m Map
		for range rng.Intn(200) {
			start, n := rng.Intn(pages), 1+rng.Intn(40)
			if round%2 == 1 {
				n = 1 + rng.Intn(3)
			}
			n = min(n, pages-start)
			typ := Type(1 + rng.Intn(7))
			take := rng.Intn(4) == 0
			if take {
				m.Take(uint64(start*pageSize), uint64(n*pageSize))
			} else {
				m.Add(uint64(start*pageSize), uint64(n*pageSize), typ)
			}
			for p := start; p < start+n; p++ {
				switch {
				case take && model[p] == RAM:
					model[p] = InUse
				case !take && typ > model[p]:
					model[p] = typ
				}
			}
			if err := check(&m); err != nil {
				t.Fatal(err)
			}
		}
		var got [pages]Type
		for i := range m.Len() {
			r := m.Region(i)
			for p := r.Start / pageSize; p < r.End/pageSize; p++ {
				got[p] = r.Type
			}
		}
		if !m.Incomplete() && got != model {
			t.Fatalf("round %d: the map differs from the model", round)
		}
		for p := range got {
			if got[p] == RAM && model[p] != RAM {
				t.Fatalf("round %d: page %d is not memory", round, p)
			}
		}
	}
}

func TestRounding(t *testing.T) {
	var m Map
	m.Add(100, 3*pageSize, RAM) // pages 1 and 2
	m.Add(2*pageSize+5, 1, 99)  // an unknown type
	m.Add(10, 20, RAM)          // no whole page
	m.Add(1<<63, 1<<63, RAM)    // no such memory
	m.Add(8*pageSize, 1<<63, ACPI)
	m.Add(5*pageSize, 0, RAM)
	want := []Region{
		{pageSize, 2 * pageSize, RAM}, {2 * pageSize, 3 * pageSize, Reserved}, {8 * pageSize, maxPhys, ACPI},
	}
	if m.Len() != len(want) {
		t.Fatalf("%d regions", m.Len())
	}
	for i, r := range want {
		if m.Region(i) != r {
			t.Errorf("region %d: %#x", i, m.Region(i))
		}
	}
}

func TestFull(t *testing.T) {
	var m Map
	for i := range uint64(MaxRegions) {
		m.Add(i*4*pageSize, 3*pageSize, RAM)
	}
	if m.Len() != MaxRegions || m.Incomplete() {
		t.Fatalf("%d regions, incomplete %v", m.Len(), m.Incomplete())
	}
	m.Add(pageSize, pageSize, Reserved) // would make two more
	if err := check(&m); err != nil {
		t.Fatal(err)
	}
	for i := range m.Len() {
		if r := m.Region(i); r.Type == RAM && r.Start <= pageSize && r.End > pageSize {
			t.Errorf("a reservation was lost: %#x", r)
		}
	}
	if !m.Incomplete() {
		t.Error("the map does not say that it is incomplete")
	}
}

func TestNoAllocation(t *testing.T) {
	b := build(1, []entry{{0, 1 << 30, 1}, {4096, 4096, 2}}, nil)
	mem := over(b)
	var info Info
	if n := testing.AllocsPerRun(10, func() {
		Decode(&info, mem, 0x1000)
		info.Map.Take(1<<20, 1<<20)
	}); n != 0 {
		t.Errorf("Decode allocates %v times", n)
	}
}

func FuzzDecode(f *testing.F) {
	info := build(1, []entry{{0, 1 << 30, 1}, {4096, 1 << 40, 2}, {0, 1 << 20, 7}}, []Module{{1, 2, 3}})
	f.Add(info[0x1000:0x1038], info[0x2000:0x2020], info[0x4000:0x4060])
	f.Fuzz(func(t *testing.T, head, modules, entries []byte) {
		b := make([]byte, 0x8000)
		copy(b[0x1000:], head)
		copy(b[0x2000:], modules)
		copy(b[0x4000:], entries)
		var info Info
		Decode(&info, over(b), 0x1000)
		for i := range info.NumModules {
			info.Map.Take(info.Modules[i].Addr, info.Modules[i].Size)
		}
		if err := check(&info.Map); err != nil {
			t.Fatal(err)
		}
		var buf [64]byte
		ReadString(over(b), info.CommandLine, buf[:])
	})
}
