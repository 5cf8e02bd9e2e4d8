package socket

// Socket addresses in the form that system calls carry (sockaddr(3type)): a
// 16-bit family in the CPU's byte order, then by family
//
//	AF_INET     port (big endian), 4 bytes of address, 8 unused
//	AF_INET6    port (big endian), flow information (4, big endian), 16 bytes
//	            of address, scope (interface index, 4)
//	AF_UNIX     a path: up to 108 bytes, ended by NUL or by the length; if the
//	            first byte is NUL, an abstract name of exactly that length;
//	            none for a socket without a name
//	AF_NETLINK  2 unused, port ID (4), group mask (4)
//
// The architectures that Kiln knows are all little endian.

import (
	"encoding/binary"
	"syscall"
)

// Addr is a socket's address of any family. It is comparable; the zero Addr is
// no address.
type Addr struct {
	Family int
	IP     [16]byte // AF_INET: the first 4 bytes
	Port   uint16
	Flow   uint32
	Scope  uint32 // AF_INET6: interface index
	Path   string // AF_UNIX: path, or abstract name that begins with NUL
	ID     uint32 // AF_NETLINK: port ID
	Groups uint32 // AF_NETLINK: multicast groups
}

// Lengths of encoded addresses.
const (
	lenInet    = 16
	lenInet6   = 28
	minInet6   = 24 // RFC 2133 had no scope; Linux still takes it
	lenNetlink = 12
	maxPath    = 108
	// MaxAddr is the longest encoding of an Addr.
	MaxAddr = 2 + maxPath + 1
)

// ParseAddr decodes b, which is what the program passed. An address of a
// family that is not known here has only its Family set: the socket decides
// what that means. EINVAL: it is too short or too long.
func ParseAddr(b []byte) (Addr, error) {
	if len(b) < 2 || len(b) > 128 {
		return Addr{}, syscall.EINVAL
	}
	a := Addr{Family: int(binary.LittleEndian.Uint16(b))}
	switch a.Family {
	case syscall.AF_INET:
		if len(b) < lenInet {
			return Addr{}, syscall.EINVAL
		}
		a.Port = binary.BigEndian.Uint16(b[2:])
		copy(a.IP[:4], b[4:8])
	case syscall.AF_INET6:
		if len(b) < minInet6 {
			return Addr{}, syscall.EINVAL
		}
		a.Port = binary.BigEndian.Uint16(b[2:])
		a.Flow = binary.BigEndian.Uint32(b[4:])
		copy(a.IP[:], b[8:24])
		if len(b) >= lenInet6 {
			a.Scope = binary.LittleEndian.Uint32(b[24:])
		}
	case syscall.AF_UNIX:
		if len(b) > 2+maxPath {
			return Addr{}, syscall.EINVAL
		}
		a.Path = unixPath(b[2:])
	case syscall.AF_NETLINK:
		if len(b) < lenNetlink {
			return Addr{}, syscall.EINVAL
		}
		a.ID = binary.LittleEndian.Uint32(b[4:])
		a.Groups = binary.LittleEndian.Uint32(b[8:])
	}
	return a, nil
}

// unixPath cuts a path at its NUL; an abstract name keeps all its bytes.
func unixPath(b []byte) string {
	if len(b) > 0 && b[0] != 0 {
		for i, c := range b {
			if c == 0 {
				b = b[:i]
				break
			}
		}
	}
	return string(b)
}

// AppendTo appends the encoding of a to b. The zero Addr appends nothing.
func (a Addr) AppendTo(b []byte) []byte {
	if a.Family == 0 {
		return b
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(a.Family))
	switch a.Family {
	case syscall.AF_INET:
		b = binary.BigEndian.AppendUint16(b, a.Port)
		b = append(b, a.IP[:4]...)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	case syscall.AF_INET6:
		b = binary.BigEndian.AppendUint16(b, a.Port)
		b = binary.BigEndian.AppendUint32(b, a.Flow)
		b = append(b, a.IP[:]...)
		b = binary.LittleEndian.AppendUint32(b, a.Scope)
	case syscall.AF_UNIX:
		b = append(b, a.Path...)
		if a.Path != "" && a.Path[0] != 0 {
			b = append(b, 0)
		}
	case syscall.AF_NETLINK:
		b = append(b, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, a.ID)
		b = binary.LittleEndian.AppendUint32(b, a.Groups)
	}
	return b
}
