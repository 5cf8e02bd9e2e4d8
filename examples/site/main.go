// Site serves a web site that is embedded in the program: package embed and
// http.FileServer, and nothing to mount.
//
//	kiln run -p 8080:8080 ./examples/site
//	curl http://127.0.0.1:8080/about.txt
package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"os"
)

//go:embed pages
var pages embed.FS

func main() {
	h, err := handler()
	if err == nil {
		fmt.Println("serving on :8080")
		err = http.ListenAndServe(":8080", h)
	}
	fmt.Fprintln(os.Stderr, "site:", err)
	os.Exit(1)
}

func handler() (http.Handler, error) {
	root, err := fs.Sub(pages, "pages")
	if err != nil {
		return nil, err
	}
	return http.FileServerFS(root), nil
}
