package metal

import (
	"kiln/abi"
	"kiln/kernel/metal/pvh"
)

// Boot, from the PVH entry point to the runtime's.

// What boot found out and the rest of the package reads.
var bootData struct {
	entryTSC   uint64
	cmdline    [2048]byte
	cmdlineLen int
	archives   [2]span // embedded in the image; the first PVH module
	rsdp       uint64
	pvh        pvh.Info
}

// A span is a range of physical memory.
type span struct{ start, end uintptr }

// boot runs once, on the boot stack of CPU 0, in metal context. It returns to
// exitMetal, which starts thread 0: the Go runtime.
func boot() {
	bootData.entryTSC = peek64(dmapBase + bootInfo)
	initSerial()
	readStartInfo() // command line, modules, memory map
	initTrace()
	readImage() // what the image's header says
	addMemory() // physical memory, without what is in use
	mark("memory")
	mapImage()  // kernel text read-only, data no-execute
	mapMemory() // all physical memory, devices uncached
	mark("page tables")
	initAreas()
	setupIDT()
	c := newCPU(0)
	c.load() // from here on faults are handled
	mark("CPU")
	maskPICs()
	detectAPIC()
	c.setupAPIC()
	readFirmware() // ACPI
	mark("firmware")
	initClock()
	mark("clock")
	initFDs()
	demandZero()
	findCPUs()
	initControl()
	startThread0(c)
	mark("interrupts")
	startCPUs()
	poke64(dmapBase+bootTables, 0) // no identity map from here on
	flushTLB()
	mark("runtime entry")
}

// readStartInfo reads what the monitor handed over.
func readStartInfo() {
	info := &bootData.pvh
	if s := pvh.Decode(info, physBytes, uint64(peek32(dmapBase+bootInfo+8))); s != pvh.OK {
		fatal(s.String(), 0)
	}
	if info.CommandLine != 0 {
		bootData.cmdlineLen = pvh.ReadString(physBytes, info.CommandLine, bootData.cmdline[:])
	}
	if info.NumModules > 0 {
		m := info.Modules[0]
		bootData.archives[1] = span{uintptr(m.Addr), uintptr(m.Addr + m.Size)}
	}
	bootData.rsdp = info.RSDP
}

// physBytes is physical memory below 4 GiB, for reading tables at boot.
func physBytes(phys uint64, n int) []byte {
	if n < 0 || phys+uint64(n) > 4<<30 || phys+uint64(n) < phys {
		return nil
	}
	return bytesAt(dmapBase+uintptr(phys), n)
}

// imageFact returns a word of the image's facts, 0 if it has none.
func imageFact(word uintptr) uintptr {
	const facts = imageStart + abi.ImageFacts
	if peek64(facts+abi.ImageMagicAt) != abi.ImageMagicWord {
		return 0
	}
	return uintptr(peek64(facts + word))
}

// readImage takes the embedded archive from the ELF header, which is loaded in
// front of the text.
func readImage() {
	start := imageFact(abi.ImageArchive)
	bootData.archives[0] = span{start, start + imageFact(abi.ImageArchiveSize)}
}

// A segment of the image: where it is, physically and as linked.
type segment struct {
	flags               uint32
	paddr, vaddr, memsz uintptr
}

// eachSegment calls f for every PT_LOAD of the image's ELF header.
func eachSegment(f func(segment)) {
	ph := imageStart + uintptr(peek64(imageStart+32))
	for n := peek16(imageStart + 56); n > 0; n-- {
		if peek32(ph) == 1 {
			f(segment{peek32(ph + 4), uintptr(peek64(ph + 24)), uintptr(peek64(ph + 16)), uintptr(peek64(ph + 40))})
		}
		ph += uintptr(peek16(imageStart + 54))
	}
}

// addMemory gives the page allocator what the memory map calls RAM, without
// what is in use.
func addMemory() {
	m := &bootData.pvh.Map
	take := func(s span) { m.Take(uint64(s.start), uint64(s.end-s.start)) }
	take(span{0, apStart + pageSize})
	take(span{bootTables, bootMemEnd})
	eachSegment(func(s segment) { m.Take(uint64(s.paddr), uint64(s.memsz)) }) // also the first archive
	take(bootData.archives[1])
	for i := 0; i < m.Len(); i++ {
		if r := m.Region(i); r.Type == pvh.RAM && r.Start < maxPhysical {
			addZone(uintptr(r.Start), uintptr(min(r.End, maxPhysical)))
		}
	}
	if phys.n == 0 {
		fatal("the monitor reports no memory", 0)
	}
}

// mapImage gives the image page tables of its own, with each segment's rights.
func mapImage() {
	pd := allocPage()
	eachSegment(func(s segment) {
		flags := uint64(pteP)
		if s.flags&2 != 0 {
			flags |= pteW
		}
		if s.flags&1 == 0 {
			flags |= pteNX
		}
		start := s.vaddr &^ (pageSize - 1)
		for a := start; a < s.vaddr+s.memsz; a += pageSize {
			e := dmapBase + pd + (a>>21&511)*8
			if peek64(e) == 0 {
				poke64(e, uint64(allocPage())|pteP|pteW)
			}
			pt := dmapBase + uintptr(peek64(e)&addrMask)
			poke64(pt+(a>>12&511)*8, uint64(s.paddr&^(pageSize-1)+a-start)|flags)
		}
	})
	pdpt := uintptr(dmapBase + bootTables + 0x6000)
	poke64(pdpt+510*8, uint64(pd)|pteP|pteW)
	poke64(pdpt+511*8, 0)
	flushTLB()
}

// mapMemory finishes the direct map: no-execute, devices uncached, the image's
// read-only parts read-only here too, RAM above 4 GiB.
func mapMemory() {
	_, _, _, d := cpuid(0x80000001, 0)
	gigPages = d&(1<<26) != 0
	const tables = dmapBase + bootTables + 0x2000
	for i := uintptr(0); i < 2048; i++ {
		poke64(tables+i*8, uint64(i*largePage)|pteP|pteW|ptePS|pteNX|pteUC)
	}
	m := &bootData.pvh.Map
	for i := 0; i < m.Len(); i++ {
		r := m.Region(i)
		if !isMemory(r.Type) || r.Start >= 4<<30 {
			continue
		}
		for a := uintptr(r.Start) &^ (largePage - 1); a < uintptr(min(r.End, 4<<30)); a += largePage {
			e := tables + a>>21*8
			poke64(e, peek64(e)&^pteUC)
		}
	}
	for i := 0; i < m.Len(); i++ {
		if r := m.Region(i); isMemory(r.Type) && r.End > 4<<30 && r.Start < maxPhysical {
			start := uintptr(max(r.Start, 4<<30)) &^ (largePage - 1)
			end := (uintptr(min(r.End, maxPhysical)) + largePage - 1) &^ (largePage - 1)
			mapRange(dmapBase+start, start, end-start, pteP|pteW|pteNX)
		}
	}
	eachSegment(func(s segment) {
		if s.flags&2 == 0 {
			protectAlias(s.paddr&^(pageSize-1), roundUp(s.paddr+s.memsz))
		}
	})
	flushTLB()
}

func isMemory(t pvh.Type) bool { return t == pvh.RAM || t == pvh.InUse }

// protectAlias makes [start, end), physical, read-only in the direct map,
// splitting its 2 MiB pages.
func protectAlias(start, end uintptr) {
	for a := start; a < end; a += pageSize {
		e := dmapBase + bootTables + 0x2000 + (a>>21)*8
		if v := peek64(e); v&ptePS != 0 {
			pt := allocPage()
			for i := uintptr(0); i < 512; i++ {
				poke64(dmapBase+pt+i*8, uint64(a&^(largePage-1)+i*pageSize)|v&(pteP|pteW|pteUC|pteNX))
			}
			poke64(e, uint64(pt)|pteP|pteW)
		}
		pt := dmapBase + uintptr(peek64(e)&addrMask)
		poke64(pt+(a>>12&511)*8, uint64(a)|pteP|pteNX)
	}
}

// demandZero makes memory of the trimmed end of the image's bss, which was not
// loaded: a large buffer that few programs touch.
func demandZero() {
	if start, end := imageFact(abi.ImageTrimmed), imageFact(abi.ImageTrimmedEnd); start < end {
		setArea(start, roundUp(end), protRead|protWrite)
	}
}

// maskPICs silences the 8259s, whose interrupts would look like exceptions.
func maskPICs() {
	Out8(0x21, 0xff)
	Out8(0xa1, 0xff)
}

// The stack of thread 0, and what of it is mapped before it is touched.
const (
	stack0Size  = 256 << 10
	stack0Start = 32 << 10
)

// startThread0 makes the thread that begins at the runtime's entry point, with
// its stack laid out as at exec.
func startThread0(c *cpu) {
	setArea(privStack0+pageSize, privStack0+stack0Size, protRead|protWrite)
	mapNew(privStack0+stack0Size-stack0Start, privStack0+stack0Size)
	t := newThread()
	t.ip = symbols().goEntry
	t.sp = setupArgs(privStack0 + stack0Size)
	t.state = threadRunning
	t.onCPU = 1
	t.ranSince = nanotime()
	c.cur = t.addr()
	c.sliceEnd = nanotime() + slice
}

// argWriter lays out argc, argv, envp and auxv. Words go up from vec; strings,
// which are counted first, go above them.
type argWriter struct {
	vec, str uintptr
}

func (w *argWriter) word(v uintptr) {
	poke64(w.vec, uint64(v))
	w.vec += 8
}

func (w *argWriter) bytes(b []byte) {
	for _, c := range b {
		poke8(w.str, c)
		w.str++
	}
}

func (w *argWriter) end() {
	poke8(w.str, 0)
	w.str++
}

func (w *argWriter) text(s string) {
	for i := 0; i < len(s); i++ {
		poke8(w.str, s[i])
		w.str++
	}
}

// setupArgs returns the initial stack pointer.
func setupArgs(top uintptr) uintptr {
	size, words := manifestSize()
	w := argWriter{str: top - 4096 - size}
	w.vec = (w.str - words*8 - 512) &^ 15
	sp := w.vec
	w.word(0)
	argc := putRecords(&w, "arg")
	if argc == 0 {
		w.word(w.str)
		w.text("/app")
		w.end()
		argc = 1
	}
	argc += putCommandLine(&w)
	poke64(sp, uint64(argc))
	w.word(0)
	// The environment is the program's. A Linux program is not this one.
	if linuxPrograms || putRecords(&w, "env") == 0 {
		w.word(w.str)
		w.text("PATH=/bin")
		w.end()
	}
	if linuxPrograms || !hasEnv("GOMEMLIMIT") {
		w.word(w.str)
		w.text("GOMEMLIMIT=")
		w.decimal(memoryLimit())
		w.end()
	}
	w.word(0)
	const atPageSize, atRandom = 6, 25
	w.word(atPageSize)
	w.word(pageSize)
	w.word(atRandom)
	w.word(w.str)
	auxRandom(w.str)
	w.word(0)
	w.word(0)
	return sp
}

func (w *argWriter) decimal(n uintptr) {
	if n >= 10 {
		w.decimal(n / 10)
	}
	poke8(w.str, byte('0'+n%10))
	w.str++
}

// memoryLimit is what the Go heap may grow to: nine tenths of the memory that
// is free at start, so that the collector works harder before memory runs out.
func memoryLimit() uintptr { return (phys.total - phys.used) / 10 * 9 }

// manifest returns the manifest's records: the module's, else the image's.
func manifest() []byte {
	for i := len(bootData.archives) - 1; i >= 0; i-- {
		a := bootData.archives[i]
		if a.start == a.end {
			continue
		}
		e, _, ok, _ := abi.Next(bytesAt(dmapBase+a.start, int(a.end-a.start)))
		if ok && string(e.Name) == abi.ManifestName {
			return e.Data
		}
	}
	return nil
}

// manifestSize bounds the bytes and the words that its strings take.
func manifestSize() (size, words uintptr) {
	m := manifest()
	size = uintptr(len(m) + bootData.cmdlineLen + 256)
	words = 64 + uintptr(bootData.cmdlineLen)
	for {
		_, _, rest, ok := abi.NextRecord(m)
		if !ok {
			return size, words
		}
		words++
		m = rest
	}
}

// putRecords writes the values of all records with a key.
func putRecords(w *argWriter, key string) (n int) {
	m := manifest()
	for {
		k, v, rest, ok := abi.NextRecord(m)
		if !ok {
			return n
		}
		m = rest
		if string(k) == key {
			w.word(w.str)
			w.bytes(v)
			w.end()
			n++
		}
	}
}

// hasEnv reports whether the manifest sets an environment variable.
func hasEnv(name string) bool {
	m := manifest()
	for {
		k, v, rest, ok := abi.NextRecord(m)
		if !ok {
			return false
		}
		m = rest
		if string(k) == "env" && len(v) > len(name) && v[len(name)] == '=' && string(v[:len(name)]) == name {
			return true
		}
	}
}

// putCommandLine adds the words behind "--" on the kernel command line as
// arguments, for machines that are started by hand.
func putCommandLine(w *argWriter) (n int) {
	line := bootData.cmdline[:bootData.cmdlineLen]
	seen := false
	for i := 0; i < len(line); {
		for i < len(line) && line[i] == ' ' {
			i++
		}
		j := i
		for j < len(line) && line[j] != ' ' {
			j++
		}
		if word := line[i:j]; seen && i < j {
			w.word(w.str)
			w.bytes(word)
			w.end()
			n++
		} else if string(word) == "--" {
			seen = true
		}
		i = j
	}
	return n
}
