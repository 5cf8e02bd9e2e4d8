#!/bin/sh
# Installs what the benchmark needs on a Debian or Ubuntu machine, if it is
# missing: QEMU, wrk, and the tools that build a Linux kernel.
set -eu

packages="qemu-system-x86 wrk make gcc libc6-dev flex bison libelf-dev libssl-dev bc binutils dpkg xz-utils zstd lz4"

if ! command -v dpkg-query >/dev/null; then
	echo "bench: the Linux guests are made from Debian packages, which needs a Debian or Ubuntu machine" >&2
	exit 1
fi
missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "bench: these packages are missing; install them with: sudo apt-get install -y$missing" >&2
	exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
