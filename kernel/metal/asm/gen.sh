#!/bin/sh
# Prints the bytes of entry32.S as QUAD lines for entry_amd64.s and those of
# ap16.S as a Go string for ap_amd64.go. Needs binutils; run by hand when one
# of the two changes.
set -e
cd "$(dirname "$0")"
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
as --32 entry32.S -o "$t/e.o" && objcopy -O binary -j .text "$t/e.o" "$t/e.bin"
as --64 ap16.S -o "$t/a.o" && objcopy -O binary -j .text "$t/a.o" "$t/a.bin"
# pad with NOPs in front: the far return lands right after the last byte
python3 - "$t" <<'P'
import sys
t = sys.argv[1]
b = open(t + "/e.bin", "rb").read()
b = b"\x90" * (-len(b) % 8) + b
for i in range(0, len(b), 8):
    print("\tQUAD\t$0x%016x" % int.from_bytes(b[i:i+8], "little"))
a = open(t + "/a.bin", "rb").read()
print('const apCode = "' + "".join("\\x%02x" % c for c in a) + '"')
P
