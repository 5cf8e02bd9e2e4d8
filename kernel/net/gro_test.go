package net

import (
	"slices"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"kiln/kernel/device"
)

// collector notes the IP lengths and TCP payloads of what it is given.
type collector struct {
	lengths  []int
	payloads []string
	acks     []uint32
}

func (c *collector) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	v := pkt.Data().AsRange().ToSlice()
	if len(v) < 40 {
		return
	}
	ip := header.IPv4(v)
	c.lengths = append(c.lengths, int(ip.TotalLength()))
	c.payloads = append(c.payloads, string(v[40:]))
	c.acks = append(c.acks, header.TCP(v[20:]).AckNumber())
}

func (c *collector) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// tcpFrame is a received TCP segment from a port.
func tcpFrame(port uint16, seq uint32, flags header.TCPFlags, payload string) *device.Frame {
	return ackFrame(port, seq, 9, flags, payload)
}

// ackFrame is tcpFrame with an acknowledgement number.
func ackFrame(port uint16, seq, ack uint32, flags header.TCPFlags, payload string) *device.Frame {
	b := make([]byte, etherLen+40, 200)
	b = append(b, payload...)
	header.Ethernet(b).Encode(&header.EthernetFields{Type: header.IPv4ProtocolNumber})
	ip := header.IPv4(b[etherLen:])
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(b) - etherLen), TTL: 64, Protocol: 6})
	ip.SetChecksum(^ip.CalculateChecksum())
	header.TCP(b[etherLen+20:]).Encode(&header.TCPFields{SrcPort: port, DstPort: 80, SeqNum: seq, AckNum: ack, DataOffset: 20, Flags: flags, WindowSize: 100})
	return &device.Frame{Data: [][]byte{b}, ChecksumGood: true, Release: func() {}}
}

// batch hands frames to g as a link does.
func batch(t *testing.T, g *gro, frames []*device.Frame) {
	var l link
	for i, f := range frames {
		if !g.join(f) {
			v := l.copyIn(g, f, len(frames)-1-i)
			if v == nil {
				t.Fatalf("frame %d is not valid", i)
			}
			g.add(v, i == len(frames)-1, false)
		}
	}
	g.flush()
}

func TestGRO(t *testing.T) {
	const ack, psh, fin = header.TCPFlagAck, header.TCPFlagPsh, header.TCPFlagFin
	full := func(c string) string { return strings.Repeat(c, groSegment) }
	type segment struct {
		port  uint16
		seq   uint32
		flags header.TCPFlags
		data  string
	}
	for _, tt := range []struct {
		name string
		in   []segment
		want []string
	}{
		{"joined", []segment{{1, 0, ack, full("a")}, {1, 500, ack, full("b")}, {1, 1000, ack | psh, "cc"}}, []string{full("a") + full("b") + "cc"}},
		{"gap", []segment{{1, 0, ack, full("a")}, {1, 1000, ack, full("c")}, {1, 1500, ack, full("d")}}, []string{full("a"), full("c") + full("d")}},
		{"longer", []segment{{1, 0, ack, "aa"}, {1, 2, ack, "bbbb"}}, []string{"aa", "bbbb"}},
		{"two flows", []segment{{1, 0, ack, full("a")}, {2, 0, ack, full("A")}, {1, 500, ack, full("b")}, {2, 500, ack, full("B")}}, []string{full("a") + full("b"), full("A") + full("B")}},
		{"fin after data", []segment{{1, 0, ack, full("a")}, {1, 500, ack | fin, "bb"}}, []string{full("a"), "bb"}},
		{"bare ack after data", []segment{{1, 0, ack, full("a")}, {1, 500, ack, ""}}, []string{full("a"), ""}},
		{"alone", []segment{{1, 0, ack | psh, "aaaa"}}, []string{"aaaa"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c collector
			g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
			var frames []*device.Frame
			for _, s := range tt.in {
				frames = append(frames, tcpFrame(s.port, s.seq, s.flags, s.data))
			}
			batch(t, &g, frames)
			if len(c.payloads) != len(tt.want) {
				t.Fatalf("delivered %q, want %q", c.payloads, tt.want)
			}
			for i, want := range tt.want {
				if c.payloads[i] != want || c.lengths[i] != 40+len(want) {
					t.Errorf("packet %d: %q of length %d, want %q", i, c.payloads[i], c.lengths[i], want)
				}
			}
		})
	}
	t.Run("more than has room", func(t *testing.T) {
		var c collector
		g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
		var frames []*device.Frame
		all := ""
		for i := range 3 * groRoom / groSegment {
			frames = append(frames, tcpFrame(1, uint32(i*groSegment), ack, full(string(rune('a'+i%26)))))
			all += full(string(rune('a' + i%26)))
		}
		batch(t, &g, frames)
		if got := strings.Join(c.payloads, ""); got != all || len(c.payloads) > 4 {
			t.Errorf("%d packets, the payload is right: %t", len(c.payloads), got == all)
		}
	})
	t.Run("more flows than slots", func(t *testing.T) {
		var c collector
		g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
		var frames []*device.Frame
		for i := range 3 * groFlows {
			frames = append(frames, tcpFrame(uint16(i), 0, ack, "x"))
		}
		batch(t, &g, frames)
		if len(c.payloads) != 3*groFlows {
			t.Errorf("%d packets", len(c.payloads))
		}
	})
	t.Run("damaged", func(t *testing.T) {
		var c collector
		g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
		first, second := tcpFrame(1, 0, ack, full("a")), tcpFrame(1, groSegment, ack, full("b"))
		var l link
		g.add(l.copyIn(&g, first, 5), false, false)
		second.ChecksumGood = false // and so it is not: nobody has filled it in
		if g.join(second) {
			t.Error("a segment with a wrong checksum is joined")
		}
		g.flush()
		if len(c.payloads) != 1 || c.payloads[0] != full("a") {
			t.Errorf("delivered %q", c.payloads)
		}
	})
}

func TestGROAcks(t *testing.T) {
	var c collector
	g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
	var frames []*device.Frame
	for _, n := range []uint32{10, 20, 20, 30, 40} { // 20 twice: the receiver misses a segment
		frames = append(frames, ackFrame(1, 0, n, header.TCPFlagAck, ""))
	}
	batch(t, &g, frames)
	if want := []uint32{20, 40}; !slices.Equal(c.acks, want) {
		t.Errorf("acknowledgements %d, want %d", c.acks, want)
	}
}

// FuzzGRO: no two frames, one after the other, lead out of a buffer's bounds.
func FuzzGRO(f *testing.F) {
	for _, s := range []string{"a", "bb"} {
		f.Add(tcpFrame(1, 0, header.TCPFlagAck, s).Data[0], tcpFrame(1, uint32(len(s)), header.TCPFlagAck, s).Data[0])
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var c collector
		g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
		var l link
		for i, data := range [][]byte{a, b} {
			fr := &device.Frame{Data: [][]byte{data}, ChecksumGood: true, Release: func() {}}
			if len(data) > maxFrame || g.join(fr) {
				continue
			}
			if v := l.copyIn(&gro{}, fr, 1-i); v != nil {
				g.add(v, i == 1, false)
			}
		}
		g.flush()
	})
}
