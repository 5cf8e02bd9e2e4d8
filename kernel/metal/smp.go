package metal

import (
	"sync/atomic"

	"kiln/kernel/metal/acpi"
)

// Application processors: found in ACPI's MADT, or on QEMU machines without
// ACPI by asking the firmware configuration device; started by INIT and SIPI.

var (
	firmware acpi.Info
	haveACPI bool

	found  [maxCPU]uint32 // APIC IDs of the usable CPUs; the first is this one
	nfound uint32
)

// readFirmware reads the ACPI tables, if there are any.
func readFirmware() {
	rsdp := bootData.rsdp
	if rsdp == 0 {
		rsdp = acpi.FindRSDP(physBytes)
	}
	haveACPI = rsdp != 0 && acpi.Read(&firmware, physBytes, rsdp) == acpi.OK
}

// findCPUs fills found and the table of I/O APICs.
func findCPUs() {
	found[0], nfound = thisCPU().apicID, 1
	if haveACPI && firmware.HaveMADT {
		for i := 0; i < firmware.NumCPUs; i++ {
			addCPU(firmware.CPUs[i].APICID)
		}
		for i := 0; i < firmware.NumIOAPICs; i++ {
			addIOAPIC(uintptr(firmware.IOAPICs[i].Addr), firmware.IOAPICs[i].GSIBase)
		}
		return
	}
	for i := uint32(0); i < qemuCPUs(); i++ {
		addCPU(i)
	}
	// Where a PC has them; a place without one reads as all ones.
	addIOAPIC(0xfec00000, 0)
	addIOAPIC(0xfec10000, 24)
}

func addCPU(id uint32) {
	if id != found[0] && nfound < maxCPU {
		found[nfound] = id
		nfound++
	}
}

// qemuCPUs reads the number of CPUs from fw_cfg (QEMU docs/specs/fw_cfg.rst).
func qemuCPUs() uint32 {
	const sel, data, signature, nbCPUs = 0x510, 0x511, 0, 5
	Out16(sel, signature)
	if In8(data) != 'Q' || In8(data) != 'E' || In8(data) != 'M' || In8(data) != 'U' {
		return 1
	}
	Out16(sel, nbCPUs)
	return uint32(In8(data)) | uint32(In8(data))<<8
}

// Words of the trampoline's page, see asm/ap16.S.
const (
	apCR3     = apStart + 0xfe8
	apTarget  = apStart + 0xff0
	apCounter = apStart + 0xff8
)

// startCPUs starts the application processors and waits for them to arrive.
// They come up with page tables in which the trampoline is mapped where it
// stands, and change to the kernel's at once.
func startCPUs() {
	if nfound == 1 {
		return
	}
	for i := uintptr(1); i < uintptr(nfound); i++ {
		newCPU(i)
	}
	for i := 0; i < len(apCode); i++ {
		poke8(dmapBase+apStart+uintptr(i), apCode[i])
	}
	poke64(dmapBase+apCR3, uint64(trampolineTables()))
	poke64(dmapBase+apTarget, uint64(symbols().ap))
	poke32(dmapBase+apCounter, 1)
	const assertInit, startup = 0x4500, 0x4600
	for i := uint32(1); i < nfound; i++ {
		sendICR(found[i], assertInit)
	}
	delay(100_000)
	for try := 0; try < 2 && arrived() < nfound; try++ {
		for i := uint32(1); i < nfound; i++ {
			sendICR(found[i], startup|apStart>>12)
		}
		for end := nanotime() + 200_000_000; arrived() < nfound && nanotime() < end; {
			pause()
		}
	}
	// A CPU that did not arrive is left out; its block stays unused.
	n := min(arrived(), nfound)
	for i := uintptr(1); i < uintptr(n); i++ {
		for atomic.LoadUint32(&cpuAt(i).ready) == 0 {
			pause()
		}
	}
	atomic.StoreUint32(&ncpu, n)
}

func arrived() uint32 { return atomicLoad32(dmapBase + apCounter) }

// trampolineTables returns page tables like the kernel's in which the first
// 2 MiB are also mapped at 0, executable.
func trampolineTables() uintptr {
	pml4, pdpt, pd := allocPage(), allocPage(), allocPage()
	copyWords(dmapBase+pml4, dmapBase+bootTables, pageSize)
	poke64(dmapBase+pml4, uint64(pdpt)|pteP|pteW)
	poke64(dmapBase+pdpt, uint64(pd)|pteP|pteW)
	poke64(dmapBase+pd, pteP|pteW|ptePS)
	return pml4
}

// apMain is where an application processor enters Go; a is its block. It may
// take work only when CPU 0 counts it in.
func apMain(a uintptr) {
	loadCR3(bootTables)
	c := cpuAt((a - privCPUs) / cpuStride)
	c.load()
	c.setupAPIC()
	atomic.StoreUint32(&c.ready, 1)
	for atomic.LoadUint32(&ncpu) <= uint32(c.id) {
		pause()
	}
	resume(c)
}
