// Ipv6 talks IPv6 with the host: it says what it hears at the address in its
// argument, then its own global addresses, and answers one connection to
// port 6006 of the first of them.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(to string) error {
	c, err := net.Dial("tcp6", to)
	if err != nil {
		return err
	}
	heard, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	fmt.Printf("heard %q\n", heard)
	own := c.LocalAddr().(*net.TCPAddr).IP
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; ip.To4() == nil && ip.IsGlobalUnicast() {
			fmt.Println("address", a)
		}
	}
	l, err := net.Listen("tcp6", net.JoinHostPort(own.String(), "6006"))
	if err != nil {
		return err
	}
	fmt.Println("listening")
	s, err := l.Accept()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(s, "from the guest"); err != nil {
		return err
	}
	return s.Close()
}
