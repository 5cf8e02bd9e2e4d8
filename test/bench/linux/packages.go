package linux

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
)

// Packages unpacks Debian packages into one directory, without their
// dependencies and without installing anything, and returns its name.
func (s *Store) Packages(ctx context.Context, names ...string) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(names, " ")))
	dir := filepath.Join(s.Dir, fmt.Sprintf("packages-%x", sum[:6]))
	return dir, s.once(dir, func(out string) error {
		for _, name := range names {
			if _, err := s.unpack(ctx, out, name); err != nil {
				return err
			}
		}
		return nil
	})
}
