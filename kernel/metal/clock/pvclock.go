package clock

import "sync/atomic"

// The paravirtual clock of KVM and Xen (Linux Documentation/virt/kvm/x86/msr.rst):
// the guest writes the physical address of a structure, plus 1 to enable it,
// into a model specific register, and the host keeps the structure up to date:
//
//	0   u32 version: odd while the host writes, another number afterwards
//	8   u64 TSC value of the moment described
//	16  u64 nanoseconds at that moment
//	24  u32 multiplier    ns = (ticks << shift) * multiplier >> 32
//	28  s8  shift         a negative one shifts to the right
//	29  u8  flags         bit 0: stable, the same on all CPUs
//
// The wall clock, written once for each write of its register, is the time of
// day at which the nanoseconds were 0: u32 version, u32 seconds, u32 nanoseconds.

// The registers, for hypervisors with [Hypervisor.KVMClock].
const (
	MSRWallClock   = 0x4b564d00
	MSRSystemClock = 0x4b564d01
)

// PVClock is a state of the paravirtual clock.
type PVClock struct {
	TSC        uint64
	SystemTime uint64
	Mul        uint32
	Shift      int8
	Stable     bool
}

const (
	pvclockWords = 8
	wallWords    = 3
	pvclockTries = 1000
)

// ReadPVClock reads the structure that the host shares in words; false: it is
// not in use, or is being rewritten all the time. The words are read
// atomically, as the host may write them meanwhile.
func ReadPVClock(words []uint32) (PVClock, bool) {
	if len(words) < pvclockWords {
		return PVClock{}, false
	}
	words = words[:pvclockWords]
	for range pvclockTries {
		version := atomic.LoadUint32(&words[0])
		if version&1 != 0 {
			continue
		}
		last := atomic.LoadUint32(&words[7])
		c := PVClock{
			TSC:        load64(&words[2], &words[3]),
			SystemTime: load64(&words[4], &words[5]),
			Mul:        atomic.LoadUint32(&words[6]),
			Shift:      int8(last),
			Stable:     last>>8&1 != 0,
		}
		if atomic.LoadUint32(&words[0]) == version {
			return c, version != 0 && c.Mul != 0
		}
	}
	return PVClock{}, false
}

// ReadWallClock reads the time of day, in nanoseconds since 1970, at which the
// paravirtual clock was 0.
func ReadWallClock(words []uint32) (unixNS uint64, ok bool) {
	if len(words) < wallWords {
		return 0, false
	}
	words = words[:wallWords]
	for range pvclockTries {
		version := atomic.LoadUint32(&words[0])
		if version&1 != 0 {
			continue
		}
		sec, nsec := atomic.LoadUint32(&words[1]), atomic.LoadUint32(&words[2])
		if atomic.LoadUint32(&words[0]) == version {
			return uint64(sec)*1e9 + uint64(nsec), version != 0 && nsec < 1e9
		}
	}
	return 0, false
}

func load64(low, high *uint32) uint64 {
	return uint64(atomic.LoadUint32(low)) | uint64(atomic.LoadUint32(high))<<32
}

// Clock returns the clock that goes on from this state. It holds for all CPUs
// and until the machine is suspended or moved if the state is Stable.
func (c PVClock) Clock() Clock {
	mul, shift := uint64(c.Mul), uint8(32-int(c.Shift))
	switch {
	case c.Shift > 32: // no host sets this, nor the next
		mul, shift = mul<<min(uint8(c.Shift)-32, 31), 0
	case shift > 63:
		mul, shift = mul>>min(shift-63, 32), 63
	}
	return Clock{c.TSC, c.SystemTime, Scale{mul, shift}}
}

// TSCHz returns the TSC's frequency, to which the host has set the multiplier.
func (c PVClock) TSCHz() uint64 {
	s := c.Clock().Scale
	if s.Mul == 0 {
		return 0
	}
	// 1e9 << Shift / Mul
	return mulDiv(1e9, 1<<s.Shift, s.Mul)
}
