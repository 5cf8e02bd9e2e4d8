package net

import (
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// collector notes the IP lengths and TCP payloads of what it is given.
type collector struct {
	lengths  []int
	payloads []string
	acks     []uint32
}

func (c *collector) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	v := pkt.Data().AsRange().ToSlice()
	ip := header.IPv4(v)
	c.lengths = append(c.lengths, int(ip.TotalLength()))
	c.payloads = append(c.payloads, string(v[40:]))
	c.acks = append(c.acks, header.TCP(v[20:]).AckNumber())
}

func (c *collector) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// tcpFrame is a received TCP segment from a port.
func tcpFrame(port uint16, seq uint32, flags header.TCPFlags, payload string) *stack.PacketBuffer {
	return ackFrame(port, seq, 9, flags, payload)
}

// ackFrame is tcpFrame with an acknowledgement number.
func ackFrame(port uint16, seq, ack uint32, flags header.TCPFlags, payload string) *stack.PacketBuffer {
	b := make([]byte, etherLen+40, 200)
	b = append(b, payload...)
	header.Ethernet(b).Encode(&header.EthernetFields{Type: header.IPv4ProtocolNumber})
	header.IPv4(b[etherLen:]).Encode(&header.IPv4Fields{TotalLength: uint16(len(b) - etherLen), TTL: 64, Protocol: 6})
	header.TCP(b[etherLen+20:]).Encode(&header.TCPFields{SrcPort: port, DstPort: 80, SeqNum: seq, AckNum: ack, DataOffset: 20, Flags: flags, WindowSize: 100})
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
	pkt.LinkHeader().Consume(etherLen)
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	return pkt
}

func TestGRO(t *testing.T) {
	const ack, psh, fin = header.TCPFlagAck, header.TCPFlagPsh, header.TCPFlagFin
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
		{"joined", []segment{{1, 0, ack, "aaaa"}, {1, 4, ack, "bbbb"}, {1, 8, ack | psh, "cc"}}, []string{"aaaabbbbcc"}},
		{"gap", []segment{{1, 0, ack, "aaaa"}, {1, 8, ack, "cccc"}, {1, 12, ack, "dddd"}}, []string{"aaaa", "ccccdddd"}},
		{"longer", []segment{{1, 0, ack, "aa"}, {1, 2, ack, "bbbb"}}, []string{"aa", "bbbb"}},
		{"two flows", []segment{{1, 0, ack, "aaaa"}, {2, 0, ack, "AAAA"}, {1, 4, ack, "bbbb"}, {2, 4, ack, "BBBB"}}, []string{"aaaabbbb", "AAAABBBB"}},
		{"fin after data", []segment{{1, 0, ack, "aaaa"}, {1, 4, ack | fin, "bb"}}, []string{"aaaa", "bb"}},
		{"bare ack after data", []segment{{1, 0, ack, "aaaa"}, {1, 4, ack, ""}}, []string{"aaaa", ""}},
		{"alone", []segment{{1, 0, ack | psh, "aaaa"}}, []string{"aaaa"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c collector
			g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
			for i, s := range tt.in {
				g.add(tcpFrame(s.port, s.seq, s.flags, s.data), i == len(tt.in)-1)
			}
			g.flush()
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
	t.Run("more flows than slots", func(t *testing.T) {
		var c collector
		g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
		for i := range 3 * groFlows {
			g.add(tcpFrame(uint16(i), 0, ack, "x"), false)
		}
		g.flush()
		if len(c.payloads) != 3*groFlows {
			t.Errorf("%d packets", len(c.payloads))
		}
	})
}

func TestGROAcks(t *testing.T) {
	var c collector
	g := gro{up: &dispatcher{&c}, flows: new(flowTable), due: new(flusher)}
	numbers := []uint32{10, 20, 20, 30, 40} // 20 twice: the receiver misses a segment
	for i, n := range numbers {
		g.add(ackFrame(1, 0, n, header.TCPFlagAck, ""), i == len(numbers)-1)
	}
	g.flush()
	if want := []uint32{20, 40}; !slices.Equal(c.acks, want) {
		t.Errorf("acknowledgements %d, want %d", c.acks, want)
	}
}
