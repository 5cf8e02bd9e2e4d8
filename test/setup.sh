#!/bin/sh
# Installs what the demo and the tests need from the distribution's packages,
# and says what to do where it cannot.
set -eu
missing=
command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
command -v curl >/dev/null || missing="$missing curl"
# C programs, test/conformance:
command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
command -v g++ >/dev/null || missing="$missing g++"
command -v musl-gcc >/dev/null || missing="$missing musl-tools"
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null; then
	echo "setup: please install:$missing (names as on Debian), then run this again" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "setup: please run as root: apt-get update && apt-get install -y$missing" >&2
		exit 1
	fi
	sudo=sudo
fi
echo "setup: installing$missing"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
