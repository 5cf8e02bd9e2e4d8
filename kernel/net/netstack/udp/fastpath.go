//go:build kiln_netstack

// Package udp is an addition to gVisor's package of this name: when a kernel is
// built, this file is put beside gVisor's, and only there does it compile. It puts
// a datagram into the queue of an endpoint past the layers below. The queue is
// gVisor's, and so is all else: reading, peeking, limits, shutting down.
//
// kernel/net finds the method by type assertion. So its parameters are of types
// that it can name, and without this file it does without it.
package udp

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"
)

// pooledPacket is a udpPacket that goes back to its pool when its data is
// released, which is the last that a reader does with it.
type pooledPacket struct {
	udpPacket
	release func()
}

func newPooledPacket(pool *sync.Pool) *pooledPacket {
	if p, ok := pool.Get().(*pooledPacket); ok {
		return p
	}
	p := new(pooledPacket)
	p.release = func() {
		p.udpPacket = udpPacket{}
		pool.Put(p)
	}
	return p
}

// FastReceive queues a valid datagram that is for this endpoint, of size bytes of
// v after headers bytes. It takes v, unless it reports false: then the datagram
// has to go the ordinary way. pool is for what there is of a datagram besides.
func (e *endpoint) FastReceive(id stack.TransportEndpointID, nic tcpip.NICID, network tcpip.NetworkProtocolNumber, tos, ttl uint8, v *buffer.View, headers, size int, pool *sync.Pool) bool {
	e.rcvMu.Lock()
	if !e.rcvReady || e.rcvClosed || e.frozen {
		e.rcvMu.Unlock()
		return false
	}
	e.stack.Stats().UDP.PacketsReceived.Increment()
	e.stats.PacketsReceived.Increment()
	if e.rcvBufSize >= int(e.ops.GetReceiveBufferSize()) {
		// A socket that is flooded is the one for which the ordinary way to
		// drop what comes costs most.
		e.rcvMu.Unlock()
		e.stack.Stats().UDP.ReceiveBufferErrors.Increment()
		e.stats.ReceiveErrors.ReceiveBufferOverflow.Increment()
		v.Release()
		return true
	}
	v.TrimFront(headers)
	v.CapLength(size) // without the padding of a short frame
	p := newPooledPacket(pool)
	p.netProto = network
	p.senderAddress = tcpip.FullAddress{NIC: nic, Addr: id.RemoteAddress, Port: id.RemotePort}
	p.destinationAddress = tcpip.FullAddress{NIC: nic, Addr: id.LocalAddress, Port: id.LocalPort}
	p.packetInfo = tcpip.IPPacketInfo{NIC: nic, LocalAddr: id.LocalAddress, DestinationAddr: id.LocalAddress}
	p.tosOrTClass, p.ttlOrHopLimit = tos, ttl
	p.receivedAt = e.stack.Clock().Now()
	p.pkt = stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v), OnRelease: p.release})
	wasEmpty := e.rcvBufSize == 0
	e.rcvList.PushBack(&p.udpPacket)
	e.rcvBufSize += size
	e.rcvMu.Unlock()
	if wasEmpty {
		e.waiterQueue.Notify(waiter.ReadableEvents)
	}
	return true
}
