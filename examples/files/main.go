// Files walks the directories and files that it is given and prints, for each
// file, its mode, size and SHA-256.
//
//	kiln run -v ./docs:/docs ./examples/files -- /docs
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	roots := os.Args[1:]
	if len(roots) == 0 {
		roots = []string{"/etc"}
	}
	for _, root := range roots {
		if err := list(os.Stdout, root); err != nil {
			fmt.Fprintln(os.Stderr, "files:", err)
			os.Exit(1)
		}
	}
}

// list prints the regular files at and below root, sorted by name.
func list(out io.Writer, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, f)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v %9d  %x  %s\n", fi.Mode(), n, sum.Sum(nil), path)
		return nil
	})
}
