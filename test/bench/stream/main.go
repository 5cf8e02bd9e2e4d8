// Stream is the guest's side of the TCP throughput rows. It listens on :8080
// and does what the first byte of a connection asks for:
//
//	p   answer with one byte and close: the machine is up
//	s   send zeros until the peer closes
//	r   receive until the peer has sent all, then answer with the number of
//	    bytes as eight bytes, big endian
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	l, err := net.Listen("tcp", ":8080")
	if err != nil {
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(1)
	}
	fmt.Println("listening on", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "stream:", err)
			os.Exit(1)
		}
		go serve(c)
	}
}

func serve(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 256<<10)
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		return
	}
	switch buf[0] {
	case 'p':
		c.Write(buf[:1])
	case 's':
		clear(buf)
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	case 'r':
		c.Write(binary.BigEndian.AppendUint64(nil, receive(c, buf)))
	}
}

// receive reads until the end and counts. It reads plainly rather than with
// io.Copy, which would splice on Linux.
func receive(c net.Conn, buf []byte) (n uint64) {
	for {
		k, err := c.Read(buf)
		n += uint64(k)
		if err != nil {
			return n
		}
	}
}
