// Unixsocket uses sockets of the Unix domain without package net, and prints
// what came through.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	l, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	addr := &syscall.SockaddrUnix{Name: "/tmp/socket"}
	if err := syscall.Bind(l, addr); err != nil {
		return err
	}
	if err := syscall.Listen(l, 1); err != nil {
		return err
	}
	go func() {
		c, _, err := syscall.Accept(l)
		if err == nil {
			_, err = syscall.Write(c, []byte("hello"))
		}
		if err != nil {
			fmt.Println(err)
		}
	}()
	c, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := syscall.Connect(c, addr); err != nil {
		return err
	}
	buf := make([]byte, 10)
	n, err := syscall.Read(c, buf)
	if err != nil {
		return err
	}
	_, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	fmt.Printf("%s, %v\n", buf[:n], err)
	return nil
}
