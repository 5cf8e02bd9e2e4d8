package devicetest

import "bytes"

// RNG is an entropy device. It answers each request with Next.
type RNG struct {
	*Virtio
	// Next fills p and returns how many bytes it says to have written.
	Next func(p []byte) int
}

// NewRNG returns an entropy device whose bytes are 1, 2, 3 ...
func NewRNG(m *Machine) *RNG {
	d := &RNG{Virtio: NewVirtio(m, 4, 8)}
	var last byte
	d.Next = func(p []byte) int {
		for i := range p {
			last++
			p[i] = last
		}
		return len(p)
	}
	d.notified = func(q int) {
		r := d.Ring(q)
		for c, ok := r.Pop(); ok; c, ok = r.Pop() {
			r.Push(c.Head, uint32(d.Next(c.Into[0])))
		}
		r.WantNotify(true)
		r.Flush()
	}
	return d
}

// Console is a console device with one port.
type Console struct {
	*Virtio
	Output bytes.Buffer // what the driver has written
	input  []byte       // what it has not read yet
}

// NewConsole returns a console device.
func NewConsole(m *Machine) *Console {
	d := &Console{Virtio: NewVirtio(m, 3, 32, 32)}
	d.notified = func(q int) {
		if q == 0 {
			d.feed()
			return
		}
		r := d.Ring(1)
		for c, ok := r.Pop(); ok; c, ok = r.Pop() {
			for _, b := range c.Read {
				d.Output.Write(b)
			}
			r.Push(c.Head, 0)
		}
		r.WantNotify(true)
		r.Flush()
	}
	return d
}

// Type is input for the driver.
func (d *Console) Type(s string) {
	d.Do(func() {
		d.input = append(d.input, s...)
		d.feed()
	})
}

func (d *Console) feed() {
	r := d.Ring(0)
	for len(d.input) > 0 {
		c, ok := r.Pop()
		if !ok {
			break
		}
		n := copy(c.Into[0], d.input)
		d.input = d.input[n:]
		r.Push(c.Head, uint32(n))
	}
	r.WantNotify(true)
	r.Flush()
}
