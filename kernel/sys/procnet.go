//go:build kiln_linux

package sys

// The files of /proc/net (proc_pid_net(5)), for procfs.Net: interfaces and
// routes as netlink tells them, and the program's sockets as its descriptors
// show them; the machine has no others.

import (
	"encoding/binary"
	"strconv"
	"strings"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/fs/procfs"
	"kiln/kernel/socket"
)

// NetFiles has the contents of /proc/net.
type NetFiles struct{ c *Calls }

// NetFiles returns the files of /proc/net, which are empty while there is no
// network.
func (c *Calls) NetFiles() NetFiles { return NetFiles{c} }

// Names implements procfs.Net.
func (NetFiles) Names() []string {
	return []string{"arp", "dev", "if_inet6", "raw", "raw6", "route", "sockstat", "sockstat6", "tcp", "tcp6", "udp", "udp6", "unix"}
}

// Text implements procfs.Net.
func (n NetFiles) Text(name string) string {
	switch name {
	case "arp":
		return "IP address       HW type     Flags       HW address            Mask     Device\n"
	case "dev":
		return n.dev()
	case "if_inet6":
		return n.addresses6()
	case "route":
		return n.routes()
	case "raw":
		return n.inet(syscall.AF_INET, syscall.SOCK_RAW)
	case "raw6":
		return n.inet(syscall.AF_INET6, syscall.SOCK_RAW)
	case "tcp":
		return n.inet(syscall.AF_INET, syscall.SOCK_STREAM)
	case "tcp6":
		return n.inet(syscall.AF_INET6, syscall.SOCK_STREAM)
	case "udp":
		return n.inet(syscall.AF_INET, syscall.SOCK_DGRAM)
	case "udp6":
		return n.inet(syscall.AF_INET6, syscall.SOCK_DGRAM)
	case "unix":
		return n.unix()
	case "sockstat":
		return n.counts("sockets: used "+strconv.Itoa(len(n.sockets(-1, -1)))+"\n", syscall.AF_INET, "")
	case "sockstat6":
		return n.counts("", syscall.AF_INET6, "6")
	}
	return ""
}

// Interfaces implements procfs.Net.
func (n NetFiles) Interfaces() []procfs.Interface {
	links, _ := n.c.links()
	list := make([]procfs.Interface, len(links))
	for i, l := range links {
		list[i] = procfs.Interface{Name: l.name, Index: l.index, MTU: l.mtu, Type: uint32(l.typ), Flags: l.flags, Queue: l.queue, Address: l.hw}
	}
	return list
}

func hexOf(v uint64, width int) string {
	s := strings.ToUpper(strconv.FormatUint(v, 16))
	return strings.Repeat("0", max(0, width-len(s))) + s
}

func right(s string, width int) string { return strings.Repeat(" ", max(0, width-len(s))) + s }

// openSocket is a socket that some descriptor stands for.
type openSocket struct {
	socket.Socket
	inode  uint64
	family int
	typ    int
}

func number(s socket.Socket, level, option int) int {
	var b [4]byte
	if n, err := s.Option(level, option, b[:]); err != nil || n != len(b) {
		return -1
	}
	return int(int32(binary.LittleEndian.Uint32(b[:])))
}

// sockets lists those of a family and type, -1 for all.
func (n NetFiles) sockets(family, typ int) (list []openSocket) {
	const soDomain = 39
	seen := map[*fs.File]bool{}
	for _, fd := range n.c.fds.Open() {
		f := n.c.fds.File(fd)
		if f == nil || seen[f] {
			continue
		}
		seen[f] = true
		s, ok := f.Ops().(socket.Socket)
		if !ok {
			continue
		}
		o := openSocket{s, f.Stat().Ino, number(s, syscall.SOL_SOCKET, soDomain), number(s, syscall.SOL_SOCKET, syscall.SO_TYPE)}
		if a, err := s.LocalAddr(); err == nil && o.family < 0 {
			o.family = a.Family
		}
		if (family < 0 || o.family == family) && (typ < 0 || o.typ == typ) {
			list = append(list, o)
		}
	}
	return list
}

// endpoint is an address as tcp and its kin have it: words in the CPU's order.
func endpoint(family int, a socket.Addr) string {
	n, s := 4, ""
	if family == syscall.AF_INET6 {
		n = 16
	}
	for i := 0; i < n; i += 4 {
		s += hexOf(uint64(binary.LittleEndian.Uint32(a.IP[i:])), 8)
	}
	return s + ":" + hexOf(uint64(a.Port), 4)
}

// States of tcp's "st".
const (
	stateEstablished = 1
	stateClose       = 7
	stateListen      = 10
)

func (s openSocket) stateOf() int {
	if s.typ == syscall.SOCK_STREAM {
		var info [1]byte
		if n, err := s.Option(syscall.IPPROTO_TCP, syscall.TCP_INFO, info[:]); err == nil && n > 0 && info[0] != 0 {
			return int(info[0])
		}
		if number(s, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN) == 1 {
			return stateListen
		}
	}
	if _, err := s.PeerAddr(); err == nil {
		return stateEstablished
	}
	return stateClose
}

func (n NetFiles) inet(family, typ int) string {
	var b strings.Builder
	b.WriteString("  sl  local_address rem_address   st")
	if family == syscall.AF_INET6 {
		b.Reset()
		b.WriteString("  sl  local_address                         remote_address                        st")
	}
	b.WriteString(" tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n")
	i := 0
	for _, s := range n.sockets(family, typ) {
		local, err := s.LocalAddr()
		if err != nil || local.Port == 0 {
			continue // only what has a port is in the tables
		}
		peer, _ := s.PeerAddr()
		in, out := s.Queued()
		b.WriteString(right(strconv.Itoa(i), 4) + ": " + endpoint(family, local) + " " + endpoint(family, peer) + " " + hexOf(uint64(s.stateOf()), 2) + " " +
			hexOf(uint64(max(0, out)), 8) + ":" + hexOf(uint64(max(0, in)), 8) + " 00:00000000 00000000     0        0 " + strconv.FormatUint(s.inode, 10) +
			" 1 0000000000000000 100 0 0 10 0\n")
		i++
	}
	return b.String()
}

func (n NetFiles) unix() string {
	var b strings.Builder
	b.WriteString("Num       RefCount Protocol Flags    Type St Inode Path\n")
	for _, s := range n.sockets(syscall.AF_UNIX, -1) {
		flags, st := 0, 1 // SS_UNCONNECTED
		if number(s, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN) == 1 {
			flags = 0x10000 // SO_ACCEPTCON
		}
		if _, err := s.PeerAddr(); err == nil {
			st = 3
		}
		line := "0000000000000000: 00000002 00000000 " + hexOf(uint64(flags), 8) + " " + hexOf(uint64(s.typ), 4) + " " + hexOf(uint64(st), 2) + " " +
			right(strconv.FormatUint(s.inode, 10), 5)
		if a, err := s.LocalAddr(); err == nil && a.Path != "" {
			line += " " + strings.ReplaceAll(a.Path, "\x00", "@")
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func (n NetFiles) counts(head string, family int, suffix string) string {
	count := func(typ int) string { return strconv.Itoa(len(n.sockets(family, typ))) }
	tcp := "TCP" + suffix + ": inuse " + count(syscall.SOCK_STREAM)
	if suffix == "" {
		tcp += " orphan 0 tw 0 alloc " + count(syscall.SOCK_STREAM) + " mem 0"
	}
	udp := "\nUDP" + suffix + ": inuse " + count(syscall.SOCK_DGRAM)
	if suffix == "" {
		udp += " mem 0"
	}
	return head + tcp + udp + "\nUDPLITE" + suffix + ": inuse 0\nRAW" + suffix + ": inuse " + count(syscall.SOCK_RAW) + "\nFRAG" + suffix + ": inuse 0 memory 0\n"
}

func (n NetFiles) dev() string {
	var b strings.Builder
	b.WriteString("Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n")
	links, _ := n.c.links()
	for _, l := range links {
		row := func(bytes, packets, errors, dropped uint64, last ...int) {
			b.WriteString(right(strconv.FormatUint(bytes, 10), 8) + " " + right(strconv.FormatUint(packets, 10), 7) + " " + right(strconv.FormatUint(errors, 10), 4) + " " +
				right(strconv.FormatUint(dropped, 10), 4))
			for _, width := range last {
				b.WriteString(" " + right("0", width))
			}
		}
		b.WriteString(right(l.name, 6) + ": ")
		row(l.stats[2], l.stats[0], l.stats[4], l.stats[6], 4, 5, 10, 9)
		b.WriteString(" ")
		row(l.stats[3], l.stats[1], l.stats[5], l.stats[7], 4, 5, 7, 10)
		b.WriteString("\n")
	}
	return b.String()
}

func (n NetFiles) nameOf(links []netLink, index uint32) string {
	for _, l := range links {
		if l.index == index {
			return l.name
		}
	}
	return "*"
}

func (n NetFiles) addresses6() string {
	var b strings.Builder
	links, _ := n.c.links()
	n.c.dump(syscall.RTM_GETADDR, func(typ uint16, body []byte) {
		if typ != syscall.RTM_NEWADDR || len(body) < 8 || body[0] != syscall.AF_INET6 {
			return
		}
		index := binary.LittleEndian.Uint32(body[4:])
		attributes(body[8:], func(typ uint16, v []byte) {
			if typ != syscall.IFA_ADDRESS || len(v) != 16 {
				return
			}
			scope := map[byte]uint64{syscall.RT_SCOPE_LINK: 0x20, syscall.RT_SCOPE_HOST: 0x10, syscall.RT_SCOPE_SITE: 0x40}[body[3]]
			line := strings.ToLower(hexOf(binary.BigEndian.Uint64(v), 16) + hexOf(binary.BigEndian.Uint64(v[8:]), 16) + " " + hexOf(uint64(index), 2) + " " +
				hexOf(uint64(body[1]), 2) + " " + hexOf(scope, 2) + " " + hexOf(uint64(body[2]), 2))
			b.WriteString(line + " " + right(n.nameOf(links, index), 8) + "\n")
		})
	})
	return b.String()
}

func (n NetFiles) routes() string {
	const mainTable, up, gatewayFlag, hostFlag = 254, 1, 2, 4
	var b strings.Builder
	line := func(s string) { b.WriteString(s + strings.Repeat(" ", max(0, 127-len(s))) + "\n") }
	line("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT")
	links, _ := n.c.links()
	n.c.dump(syscall.RTM_GETROUTE, func(typ uint16, m []byte) {
		if typ != syscall.RTM_NEWROUTE || len(m) < 12 || m[0] != syscall.AF_INET || m[4] != mainTable {
			return
		}
		var dst, gateway, index, metric uint32
		attributes(m[12:], func(typ uint16, v []byte) {
			if len(v) != 4 {
				return
			}
			value := binary.LittleEndian.Uint32(v)
			switch typ {
			case syscall.RTA_DST:
				dst = value
			case syscall.RTA_GATEWAY:
				gateway = value
			case syscall.RTA_OIF:
				index = value
			case syscall.RTA_PRIORITY:
				metric = value
			}
		})
		flags := uint64(up)
		if gateway != 0 {
			flags |= gatewayFlag
		}
		if m[1] == 32 {
			flags |= hostFlag
		}
		var mask [4]byte
		binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-min(m[1], 32)))
		line(n.nameOf(links, index) + "\t" + hexOf(uint64(dst), 8) + "\t" + hexOf(uint64(gateway), 8) + "\t" + hexOf(flags, 4) + "\t0\t0\t" +
			strconv.FormatUint(uint64(metric), 10) + "\t" + hexOf(uint64(binary.LittleEndian.Uint32(mask[:])), 8) + "\t0\t0\t0")
	})
	return b.String()
}
