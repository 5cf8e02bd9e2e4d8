// Web is an ordinary net/http server, built as any Linux program is: with and
// without cgo, at a fixed address and not.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"os/user"
	"runtime"
	"syscall"
)

func main() {
	me, err := user.Current() // by the C library where there is cgo
	if err != nil {
		log.Fatal(err)
	}
	addrs, err := net.LookupHost("localhost")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "hello %s %d", r.URL.Path, n)
	})
	server := &http.Server{Addr: ":8080"}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		server.Shutdown(context.Background())
	}()
	fmt.Fprintf(os.Stdout, "user %s, %d CPUs, localhost %v\nserving\n", me.Username, runtime.NumCPU(), addrs)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	fmt.Println("shut down")
}
