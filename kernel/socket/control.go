package socket

// Control messages (cmsg(3)): a sequence of
//
//	length (8 bytes, includes this header), level (4), type (4), data
//
// each padded to a multiple of 8 bytes.

import "encoding/binary"

const controlHeader = 16

// NextControl splits the first control message off b. ok is false at the end
// and when what is left is malformed: then rest is not empty.
func NextControl(b []byte) (level, typ int, data, rest []byte, ok bool) {
	if len(b) < controlHeader {
		return 0, 0, nil, b, false
	}
	n := binary.LittleEndian.Uint64(b)
	if n < controlHeader || n > uint64(len(b)) {
		return 0, 0, nil, b, false
	}
	level = int(int32(binary.LittleEndian.Uint32(b[8:])))
	typ = int(int32(binary.LittleEndian.Uint32(b[12:])))
	next := min((n+7)&^7, uint64(len(b)))
	return level, typ, b[controlHeader:n:n], b[next:], true
}

// AppendControl appends a control message to b. It does not grow b: if the
// message does not fit in its capacity, ok is false and, as on Linux, as much
// of it as fits is there, if the header does.
func AppendControl(b []byte, level, typ int, data []byte) (out []byte, ok bool) {
	n := controlHeader + len(data)
	room := cap(b) - len(b)
	if room < controlHeader {
		return b, false
	}
	ok = n <= room
	n = min(n, room)
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	b = binary.LittleEndian.AppendUint32(b, uint32(level))
	b = binary.LittleEndian.AppendUint32(b, uint32(typ))
	b = append(b, data[:n-controlHeader]...)
	for i := n; i&7 != 0 && len(b) < cap(b); i++ {
		b = append(b, 0)
	}
	return b, ok
}
