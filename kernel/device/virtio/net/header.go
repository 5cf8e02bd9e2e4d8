package net

import (
	"encoding/binary"

	"kiln/kernel/device"
)

// Each frame has a header before it (section 5.1.6):
//
//	00 flags u8       1: checksum to be filled in, 2: checksum is good
//	01 gso_type u8    0: none, 1: TCP/IPv4, 4: TCP/IPv6; 0x80: with ECN
//	02 hdr_len u16    length of all headers, for gso_type != 0
//	04 gso_size u16   payload of one segment
//	06 csum_start u16, 08 csum_offset u16
//	0a num_buffers u16  of received frames: how many buffers they fill
const headerLen = 12

const (
	flagNeedsChecksum = 1
	flagDataValid     = 2

	gsoNone = 0
	gsoTCP4 = 1
	gsoTCP6 = 4
	gsoECN  = 0x80
)

var le = binary.LittleEndian

// putHeader writes the header of a packet to send.
func putHeader(h []byte, p *device.Packet) {
	clear(h[:headerLen])
	if p.ChecksumStart != 0 {
		h[0] = flagNeedsChecksum
		le.PutUint16(h[6:], uint16(p.ChecksumStart))
		le.PutUint16(h[8:], uint16(p.ChecksumOffset))
	}
	if p.GSOSize != 0 {
		h[1] = gsoTCP4
		if p.GSOv6 {
			h[1] = gsoTCP6
		}
		le.PutUint16(h[2:], uint16(p.HeaderLen))
		le.PutUint16(h[4:], uint16(p.GSOSize))
	}
}

// receivable is what a header of a received frame may say.
type receivable struct{ checksum, tcp4, tcp6 bool }

// parse takes over what header h says about a frame of n bytes. It reports
// false if the header makes no sense. Of a device that was not allowed to leave
// checksums to the driver nothing about checksums is believed.
func (r receivable) parse(h *[headerLen]byte, f *device.Frame, n int) bool {
	if r.checksum {
		f.ChecksumGood = h[0]&flagDataValid != 0
		f.Partial = h[0]&flagNeedsChecksum != 0
		start, off := int(le.Uint16(h[6:])), int(le.Uint16(h[8:]))
		if f.Partial && (start < etherLen || start+off+2 > n) {
			return false
		}
	}
	size := int(le.Uint16(h[4:]))
	switch h[1] &^ gsoECN {
	case gsoNone:
		return h[1] == gsoNone
	case gsoTCP4:
		f.GSOSize = size
		return r.tcp4 && size > 0
	case gsoTCP6:
		f.GSOSize = size
		return r.tcp6 && size > 0
	}
	return false
}
