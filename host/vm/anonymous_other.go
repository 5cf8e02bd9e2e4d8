//go:build !linux

package vm

import "os"

// openAnonymous opens a temporary file and removes its name.
func openAnonymous(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
