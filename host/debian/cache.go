package debian

// apt takes most of a second to resolve packages. What it finds depends on their
// names, on its configuration and on its lists, which "apt-get update" replaces:
//
//	debian/resolved/HASH    what apt has found, one package a line
//
// HASH is of the names, the configuration, and when the lists last changed.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// keepUnused is how long trees and packages that nobody asks for are kept.
const keepUnused = 30 * 24 * time.Hour

// resolved is resolve with a cache.
func (a *apt) resolved(ctx context.Context) ([]deb, error) {
	key := a.key(ctx)
	if key == "" {
		return a.resolve(ctx)
	}
	file := filepath.Join(a.cache, "resolved", key)
	if data, err := os.ReadFile(file); err == nil {
		if debs := decode(string(data)); debs != nil {
			return debs, nil
		}
	}
	debs, err := a.resolve(ctx)
	if err == nil {
		os.WriteFile(file, []byte(encode(debs)), 0o666) // if that fails apt is asked again
	}
	return debs, err
}

// key is empty if apt does not tell its configuration.
func (a *apt) key(ctx context.Context) string {
	config, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return ""
	}
	places, err := exec.CommandContext(ctx, "apt-config", "shell", "a", "Dir::State::lists/d", "b", "Dir::Etc::sourcelist/f", "c", "Dir::Etc::sourceparts/d",
		"d", "Dir::Etc::preferences/f", "e", "Dir::Etc::preferencesparts/d").Output()
	if err != nil {
		return ""
	}
	h := sha256.New()
	fmt.Fprintln(h, unpackVersion, len(a.names))
	for _, n := range a.names {
		fmt.Fprintln(h, n)
	}
	h.Write(config)
	for line := range strings.Lines(string(places)) {
		_, place, _ := strings.Cut(strings.TrimSpace(line), "=")
		if info, err := os.Stat(strings.Trim(place, "'")); err == nil {
			fmt.Fprintln(h, place, info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func encode(debs []deb) string {
	var b strings.Builder
	for _, d := range debs {
		fmt.Fprintf(&b, "%s %d %s %s\n", d.file, d.size, d.sha256, d.local)
	}
	return b.String() + "end\n"
}

// decode returns nil for what encode has not written to its end.
func decode(text string) []deb {
	text, whole := strings.CutSuffix(text, "end\n")
	if !whole {
		return nil
	}
	var debs []deb
	for line := range strings.Lines(text) {
		var d deb
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(words) != 4 {
			return nil
		}
		if _, err := fmt.Sscan(words[1], &d.size); err != nil || words[0] != filepath.Base(words[0]) {
			return nil
		}
		d.file, d.sha256, d.local = words[0], words[2], words[3]
		debs = append(debs, d)
	}
	return debs
}

// prune removes what nobody has asked for in a while.
func (a *apt) prune() {
	for _, pattern := range []string{"archives/*.deb", "root/*", "resolved/*"} {
		found, _ := filepath.Glob(filepath.Join(a.cache, pattern))
		for _, name := range found {
			if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > keepUnused {
				os.RemoveAll(name)
			}
		}
	}
}

// use notes that a tree is used, and says whether it is there.
func use(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil && os.Chtimes(dir+programsSuffix, now, now) == nil && os.Chtimes(dir+ownersSuffix, now, now) == nil
}
