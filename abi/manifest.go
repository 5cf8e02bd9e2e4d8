package abi

// The manifest says what to run and how. Its encoding is a sequence of
// records "key=value", each ended by a NUL byte, as in /proc/PID/environ: a
// few lines of code read it before there is a Go runtime. Keys may repeat;
// order counts for arg and env. A reader passes over keys it does not know.
//
//	version=1
//	arg=VALUE        argv, the program's own name first
//	env=NAME=VALUE   environment
//	exe=PATH         the Linux program to run, for the kernel that runs those
//	dir=PATH         working directory, default /
//	hostname=NAME    default "kiln"
//	tty=COLSxROWS    the console is a terminal
//	net.addr=CIDR    static address (IPv4 or IPv6), may repeat; none: DHCP and SLAAC
//	net.gw=ADDR      default gateway, one per family
//	net.dns=ADDR     name server, may repeat
//	net.off=1        no network, even if there is a device
//	strace=WORDS     print the system calls of a Linux program: "all", or the names of
//	                 some, separated by commas; "summary": a table of them at the end

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Manifest is the decoded form, for the host and for the guest's Go code.
type Manifest struct {
	Args     []string
	Env      []string
	Exe      string // empty: the program is linked with the kernel
	Dir      string
	Hostname string
	TTY      string // "COLSxROWS", or empty
	Net      NetConfig
	Trace    string // the words of strace=; empty: nothing is traced
	User     string // who a Linux program runs as, see ParseUser; empty: root
}

// ParseUser reads UID:GID[,GID]...: a user, its group, and its further groups.
func ParseUser(s string) (uid, gid uint32, groups []uint32, ok bool) {
	user, rest, found := strings.Cut(s, ":")
	if !found {
		return 0, 0, nil, false
	}
	var ids []uint32
	for _, f := range append([]string{user}, strings.Split(rest, ",")...) {
		n, err := strconv.ParseUint(f, 10, 32)
		if err != nil || n == 1<<32-1 { // -1 means no ID
			return 0, 0, nil, false
		}
		ids = append(ids, uint32(n))
	}
	return ids[0], ids[1], ids[2:], true
}

// NetConfig is the network part of a manifest. Its strings are checked by the
// network stack, which reports what it cannot parse.
type NetConfig struct {
	Off       bool
	Addresses []string
	Gateways  []string
	DNS       []string
}

// NextRecord splits the first record off b. At the end ok is false. It does
// not allocate.
func NextRecord(b []byte) (key, value, rest []byte, ok bool) {
	for len(b) > 0 {
		rec := b
		rest = nil
		if i := bytes.IndexByte(b, 0); i >= 0 {
			rec, rest = b[:i], b[i+1:]
		}
		if i := bytes.IndexByte(rec, '='); i > 0 {
			return rec[:i], rec[i+1:], rest, true
		}
		b = rest
	}
	return nil, nil, nil, false
}

// Encode returns the manifest's records. NUL bytes cannot occur in a value;
// Validate finds them.
func (m *Manifest) Encode() []byte {
	var b bytes.Buffer
	put := func(k, v string) { b.WriteString(k); b.WriteByte('='); b.WriteString(v); b.WriteByte(0) }
	some := func(k, v string) {
		if v != "" {
			put(k, v)
		}
	}
	all := func(k string, vs []string) {
		for _, v := range vs {
			put(k, v)
		}
	}
	put("version", strconv.Itoa(Version))
	all("arg", m.Args)
	all("env", m.Env)
	some("exe", m.Exe)
	some("dir", m.Dir)
	some("hostname", m.Hostname)
	some("tty", m.TTY)
	if m.Net.Off {
		put("net.off", "1")
	}
	all("net.addr", m.Net.Addresses)
	all("net.gw", m.Net.Gateways)
	all("net.dns", m.Net.DNS)
	some("strace", m.Trace)
	some("user", m.User)
	return b.Bytes()
}

// Validate reports a value that the encoding cannot carry.
func (m *Manifest) Validate() error {
	for _, list := range [][]string{m.Args, m.Env, {m.Exe, m.Dir, m.Hostname, m.TTY, m.Trace, m.User}, m.Net.Addresses, m.Net.Gateways, m.Net.DNS} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return errors.New(strconv.Quote(v) + " contains a NUL byte, which an argument, variable or path cannot have")
			}
		}
	}
	return nil
}

// ParseManifest decodes records. It accepts anything: what is not a known
// record is passed over.
func ParseManifest(b []byte) *Manifest {
	m := &Manifest{}
	for {
		k, v, rest, ok := NextRecord(b)
		if !ok {
			return m
		}
		b = rest
		s := string(v)
		switch string(k) {
		case "arg":
			m.Args = append(m.Args, s)
		case "env":
			m.Env = append(m.Env, s)
		case "exe":
			m.Exe = s
		case "dir":
			m.Dir = s
		case "hostname":
			m.Hostname = s
		case "tty":
			m.TTY = s
		case "net.off":
			m.Net.Off = s == "1"
		case "net.addr":
			m.Net.Addresses = append(m.Net.Addresses, s)
		case "net.gw":
			m.Net.Gateways = append(m.Net.Gateways, s)
		case "net.dns":
			m.Net.DNS = append(m.Net.DNS, s)
		case "strace":
			m.Trace = s
		case "user":
			m.User = s
		}
	}
}
