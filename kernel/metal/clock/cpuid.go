package clock

// CPUID executes the CPUID instruction.
type CPUID func(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// Kind is the kind of a hypervisor.
type Kind uint8

const (
	Bare  Kind = iota // none that shows itself
	Other             // one that is not known here
	KVM
	TCG // QEMU without acceleration
	HyperV
	VMware
	Xen
)

// Hypervisor is what a hypervisor tells about itself and its clocks.
type Hypervisor struct {
	Kind Kind

	KVMClock       bool // the paravirtual clock with MSRSystemClock
	KVMClockStable bool // its state is the same for all CPUs: check PVClock.Stable too

	TSCHz  uint64 // 0: not told
	APICHz uint64 // of the local APIC timer, divided by 1; 0: not told
}

// Detect asks the hypervisor. Its leaves begin at 0x40000000, or at a later
// multiple of 0x100 if it also plays another one:
//
//	base       highest leaf; EBX, ECX, EDX the signature
//	base+1     KVM: EAX features, bit 3 clock, bit 24 stable clock
//	base+0x10  KVM, VMware: EAX TSC kHz, EBX APIC bus kHz
func Detect(cpuid CPUID) Hypervisor {
	var h Hypervisor
	if _, _, ecx, _ := cpuid(1, 0); ecx>>31 == 0 {
		return h
	}
	h.Kind = Other
	for base := uint32(0x40000000); base < 0x40000400; base += 0x100 {
		top, ebx, ecx, edx := cpuid(base, 0)
		kind := signature(ebx, ecx, edx)
		if kind == Other {
			continue
		}
		if h.Kind == Other || kind == KVM {
			h.Kind = kind
		}
		if kind == KVM {
			features, _, _, _ := cpuid(base+1, 0)
			h.KVMClock = features>>3&1 != 0
			h.KVMClockStable = features>>24&1 != 0
		}
		if (kind == KVM || kind == VMware) && top >= base+0x10 && top < base+0x100 {
			tsc, bus, _, _ := cpuid(base+0x10, 0)
			h.TSCHz, h.APICHz = uint64(tsc)*1000, uint64(bus)*1000
		}
	}
	if h.Kind == TCG {
		// QEMU's own APIC counts nanoseconds of virtual time.
		h.APICHz = 1e9
	}
	return h
}

// signature knows the 12 letters in EBX, ECX, EDX.
func signature(ebx, ecx, edx uint32) Kind {
	is := func(s string) bool {
		return ebx == letters(s, 0) && ecx == letters(s, 4) && edx == letters(s, 8)
	}
	switch {
	case is("KVMKVMKVM\x00\x00\x00"):
		return KVM
	case is("TCGTCGTCGTCG"):
		return TCG
	case is("Microsoft Hv"):
		return HyperV
	case is("VMwareVMware"):
		return VMware
	case is("XenVMMXenVMM"):
		return Xen
	}
	return Other
}

func letters(s string, at int) uint32 {
	if at < 0 || at > len(s)-4 {
		return 0
	}
	s = s[at : at+4]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// TSCHz returns the TSC's frequency as the processor states it (Intel SDM 2A,
// CPUID leaves 15H and 16H); 0: it does not. It is nominal, not exact, if it
// derives from the base frequency in leaf 16H because the crystal's is not
// told.
func TSCHz(cpuid CPUID) (hz uint64, exact bool) {
	top, _, _, _ := cpuid(0, 0)
	if top < 0x15 {
		return 0, false
	}
	denominator, numerator, crystal, _ := cpuid(0x15, 0)
	if denominator == 0 || numerator == 0 {
		return 0, false
	}
	if crystal != 0 {
		return mulDiv(uint64(crystal), uint64(numerator), uint64(denominator)), true
	}
	if top < 0x16 {
		return 0, false
	}
	mhz, _, _, _ := cpuid(0x16, 0)
	return uint64(mhz&0xffff) * 1e6, false
}
