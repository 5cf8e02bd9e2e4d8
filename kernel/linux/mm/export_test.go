package mm

import "fmt"

// Check looks whether everything that must hold of s does.
func (s *Space) Check() error {
	s.lock()
	defer s.unlock()
	var (
		u     usage
		prev  *vma
		n     int
		pages int
		refs  = make(map[*object]int)
	)
	for ci, c := range s.vmas.chunks {
		if len(c.list) == 0 || len(c.list) > chunkSize {
			return fmt.Errorf("chunk of %d", len(c.list))
		}
		if c.known {
			had := c.gap
			c.known = false
			if s.vmas.room(ci) != had {
				return fmt.Errorf("chunk %d: room %#x, remembered %#x", ci, c.gap, had)
			}
		}
		for _, v := range c.list {
			if v.start >= v.end || (v.start|v.end|v.off)&pageMask != 0 || v.start < Low || v.end > High {
				return fmt.Errorf("vma %#x-%#x", v.start, v.end)
			}
			if prev != nil && prev.end > v.start {
				return fmt.Errorf("%#x-%#x overlaps %#x", prev.start, prev.end, v.start)
			}
			if prev != nil && prev.joins(v) {
				return fmt.Errorf("%#x-%#x is not joined", prev.start, prev.end)
			}
			if got := s.vmas.find(v.start); got != v {
				return fmt.Errorf("find %#x: %v", v.start, got)
			}
			u.add(v, v.size())
			count := s.pages.Count(v.start, v.size())
			pages += count
			if count > 0 {
				for a := v.start; a < v.end; a += PageSize {
					want := v.prot.hardware()
					switch k, _ := s.pages.Kind(a); {
					case k == Still:
						want &^= ProtWrite
					case k == Guard && v.guards:
						want = 0
					}
					if f, prot, ok := s.pages.Mapped(a); ok && prot != want {
						return fmt.Errorf("page %#x (%#x) has rights %d, vma %d", a, f, prot, v.prot)
					}
				}
			}
			if v.obj != nil {
				refs[v.obj]++
				if !v.obj.fixed && s.memory == nil {
					return fmt.Errorf("object without memory")
				}
			}
			prev = v
			n++
		}
	}
	for o, n := range refs {
		if o.refs != n {
			return fmt.Errorf("object %d: %d references, counted %d", o.id, o.refs, n)
		}
		if o.mapper != nil && s.objects[o.mapper] != o {
			return fmt.Errorf("object %d is not known", o.id)
		}
	}
	u.peak = s.usage.peak
	resident := 0
	for k := range s.resident {
		resident += int(s.resident[k].Load())
	}
	switch {
	case n != s.vmas.n:
		return fmt.Errorf("%d vmas, counted %d", s.vmas.n, n)
	case u != s.usage:
		return fmt.Errorf("usage %+v, counted %+v", s.usage, u)
	case s.pages.Count(0, High) != pages:
		return fmt.Errorf("%d pages mapped, %d of them in vmas", s.pages.Count(0, High), pages)
	case pages != resident:
		return fmt.Errorf("%d pages resident, counted %d", resident, pages)
	}
	return nil
}
