// Fetch is a TCP client. It looks up a host's addresses, connects to a port
// and asks a web server for a page over the bare connection.
//
//	kiln run ./examples/fetch -- example.com:80 /
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: fetch HOST:PORT [PATH]")
		os.Exit(2)
	}
	path := "/"
	if len(os.Args) == 3 {
		path = os.Args[2]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := fetch(ctx, os.Stdout, os.Args[1], path); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

// fetch prints what it finds: the addresses, the connection, the answer.
func fetch(ctx context.Context, out io.Writer, hostport, path string) error {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return err
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s has the addresses %v\n", host, addrs)
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	fmt.Fprintf(out, "connected from %s to %s\n", c.LocalAddr(), c.RemoteAddr())
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Fprintln(out, answer.Proto, answer.Status)
	n, err := io.Copy(io.Discard, answer.Body)
	fmt.Fprintf(out, "%d bytes\n", n)
	return err
}
