package linux

// A bzImage is a real-mode part followed by a protected-mode part, in which
// the compressed vmlinux lies. The setup header (Linux
// Documentation/arch/x86/boot.rst, protocol 2.08 and later) says where:
//
//	0x1f1  u8   setup_sects: the real-mode part has 1+setup_sects sectors
//	0x202  "HdrS"
//	0x206  u16  protocol version
//	0x248  u32  payload_offset, from the start of the protected-mode part
//	0x24c  u32  payload_length
//
// The payload's first bytes tell the compression. The kernel's build appends
// the uncompressed size as four bytes to every format but gzip, which has it
// already.

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

var errBzImage = errors.New("not a bzImage with a payload (boot protocol 2.08 or later)")

var decompressors = []struct {
	magic   string
	command []string
}{
	{"\x1f\x8b", []string{"gzip", "-dc"}},
	{"\xfd7zXZ\x00", []string{"xz", "-dc"}},
	{"\x28\xb5\x2f\xfd", []string{"zstd", "-dcq"}},
	{"\x02\x21\x4c\x18", []string{"lz4", "-dcq"}},
}

// payload returns the compressed kernel in a bzImage.
func payload(bz []byte) ([]byte, error) {
	if len(bz) < 0x250 || string(bz[0x202:0x206]) != "HdrS" || binary.LittleEndian.Uint16(bz[0x206:]) < 0x208 {
		return nil, errBzImage
	}
	start := (1+uint64(bz[0x1f1]))*512 + uint64(binary.LittleEndian.Uint32(bz[0x248:]))
	end := start + uint64(binary.LittleEndian.Uint32(bz[0x24c:]))
	if end > uint64(len(bz)) || end < start+4 {
		return nil, errBzImage
	}
	p := bz[start:end]
	if !bytes.HasPrefix(p, []byte(decompressors[0].magic)) {
		p = p[:len(p)-4]
	}
	return p, nil
}

// extractVmlinux writes the ELF kernel of the bzImage src to dst.
func (s *Store) extractVmlinux(ctx context.Context, dst, src string) error {
	bz, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	p, err := payload(bz)
	if err != nil {
		return fmt.Errorf("%s: %w", src, err)
	}
	for _, d := range decompressors {
		if !bytes.HasPrefix(p, []byte(d.magic)) {
			continue
		}
		out, err := os.Create(dst)
		if err != nil {
			return err
		}
		defer out.Close()
		c := exec.CommandContext(ctx, d.command[0], d.command[1:]...)
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(p), out, s.Log
		if err := c.Run(); err != nil {
			return fmt.Errorf("unpacking %s with %s: %w", src, d.command[0], err)
		}
		e, err := elf.NewFile(out)
		if err != nil {
			return fmt.Errorf("what %s holds is no ELF file: %w", src, err)
		}
		return e.Close()
	}
	return fmt.Errorf("%s is compressed in an unknown format (starts with % x)", src, p[:4])
}
