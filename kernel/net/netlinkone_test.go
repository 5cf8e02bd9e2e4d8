package net

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"

	"kiln/abi"
	"kiln/kernel/socket"
)

// One link, one route, and a request with zeroes behind it.
func TestNetlinkOne(t *testing.T) {
	n, _, _ := configured(t, abi.NetConfig{})
	s, err := n.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(typ uint16, body []byte) syscall.NetlinkMessage {
		t.Helper()
		req := binary.LittleEndian.AppendUint32(nil, uint32(syscall.NLMSG_HDRLEN+len(body)))
		req = append(req, byte(typ), byte(typ>>8), syscall.NLM_F_REQUEST, 0, 9, 0, 0, 0, 0, 0, 0, 0)
		req = append(append(req, body...), make([]byte, 128)...)
		if k, err := s.Send(&socket.Message{Buffers: [][]byte{req}}, 0); err != nil || k != len(req) {
			t.Fatalf("%d of %d bytes were sent: %v", k, len(req), err)
		}
		b := make([]byte, 4096)
		k, err := s.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		m, err := syscall.ParseNetlinkMessage(b[:k])
		if err != nil || len(m) != 1 || m[0].Header.Flags&syscall.NLM_F_MULTI != 0 {
			t.Fatalf("the answer is %v, %v", m, err)
		}
		if _, err := s.Read(b); err != syscall.EAGAIN {
			t.Errorf("another answer follows: %v", err)
		}
		return m[0]
	}
	attr := func(typ byte, data ...byte) []byte { return append([]byte{byte(4 + len(data)), 0, typ, 0}, data...) }

	byIndex := make([]byte, ifInfoSize)
	byIndex[4] = 2
	byName := append(make([]byte, ifInfoSize), attr(syscall.IFLA_IFNAME, 'e', 't', 'h', '0', 0)...)
	for _, body := range [][]byte{byIndex, byName} {
		if m := ask(syscall.RTM_GETLINK, body); m.Header.Type != syscall.RTM_NEWLINK || !bytes.Contains(m.Data, []byte("eth0\x00")) {
			t.Errorf("the link is %v", m)
		}
	}
	byIndex[4] = 77
	if m := ask(syscall.RTM_GETLINK, byIndex); m.Header.Type != syscall.NLMSG_ERROR || -int32(binary.LittleEndian.Uint32(m.Data)) != int32(syscall.ENODEV) {
		t.Errorf("a link that is not there: %v", m)
	}
	for _, c := range []struct {
		to      []byte
		gateway bool
		nic     byte
	}{{[]byte{192, 0, 2, 1}, true, byte(firstNIC)}, {[]byte{10, 0, 2, 2}, false, byte(firstNIC)}, {[]byte{127, 0, 0, 1}, false, byte(loopbackNIC)}} {
		head := make([]byte, rtMsgSize)
		head[0], head[1] = syscall.AF_INET, 32
		m := ask(syscall.RTM_GETROUTE, append(head, attr(syscall.RTA_DST, c.to...)...))
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		gateway, nic := false, byte(0)
		for _, a := range attrs {
			switch a.Attr.Type {
			case syscall.RTA_GATEWAY:
				gateway = true
			case syscall.RTA_OIF:
				nic = a.Value[0]
			}
		}
		if gateway != c.gateway || nic != c.nic {
			t.Errorf("to %v: gateway %v, link %d", c.to, gateway, nic)
		}
	}
}
