package pci

// Scan returns all functions, those behind bridges included, in the order of
// the walk: bus 0 from device 0 on, each bridge followed by the bus behind it.
// A bus is walked once, whatever the bridges say.
func Scan(a Access) []*Function {
	s := scan{access: a}
	s.bus(0)
	return s.found
}

type scan struct {
	access Access
	seen   [256]bool // buses
	found  []*Function
}

func (s *scan) bus(bus int) {
	if s.seen[bus] {
		return
	}
	s.seen[bus] = true
	for dev := range 32 {
		functions := 1
		for fn := 0; fn < functions; fn++ {
			f, multiple := s.function(NewAddress(bus, dev, fn))
			if multiple {
				functions = 8
			}
			if f == nil {
				continue
			}
			s.found = append(s.found, f)
			if f.header == headerBridge {
				s.bus(int(f.Read32(regBusNumbers) >> 8 & 0xff))
			}
		}
	}
}

// function returns the function at a, if there is one, and whether its device
// has several.
func (s *scan) function(a Address) (f *Function, multiple bool) {
	id := s.access.Read32(a, regID)
	if id&0xffff == noVendor || id == 0 {
		return nil, false
	}
	header := uint8(s.access.Read32(a, regHeader) >> 16)
	f = &Function{
		Address: a,
		Vendor:  uint16(id),
		Device:  uint16(id >> 16),
		Class:   s.access.Read32(a, regClass) >> 8,
		header:  header &^ headerMultiple,
		access:  s.access,
	}
	if f.header == 0 {
		f.Subsystem = uint16(s.access.Read32(a, regSubsystem) >> 16)
	}
	return f, header&headerMultiple != 0
}
