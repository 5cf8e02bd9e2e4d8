// Pump moves bytes over TCP as fast as it can, and checks them. A client of
// port 5001 sends a direction ('s': the machine sends, 'r': it receives) and a
// number of bytes (8 bytes, big-endian); the bytes follow that way. When the
// machine has received them all and they are right it answers "ok". What the
// bytes are stands in kiln/test/pattern.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"

	"kiln/test/pattern"
)

func main() {
	l, err := net.Listen("tcp", ":5001")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() {
			defer c.Close()
			if err := serve(c); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
}

func serve(c net.Conn) error {
	var ask [9]byte
	if _, err := io.ReadFull(c, ask[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint64(ask[1:]))
	if ask[0] == 's' {
		return pattern.Send(c, n)
	}
	if err := pattern.Check(c, n); err != nil {
		return err
	}
	_, err := io.WriteString(c, "ok")
	return err
}
