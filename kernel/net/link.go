package net

// The link endpoint joins a device.Net to the network stack.
//
// Upwards, one goroutine per receive queue takes frames in batches, copies
// each into a pooled buffer (the device's memory cannot be trusted to hold
// still), checks what the device has not checked, joins TCP segments that follow
// each other (gro.go) and hands them on. The stack is
// told that this NIC verifies checksums, because it knows only all or nothing;
// so frames that the device has not verified are verified in checksum.go.
//
// Downwards, the stack sees a NIC that takes TCP packets of up to 64 KiB. Where
// the device cannot split them, transmit.go does, and passes the pieces on in
// one batch.

import (
	"runtime"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"kiln/kernel/device"
)

const (
	etherLen = header.EthernetMinimumSize
	// receiveBatch is how many frames a receive goroutine takes at a time.
	receiveBatch = 64
	// maxFrame bounds what a device may deliver as one frame.
	maxFrame = etherLen + 65535
)

// link is a stack.LinkEndpoint, stack.GSOEndpoint and stack.QueueingDiscipline
// over a device.
type link struct {
	dev      device.Net
	batch    device.Batcher   // dev, if it can collect packets
	turner   device.NetTurner // dev, if its reader can let others run
	single   bool             // there is one CPU
	turning  atomic.Int32     // receivers that flush what is sent in their turn
	clock    *clock
	flows    *flowTable
	nic      tcpip.NICID
	path     *datagramPath // set before start
	offloads device.Offloads
	mac      tcpip.LinkAddress
	mtu      atomic.Uint32
	tx       []txQueue
	up       atomic.Pointer[dispatcher]
	// dhcp, when set, takes the frames for UDP port 68. It must not keep the
	// frame.
	dhcp    atomic.Pointer[func(frame []byte)]
	dropped atomic.Uint64 // frames with a bad checksum or that make no sense
	running sync.WaitGroup
}

type dispatcher struct{ stack.NetworkDispatcher }

func newLink(dev device.Net, nic tcpip.NICID, c *clock, flows *flowTable) *link {
	mac := dev.MAC()
	l := &link{dev: dev, nic: nic, clock: c, flows: flows, offloads: dev.Offloads(), mac: tcpip.LinkAddress(mac[:])}
	l.mtu.Store(uint32(dev.MTU()))
	l.tx = make([]txQueue, max(1, dev.Queues()))
	for i := range l.tx {
		l.tx[i].flushed = make(chan struct{}, 1)
	}
	l.batch, _ = dev.(device.Batcher)
	l.turner, _ = dev.(device.NetTurner)
	l.single = l.batch != nil && runtime.GOMAXPROCS(0) == 1
	return l
}

// start begins to receive.
func (l *link) start() {
	for q := range l.tx {
		l.running.Add(1)
		go l.receive(q)
		if l.single {
			go l.flushLoop(q)
		}
	}
}

// receive moves frames of queue q to the stack until the device is closed.
func (l *link) receive(q int) {
	defer l.running.Done()
	frames := make([]device.Frame, receiveBatch)
	u := &flusher{link: l, wake: make(chan struct{}, 1)}
	defer close(u.wake)
	go u.run()
	g := gro{flows: l.flows, path: l.path, due: u}
	for {
		n, err := l.dev.Receive(q, frames)
		l.clock.tick()
		up := l.up.Load()
		g.up = up
		for i := range frames[:n] {
			f := &frames[i]
			if up == nil {
				f.Release()
			} else if !g.join(f) {
				if v := l.copyIn(&g, f, n-1-i); v != nil {
					g.add(v, i == n-1, f.GSOSize != 0)
				}
			}
			frames[i] = device.Frame{}
		}
		g.flush()
		u.post()
		if err != nil {
			return
		}
		l.turn(q, u)
	}
}

// turn lets those run that have received something on queue q, and then sends
// what they have answered: so one notification of the device serves many, and the
// next frames are often there without an interrupt.
func (l *link) turn(q int, u *flusher) {
	if l.turner == nil {
		return
	}
	l.turning.Add(1)
	l.turner.Turn(q)
	l.turning.Add(-1)
	for i := range l.tx {
		// Who holds the lock may be waiting for room in the ring.
		if t := &l.tx[i]; l.batch != nil && t.mu.TryLock() {
			l.batch.Flush(i)
			t.mu.Unlock()
		} else if l.batch != nil {
			u.flush()
		}
	}
}

// copyIn copies a frame that left more follow in the batch into a view of g's,
// releases it, and checks the copy. It returns nil if there is nothing for the stack.
func (l *link) copyIn(g *gro, f *device.Frame, left int) *buffer.View {
	size := 0
	for _, d := range f.Data {
		size += len(d)
	}
	if size < etherLen || size > maxFrame {
		f.Release()
		l.dropped.Add(1)
		return nil
	}
	v := g.takeView(room(f, size, left))
	for _, d := range f.Data {
		v.Write(d)
	}
	f.Release()
	b := v.AsSlice()
	if take := l.dhcp.Load(); take != nil && isDHCP(b) {
		(*take)(b)
		g.recycle(v)
		return nil
	}
	if !validFrame(b, f.ChecksumGood || f.Partial) {
		g.recycle(v)
		l.dropped.Add(1)
		return nil
	}
	return v
}

// MTU implements stack.LinkEndpoint.
func (l *link) MTU() uint32 { return l.mtu.Load() }

// SetMTU implements stack.LinkEndpoint. It only lowers what the device gave.
func (l *link) SetMTU(mtu uint32) {
	if mtu >= header.IPv4MinimumMTU && mtu <= uint32(l.dev.MTU()) {
		l.mtu.Store(mtu)
	}
}

// MaxHeaderLength implements stack.LinkEndpoint.
func (l *link) MaxHeaderLength() uint16 { return etherLen }

// LinkAddress implements stack.LinkEndpoint.
func (l *link) LinkAddress() tcpip.LinkAddress { return l.mac }

// SetLinkAddress implements stack.LinkEndpoint. The address is the device's.
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.LinkEndpoint. Transmit checksum offload is not
// among them: TCP's is part of GSO, and a UDP datagram may be fragmented.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

// GSOMaxSize implements stack.GSOEndpoint.
func (l *link) GSOMaxSize() uint32 { return 65536 }

// SupportedGSO implements stack.GSOEndpoint.
func (l *link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// Attach implements stack.LinkEndpoint.
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.up.Store(nil)
		return
	}
	l.up.Store(&dispatcher{d})
}

// IsAttached implements stack.LinkEndpoint.
func (l *link) IsAttached() bool { return l.up.Load() != nil }

// Wait implements stack.LinkEndpoint.
func (l *link) Wait() { l.running.Wait() }

// Close implements stack.LinkEndpoint.
func (l *link) Close() { l.dev.Close() }

// SetOnCloseAction implements stack.LinkEndpoint.
func (l *link) SetOnCloseAction(func()) {}

// ARPHardwareType implements stack.LinkEndpoint.
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.LinkEndpoint.
func (l *link) AddHeader(pkt *stack.PacketBuffer) {
	eth := header.Ethernet(pkt.LinkHeader().Push(etherLen))
	copy(eth[0:6], pkt.EgressRoute.RemoteLinkAddress)
	copy(eth[6:12], l.mac)
	eth[12], eth[13] = byte(pkt.NetworkProtocolNumber>>8), byte(pkt.NetworkProtocolNumber)
}

// ParseHeader implements stack.LinkEndpoint.
func (l *link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(etherLen)
	return ok
}
