// Package install knows the command that installs a program on this host.
package install

import (
	"os"
	"os/exec"
	"runtime"
)

// The programs that Kiln needs.
const (
	QEMU = "qemu"
	Go   = "go"
)

// manager is a package manager and what it calls the programs.
type manager struct {
	command string
	install string // command line, without the package
	root    bool   // has to be run as root
	names   map[string]string
}

// In the order in which they are looked for: a host may have several.
var managers = []manager{
	{"apt-get", "apt-get install -y", true, map[string]string{QEMU: "qemu-system-x86", Go: "golang-go"}},
	{"dnf", "dnf install -y", true, map[string]string{QEMU: "qemu-system-x86-core", Go: "golang"}},
	{"zypper", "zypper install -y", true, map[string]string{QEMU: "qemu-x86", Go: "go"}},
	{"pacman", "pacman -S --noconfirm", true, map[string]string{QEMU: "qemu-system-x86", Go: "go"}},
	{"apk", "apk add", true, map[string]string{QEMU: "qemu-system-x86_64", Go: "go"}},
	{"brew", "brew install", false, map[string]string{QEMU: "qemu", Go: "go"}},
}

// Command returns the command that installs program, for this host's package
// manager.
func Command(program string) string {
	return command(program, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	}, os.Geteuid() == 0)
}

func command(program string, have func(string) bool, root bool) string {
	for _, m := range managers {
		if !have(m.command) {
			continue
		}
		c := m.install + " " + m.names[program]
		if m.root && !root {
			c = "sudo " + c
		}
		return c
	}
	if runtime.GOOS == "darwin" {
		return "brew install " + managers[len(managers)-1].names[program] + "  (Homebrew itself: https://brew.sh)"
	}
	if program == QEMU {
		return "see https://www.qemu.org/download"
	}
	return "see https://go.dev/dl"
}
