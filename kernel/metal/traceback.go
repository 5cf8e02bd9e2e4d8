package metal

import "unsafe"

func addrOf(p *[2]uint64) uintptr { return uintptr(unsafe.Pointer(p)) }

// traceback prints the functions from ip outward, following frame pointers.
func traceback(port uint16, ip, bp uintptr) {
	for i := 0; i < 40 && ip != 0; i++ {
		putString(port, "  ")
		putHex(port, uint64(ip))
		putByte(port, ' ')
		putString(port, symbol(ip))
		putByte(port, '\n')
		if !readable(bp) || !readable(bp+8) {
			return
		}
		ip = uintptr(peek64(bp + 8))
		next := uintptr(peek64(bp))
		if next <= bp {
			return
		}
		bp = next
	}
}

// readable reports whether a word can be read without a fault.
func readable(a uintptr) bool {
	if a < dmapBase || a&7 != 0 {
		return false
	}
	for level := uint(4); level >= 1; level-- {
		p := pteAddr(a, level, false)
		if p == 0 {
			return false
		}
		v := peek64(p)
		if v&pteP == 0 {
			return false
		}
		if level < 4 && v&ptePS != 0 {
			return true
		}
	}
	return true
}
