package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"kiln/host/vm"
)

// dryRun prints the command that would start the machine. The command is meant
// to be run, so what it reads has to stay: the kernel, if it was built for
// this, and the boot archive are kept in the user's cache directory, in place
// of those of the last dry run of a machine with this name.
func (a *app) dryRun(ctx context.Context, launcher vm.Launcher, spec vm.Spec, write func(io.Writer) error) error {
	liner, ok := launcher.(vm.CommandLiner)
	if !ok {
		return usagef("this monitor has no command line to print")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("no place for the boot archive: %w", err)
	}
	dir := filepath.Join(cache, "kiln", "dry-run", hostName(spec.Name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	archive, err := keep(filepath.Join(dir, "boot-archive"), write)
	if err != nil {
		return err
	}
	defer archive.Close()
	spec.Archive = archive
	if info, err := os.Stat(spec.Kernel.Name()); err != nil || !sameFile(info, spec.Kernel) {
		kernel, err := keep(filepath.Join(dir, "kernel"), func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(spec.Kernel, 0, 1<<62))
			return err
		})
		if err != nil {
			return err
		}
		defer kernel.Close()
		spec.Kernel = kernel
	}
	line, err := liner.CommandLine(ctx, spec)
	if err != nil {
		return err
	}
	for i, word := range line {
		line[i] = shellQuote(word)
	}
	fmt.Fprintln(a.out, strings.Join(line, " "))
	return nil
}

// keep writes a file and opens it.
func keep(name string, write func(io.Writer) error) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := write(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func sameFile(info os.FileInfo, f *os.File) bool {
	open, err := f.Stat()
	return err == nil && os.SameFile(info, open)
}

// shellQuote returns word as a shell reads it back.
func shellQuote(word string) string {
	if word != "" && strings.IndexFunc(word, needsQuote) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func needsQuote(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("-_=+.,:/@%", r)
}
