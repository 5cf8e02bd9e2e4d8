package metal

import "unsafe"

// The local APIC (Intel SDM volume 3, chapter 11), as xAPIC (memory-mapped) or
// x2APIC (MSRs), and the I/O APICs.

// Local APIC registers, as offsets of the xAPIC; the x2APIC has them at MSR
// 0x800 + offset/16.
const (
	apicID       = 0x20
	apicTPR      = 0x80
	apicEOI      = 0xb0
	apicSpurious = 0xf0
	apicICR      = 0x300
	apicICRHigh  = 0x310
	apicTimer    = 0x320
	apicLINT0    = 0x350
	apicLINT1    = 0x360
	apicInitial  = 0x380
	apicCurrent  = 0x390
	apicDivide   = 0x3e0
)

var apic struct {
	x2       bool
	deadline bool    // the timer takes a TSC value (TSC-deadline mode)
	base     uintptr // of the registers, in the direct map
	hz       uint64  // of the timer, after division
}

const apicDivider = 16

func apicRead(r uintptr) uint32 {
	if apic.x2 {
		return uint32(rdmsr(uint32(msrX2APIC + r>>4)))
	}
	return *(*uint32)(unsafe.Pointer(apic.base + r))
}

func apicWrite(r uintptr, v uint32) {
	if apic.x2 {
		wrmsr(uint32(msrX2APIC+r>>4), uintptr(v))
		return
	}
	*(*uint32)(unsafe.Pointer(apic.base + r)) = v
}

// detectAPIC runs once, on the first CPU.
func detectAPIC() {
	_, _, ecx, _ := cpuid(1, 0)
	apic.x2 = ecx&(1<<21) != 0
	apic.deadline = ecx&(1<<24) != 0
	apic.base = dmapBase + rdmsr(msrAPICBase)&addrMask
	if apic.x2 {
		mark("x2APIC")
	}
	if apic.deadline {
		mark("TSC deadline")
	}
}

// setupAPIC turns this CPU's local APIC on, its timer armed by setTimer.
func (c *cpu) setupAPIC() {
	if apic.x2 {
		wrmsr(msrAPICBase, rdmsr(msrAPICBase)|1<<11|1<<10)
	}
	mode := uint32(0) // one-shot
	if apic.deadline {
		mode = 2 << 17
	}
	for _, w := range [...]struct {
		reg uintptr
		v   uint32
	}{
		{apicSpurious, 0x100 | vecSpurious},
		{apicTPR, 0},
		{apicDivide, 3}, // by 16
		{apicTimer, mode | vecTimer},
		{apicLINT0, 1 << 16},
		{apicLINT1, 4 << 8}, // NMI
	} {
		apicWrite(w.reg, w.v)
	}
	c.apicID = apicRead(apicID)
	if !apic.x2 {
		c.apicID >>= 24
	}
}

func endOfInterrupt() { apicWrite(apicEOI, 0) }

// sendICR sends an interprocessor command to the CPU with APIC ID dest. That CPU
// sees what this one has stored before: writes to an xAPIC are uncached, but
// those to an x2APIC do not wait for stores (Intel SDM volume 3, 11.12.3).
func sendICR(dest uint32, cmd uint32) {
	if apic.x2 {
		Fence()
		wrmsr(msrX2APIC+apicICR>>4, uintptr(dest)<<32|uintptr(cmd))
		return
	}
	apicWrite(apicICRHigh, dest<<24)
	apicWrite(apicICR, cmd)
	for apicRead(apicICR)&(1<<12) != 0 {
		pause()
	}
}

func sendIPI(c *cpu, vector uint32) { sendICR(c.apicID, 0x4000|vector) }

// setTimer arms this CPU's timer interrupt for a time on the monotonic clock; 0
// turns it off. A time that is too far off comes early.
func setTimer(deadline uint64) {
	if apic.deadline {
		tsc := uintptr(0)
		if deadline != 0 {
			tsc = uintptr(tscAt(deadline))
		}
		wrmsr(msrTSCDeadline, tsc)
		return
	}
	n := uint64(0)
	if deadline != 0 {
		delta := min(deadline-min(deadline, nanotime()), 60_000_000_000)
		n = max(delta*(apic.hz>>8)/(1_000_000_000>>8), 1)
	}
	apicWrite(apicInitial, uint32(min(n, 0xffffffff)))
}

// --- I/O APICs ---

type ioapic struct {
	base uintptr
	gsi  uint32 // its first input
	n    uint32
}

var ioapics [8]ioapic
var nioapic int

func addIOAPIC(phys uintptr, gsi uint32) {
	if nioapic == len(ioapics) {
		return
	}
	io := ioapic{base: dmapBase + phys, gsi: gsi}
	version := io.read(1)
	if io.n = version>>16&0xff + 1; version == 0 || io.n > 240 {
		return // nothing there
	}
	ioapics[nioapic] = io
	nioapic++
}

func (io *ioapic) read(r uint32) uint32 {
	*(*uint32)(unsafe.Pointer(io.base)) = r
	return *(*uint32)(unsafe.Pointer(io.base + 16))
}

func (io *ioapic) write(r, v uint32) {
	*(*uint32)(unsafe.Pointer(io.base)) = r
	*(*uint32)(unsafe.Pointer(io.base + 16)) = v
}

// routeGSI connects global system interrupt gsi to a vector on CPU c.
func routeGSI(gsi uint32, vector uint32, c *cpu, level, low bool) bool {
	for i := 0; i < nioapic; i++ {
		io := &ioapics[i]
		if gsi < io.gsi || gsi >= io.gsi+io.n {
			continue
		}
		pin := gsi - io.gsi
		v := vector
		if level {
			v |= 1 << 15
		}
		if low {
			v |= 1 << 13
		}
		io.write(0x11+2*pin, c.apicID<<24)
		io.write(0x10+2*pin, v)
		return true
	}
	return false
}
