package acpi

import (
	"encoding/binary"
	"os"
	"testing"
)

// machine is physical memory in pieces, for tests.
type machine map[uint64][]byte

func (m machine) memory(phys uint64, n int) []byte {
	for at, b := range m {
		if phys >= at && phys-at <= uint64(len(b)) && n <= len(b)-int(phys-at) {
			return b[phys-at:][:n:n]
		}
	}
	return nil
}

func load(t testing.TB, name string) machine {
	b, err := os.ReadFile("testdata/" + name + ".tables")
	if err != nil {
		t.Fatal(err)
	}
	m := machine{}
	for len(b) > 0 {
		at, n := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
		m[at] = b[12 : 12+n]
		b = b[12+n:]
	}
	return m
}

var realMachines = []struct {
	name string
	rsdp uint64
}{{"q35", 0xf59e0}, {"pc", 0xf59d0}, {"microvm", 0xf34d0}}

func TestRealMachines(t *testing.T) {
	for _, c := range realMachines {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, c.name)
			if got := FindRSDP(pad(m).memory); got != c.rsdp {
				t.Errorf("FindRSDP: %#x", got)
			}
			var info Info
			if s := Read(&info, m.memory, c.rsdp); s != OK || info.Problems != 0 {
				t.Fatalf("%v, problems %#x", s, info.Problems)
			}
			if !info.HaveMADT || info.LocalAPIC != 0xfee00000 || !info.LegacyPIC {
				t.Errorf("MADT: %v %#x %v", info.HaveMADT, info.LocalAPIC, info.LegacyPIC)
			}
			if info.NumCPUs != 3 || info.IgnoredCPUs != 0 {
				t.Errorf("%d CPUs, %d ignored", info.NumCPUs, info.IgnoredCPUs)
			}
			for i := range info.NumCPUs {
				if info.CPUs[i].APICID != uint32(i) || info.CPUs[i].UID != uint32(i) {
					t.Errorf("CPU %d: %+v", i, info.CPUs[i])
				}
			}
			if a := info.IOAPICs[0]; a.Addr != 0xfec00000 || a.GSIBase != 0 {
				t.Errorf("IOAPIC: %+v", a)
			}
			if !info.HaveFADT || !info.Power.HaveS5 {
				t.Errorf("FADT %v, S5 %v", info.HaveFADT, info.Power.HaveS5)
			}
		})
	}
}

// pad makes the root pointer's page readable as a whole, as FindRSDP wants it.
func pad(m machine) machine {
	out := machine{}
	for at, b := range m {
		if at >= 0xe0000 && at < 0x100000 {
			page := at &^ 0xfff
			if out[page] == nil {
				out[page] = make([]byte, 0x1000)
			}
			copy(out[page][at-page:], b)
			continue
		}
		out[at] = b
	}
	return out
}

func TestQ35(t *testing.T) {
	var info Info
	Read(&info, load(t, "q35").memory, 0xf59e0)
	p := &info.Power
	if p.SCI != 9 || p.HardwareReduced || p.Century != 0x32 || p.NoRTC || p.No8042 {
		t.Errorf("power: %+v", p)
	}
	if p.PM1aEvent != (Address{SpacePort, 32, 0x600}) || p.PM1aControl != (Address{SpacePort, 16, 0x604}) ||
		p.PM1bControl != (Address{}) || p.PMTimer != (Address{SpacePort, 32, 0x608}) {
		t.Errorf("registers: %+v", p)
	}
	if p.Reset != (Address{SpacePort, 8, 0xcf9}) || p.ResetValue != 0x0f {
		t.Errorf("reset: %+v %#x", p.Reset, p.ResetValue)
	}
	if a, b := p.OffPM1(); a != 0x2000 || b != 0x2000 {
		t.Errorf("off: %#x %#x", a, b)
	}
	if info.NumSegments != 1 || info.Segments[0] != (Segment{0xb0000000, 0, 0, 255}) {
		t.Errorf("segments: %+v", info.Segments[:info.NumSegments])
	}
	if info.HPET != 0xfed00000 {
		t.Errorf("HPET: %#x", info.HPET)
	}
	if o := info.GSI(0); o.GSI != 2 || o.Level || o.ActiveLow {
		t.Errorf("IRQ 0: %+v", o)
	}
	if o := info.GSI(9); o.GSI != 9 || !o.Level || o.ActiveLow {
		t.Errorf("IRQ 9: %+v", o)
	}
	if o := info.GSI(4); o != (Override{IRQ: 4, GSI: 4}) {
		t.Errorf("IRQ 4: %+v", o)
	}
}

func TestMicrovm(t *testing.T) {
	var info Info
	Read(&info, load(t, "microvm").memory, 0xf34d0)
	p := &info.Power
	if info.Revision != 2 || !p.HardwareReduced || p.SleepA != 5 || p.OffReduced() != 0x34 {
		t.Errorf("revision %d, power %+v", info.Revision, p)
	}
	if p.SleepControl != (Address{SpaceMemory, 8, 0xfea00200}) || p.Reset != (Address{SpaceMemory, 8, 0xfea00202}) {
		t.Errorf("registers: %+v", p)
	}
	if info.NumIOAPICs != 2 || info.IOAPICs[1].GSIBase != 24 {
		t.Errorf("IOAPICs: %+v", info.IOAPICs[:info.NumIOAPICs])
	}
}

// The builders below follow ACPI 6.5 for what no QEMU machine here has.

func put(b []byte, off int, v uint64, n int) {
	for i := range n {
		b[off+i] = byte(v >> (8 * i))
	}
}

// fix makes b sum to zero by the byte at off.
func fix(b []byte, off int) []byte {
	b[off] = 0
	b[off] = -sum(b)
	return b
}

func build(sig string, revision byte, body []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(body))
	copy(b, sig)
	b = append(b, body...)
	put(b, 4, uint64(len(b)), 4)
	b[8] = revision
	return fix(b, 9)
}

func madt(entries ...[]byte) []byte {
	body := make([]byte, 8)
	put(body, 0, 0xfee00000, 4)
	for _, e := range entries {
		body = append(body, e...)
	}
	return build("APIC", 5, body)
}

func lapic(uid, id byte, flags uint64) []byte {
	e := []byte{0, 8, uid, id, 0, 0, 0, 0}
	put(e, 4, flags, 4)
	return e
}

func x2apic(uid, id, flags uint64) []byte {
	e := make([]byte, 16)
	e[0], e[1] = 9, 16
	put(e, 4, id, 4)
	put(e, 8, flags, 4)
	put(e, 12, uid, 4)
	return e
}

const rootAt, tablesAt = 0xf0000, 0x1000000

// build2 lays out an ACPI 2.0 machine with an XSDT.
func build2(tables ...[]byte) machine {
	m := machine{}
	var body []byte
	for i, t := range tables {
		at := uint64(tablesAt + i<<16)
		m[at] = t
		body = binary.LittleEndian.AppendUint64(body, at)
	}
	m[0xe00000] = build("XSDT", 1, body)
	p := make([]byte, 36)
	copy(p, "RSD PTR ")
	p[15] = 2
	put(p, 20, 36, 4)
	put(p, 24, 0xe00000, 8)
	fix(p[:20], 8)
	m[rootAt] = fix(p, 32)
	return m
}

func TestManyCPUs(t *testing.T) {
	entries := [][]byte{
		lapic(1, 0xff, 1),         // the id that means none
		lapic(2, 7, 0),            // disabled
		lapic(3, 8, 2),            // can be plugged in later
		x2apic(4, 0xffffffff, 1),  // none
		{4, 6, 0xff, 0, 0, 1},     // NMI of all processors
		{0x7f, 4, 0, 0},           // unknown
		{5, 12, 0, 0, 0, 0, 0, 0}, // the APICs are elsewhere; extended below
	}
	entries[6] = append(entries[6], 1, 0, 0, 0)
	for i := range 70 {
		if i < 4 {
			entries = append(entries, lapic(byte(i), byte(i), 1))
		}
		entries = append(entries, x2apic(uint64(i), uint64(i*3), 1))
	}
	var info Info
	m := build2(madt(entries...))
	if s := Read(&info, m.memory, rootAt); s != OK || info.Problems != Truncated {
		t.Fatalf("%v, problems %#x", s, info.Problems)
	}
	// 0, 1, 2, 3 by APIC and 0, 3, 6, ... 207 by x2APIC: 72 different ones.
	if info.NumCPUs != MaxCPUs || info.IgnoredCPUs != 72-MaxCPUs {
		t.Errorf("%d CPUs, %d ignored", info.NumCPUs, info.IgnoredCPUs)
	}
	seen := map[uint32]bool{}
	for _, c := range info.CPUs[:info.NumCPUs] {
		if seen[c.APICID] {
			t.Errorf("APIC %d twice", c.APICID)
		}
		seen[c.APICID] = true
	}
	if info.LocalAPIC != 1<<32 {
		t.Errorf("local APIC at %#x", info.LocalAPIC)
	}
}

func TestOverrideFlags(t *testing.T) {
	entry := func(bus, irq byte, gsi, flags uint64) []byte {
		e := make([]byte, 10)
		e[0], e[1], e[2], e[3] = 2, 10, bus, irq
		put(e, 4, gsi, 4)
		put(e, 8, flags, 2)
		return e
	}
	var info Info
	m := build2(madt(entry(0, 3, 20, 0xf), entry(0, 4, 21, 0x5), entry(1, 5, 22, 0xf)))
	Read(&info, m.memory, rootAt)
	for _, want := range []Override{{3, 20, true, true}, {4, 21, false, false}, {5, 5, false, false}} {
		if got := info.GSI(want.IRQ); got != want {
			t.Errorf("IRQ %d: %+v", want.IRQ, got)
		}
	}
}

func TestDamage(t *testing.T) {
	good := madt(lapic(0, 0, 1))
	damaged := append([]byte(nil), good...)
	damaged[40] ^= 1
	short := fix(append(append([]byte(nil), good...), 0, 8, 1), 9) // an entry cut off
	put(short, 4, uint64(len(short)), 4)
	fix(short, 9)
	zero := madt([]byte{3, 0})
	for _, c := range []struct {
		name   string
		m      machine
		status Status
		bad    Problems
		cpus   int
	}{
		{"good", build2(good), OK, 0, 1},
		{"checksum", build2(damaged), OK, BadMADT, 0},
		{"cut off", build2(short), OK, BadMADT, 1},
		{"entry of length 0", build2(zero), OK, BadMADT, 0},
		{"unmapped table", build2(good, nil), OK, BadTable, 1},
		{"short FADT", build2(build("FACP", 1, make([]byte, 70))), OK, BadFADT, 0},
		{"nothing", machine{}, NoRSDP, 0, 0},
	} {
		var info Info
		if s := Read(&info, c.m.memory, rootAt); s != c.status || info.Problems != c.bad || info.NumCPUs != c.cpus {
			t.Errorf("%s: %v, problems %#x, %d CPUs", c.name, s, info.Problems, info.NumCPUs)
		}
	}
	var info Info
	m := build2(good)
	m[rootAt][9] ^= 1
	if s := Read(&info, m.memory, rootAt); s != BadRSDP {
		t.Errorf("root pointer with a wrong sum: %v", s)
	}
	m = build2(good)
	m[0xe00000][8] ^= 1
	if s := Read(&info, m.memory, rootAt); s != BadRoot {
		t.Errorf("root table with a wrong sum: %v", s)
	}
}

func TestS5(t *testing.T) {
	for _, c := range []struct {
		aml  string
		a, b uint8
		ok   bool
	}{
		{"\x08_S5_\x12\x08\x04\x0a\x05\x0a\x06\x00\x00", 5, 6, true},
		{"\x08\\_S5_\x12\x06\x04\x01\x00\x00\x00", 1, 0, true},
		{"xx\x08_S5_\x12\x49\x00\x04\x0b\x07\x00\x0c\x03\x00\x00\x00", 7, 3, true},
		{"\x08_S5_\x12\x05\x01\x0b\x07\x05", 7, 5, true}, // one element holds both
		{"_S5_\x12\x06\x04\x01\x01", 0, 0, false},        // no definition
		{"\x08_S5_\x11\x06\x04\x01\x01", 0, 0, false},    // no package
		{"\x08_S5_\x12\x06\x04\x70\x01", 0, 0, false},    // not a constant
		{"\x08_S5_\x12\x06\x04\x0a", 0, 0, false},        // cut off
		{"_S5_", 0, 0, false},
		// A mention of the name comes first.
		{"\x5c_S5_\x70\x08_S5_\x12\x06\x04\x0a\x02\x0a\x03", 2, 3, true},
	} {
		var p Power
		p.findS5(build("DSDT", 2, []byte(c.aml)))
		if p.HaveS5 != c.ok || p.SleepA != c.a || p.SleepB != c.b {
			t.Errorf("%q: %v %d %d", c.aml, p.HaveS5, p.SleepA, p.SleepB)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	q35 := load(t, "q35")
	memory := q35.memory
	var info Info
	if n := testing.AllocsPerRun(10, func() { Read(&info, memory, 0xf59e0) }); n != 0 {
		t.Errorf("Read allocates %v times", n)
	}
}

// FuzzRead changes bytes of real tables and repairs the checksums, so that the
// decoders behind them are reached.
func FuzzRead(f *testing.F) {
	for i := range realMachines {
		f.Add(uint8(i), []byte{0, 0, 0}, true)
	}
	f.Fuzz(func(t *testing.T, which uint8, edits []byte, repair bool) {
		c := realMachines[int(which)%len(realMachines)]
		m := load(t, c.name)
		var all []byte
		for at, b := range m {
			m[at] = append([]byte(nil), b...)
		}
		for len(edits) >= 4 {
			for at, b := range m {
				off := int(binary.LittleEndian.Uint16(edits))
				if byte(at)^byte(at>>8) == edits[2] && off < len(b) {
					b[off] = edits[3]
				}
			}
			edits = edits[4:]
		}
		for at, b := range m {
			switch {
			case !repair || at == 0x40e:
			case at == c.rsdp:
				fix(b[:rsdpSize1], 8)
				fix(b, 32)
			default:
				fix(b, 9)
			}
			all = append(all, b...)
		}
		var info Info
		Read(&info, m.memory, c.rsdp)
		Read(&info, func(phys uint64, n int) []byte { // everything is everywhere
			if n < 0 || n > len(all) {
				return nil
			}
			return all[:n]
		}, c.rsdp)
		FindRSDP(pad(m).memory)
		if info.NumCPUs > MaxCPUs || info.NumIOAPICs > MaxIOAPICs || info.NumOverrides > MaxOverrides || info.NumSegments > MaxSegments {
			t.Fatal("a count is beyond its array")
		}
	})
}
