package virtiommio

// Slots on the kernel's command line, in the form that Linux understands
// (drivers/virtio/virtio_mmio.c) and that monitors without ACPI tables use:
//
//	virtio_mmio.device=<size>@<address>:<irq>[:<id>]
//
// The numbers are decimal, octal with 0 or hexadecimal with 0x; the size may end
// in K, M or G.

import (
	"errors"
	"strconv"
	"strings"
)

// Slot is a place where a device may be.
type Slot struct {
	Addr, Size uint64
	GSI        int // global system interrupt
}

const (
	slotWord = "virtio_mmio.device="
	// maxAddr bounds physical addresses: 52 bits on amd64.
	maxAddr = 1 << 52
	// maxSize bounds a window of registers.
	maxSize = 1 << 30
	maxGSI  = 1 << 16
)

// ParseSlots returns the slots of a command line. Words that make no sense are
// left out and reported by the error.
func ParseSlots(commandLine string) ([]Slot, error) {
	var slots []Slot
	var errs []error
	for word := range strings.FieldsSeq(commandLine) {
		v, ok := strings.CutPrefix(word, slotWord)
		if !ok {
			continue
		}
		s, ok := parseSlot(v)
		if !ok {
			errs = append(errs, errors.New("the kernel command line has a bad "+strconv.Quote(word)))
			continue
		}
		slots = append(slots, s)
	}
	return slots, errors.Join(errs...)
}

func parseSlot(v string) (s Slot, ok bool) {
	size, v, ok1 := strings.Cut(v, "@")
	addr, v, ok2 := strings.Cut(v, ":")
	irq, _, _ := strings.Cut(v, ":")
	var ok3, ok4, ok5 bool
	s.Size, ok3 = parseSize(size)
	s.Addr, ok4 = parseNumber(addr, maxAddr)
	gsi, ok5 := parseNumber(irq, maxGSI)
	s.GSI = int(gsi)
	return s, ok1 && ok2 && ok3 && ok4 && ok5 && s.Size > 0 && s.Addr%4 == 0
}

func parseSize(s string) (uint64, bool) {
	shift := 0
	if n := len(s); n > 0 {
		switch s[n-1] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
		if shift > 0 {
			s = s[:n-1]
		}
	}
	n, ok := parseNumber(s, maxSize>>shift)
	return n << shift, ok
}

func parseNumber(s string, limit uint64) (uint64, bool) {
	n, err := strconv.ParseUint(s, 0, 64)
	return n, err == nil && n <= limit
}
