package pvh

// A memory map: regions, sorted by address, that neither overlap nor touch a
// neighbour of the same type. What no region covers is not memory.
//
// Firmware's maps may be unsorted and overlap. Where two entries overlap, the
// higher type wins, as in Linux: a reservation cuts a hole into memory. The
// map has a fixed size; when it is full, memory is given up, never a
// reservation.

// Type is the kind of a region, in the numbering of the BIOS call E820
// (ACPI 6.5, 15).
type Type uint32

const (
	RAM         Type = 1
	Reserved    Type = 2
	ACPI        Type = 3 // tables; memory once they have been read
	NVS         Type = 4 // the firmware keeps state there
	Unusable    Type = 5 // broken memory
	Disabled    Type = 6
	Persistent  Type = 7
	InUse       Type = 8 // memory that [Map.Take] took out
	maxFirmware      = Persistent
)

const (
	// MaxRegions is how many regions a Map has room for.
	MaxRegions = 128

	pageSize = 4096
	// maxPhys ends the physical addresses that page tables can express.
	maxPhys = 1 << 52
)

// Region is the physical memory [Start, End), in whole pages.
type Region struct {
	Start, End uint64
	Type       Type
}

// Map is a memory map. The zero value is empty.
type Map struct {
	n          int
	incomplete bool
	regions    [MaxRegions]Region
}

// Len returns the number of regions.
func (m *Map) Len() int { return m.n }

// Region returns region i in the order of addresses; the zero Region if there
// is none.
func (m *Map) Region(i int) Region {
	if uint(i) >= uint(m.n) || uint(i) >= MaxRegions {
		return Region{}
	}
	return m.regions[i]
}

// Incomplete says that the map was full at some time and memory was left out.
func (m *Map) Incomplete() bool { return m.incomplete }

// Total returns the number of bytes that have type t.
func (m *Map) Total(t Type) uint64 {
	var sum uint64
	for i := range m.Len() {
		if r := m.Region(i); r.Type == t {
			sum += r.End - r.Start
		}
	}
	return sum
}

// Top returns the end of the highest region of type t, or 0.
func (m *Map) Top(t Type) uint64 {
	for i := m.Len() - 1; i >= 0; i-- {
		if r := m.Region(i); r.Type == t {
			return r.End
		}
	}
	return 0
}

// Add enters size bytes at start as t. Memory is rounded inwards to whole
// pages, all else outwards. An unknown type counts as Reserved.
func (m *Map) Add(start, size uint64, t Type) {
	if t == 0 || t > maxFirmware {
		t = Reserved
	}
	end := start + size
	if end < start || end > maxPhys {
		end = maxPhys
	}
	if start >= end {
		return
	}
	if t == RAM {
		start, end = (start+pageSize-1)&^(pageSize-1), end&^(pageSize-1)
	} else {
		start, end = start&^(pageSize-1), (end+pageSize-1)&^(pageSize-1)
	}
	m.paint(start, end, t)
}

// Take takes the pages that size bytes at start touch out of the memory: they
// become InUse. What is not memory stays as it is.
func (m *Map) Take(start, size uint64) {
	end := start + size
	if end < start || end > maxPhys {
		end = maxPhys
	}
	if start >= end {
		return
	}
	start, end = start&^(pageSize-1), (end+pageSize-1)&^(pageSize-1)
	for i := 0; i < m.n && i < MaxRegions; i++ {
		r := m.regions[i]
		if s, e := max(start, r.Start), min(end, r.End); s < e && r.Type == RAM {
			m.carve(i, s, e, InUse)
		}
	}
	m.merge()
}

// paint gives [start, end) the type t wherever nothing higher is.
func (m *Map) paint(start, end uint64, t Type) {
	for i := 0; start < end; i++ {
		if i >= m.n || i >= MaxRegions || m.regions[i].Start >= end {
			m.insert(i, Region{start, end, t})
			break
		}
		r := m.regions[i]
		if r.End <= start {
			continue
		}
		if r.Start > start { // the gap before r; r is looked at next
			if m.insert(i, Region{start, r.Start, t}) {
				start = r.Start
				continue
			}
			start = r.Start
		}
		e := min(end, r.End)
		if t > r.Type {
			m.carve(i, start, e, t)
		}
		start = e
	}
	m.merge()
}

// carve gives the part [start, end) of region i the type t. If the map has no
// room for the pieces, a larger part gets it.
func (m *Map) carve(i int, start, end uint64, t Type) {
	if uint(i) >= MaxRegions {
		return
	}
	r := m.regions[i]
	if end < r.End && m.insert(i+1, Region{end, r.End, r.Type}) {
		m.regions[i].End = end
	}
	if start > r.Start {
		tail := Region{start, m.regions[i].End, t}
		if m.insert(i+1, tail) {
			m.regions[i].End = start
			return
		}
	}
	m.regions[i].Type = t
}

// insert makes r region i; false: there is no room.
func (m *Map) insert(i int, r Region) bool {
	if m.n >= MaxRegions || i < 0 || i > m.n {
		m.incomplete = true
		return false
	}
	for j := m.n; j > i; j-- {
		m.regions[j] = m.regions[j-1]
	}
	m.regions[i] = r
	m.n++
	return true
}

// merge joins neighbours of the same type.
func (m *Map) merge() {
	if m.n == 0 {
		return
	}
	k := 0
	for i := 1; i < m.n && i < MaxRegions; i++ {
		last, r := &m.regions[k], m.regions[i]
		if last.End == r.Start && last.Type == r.Type {
			last.End = r.End
			continue
		}
		k++
		m.regions[k] = r
	}
	m.n = k + 1
}
