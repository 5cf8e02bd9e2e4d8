package install

import (
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	has := func(names ...string) func(string) bool {
		return func(n string) bool { return strings.Contains(" "+strings.Join(names, " ")+" ", " "+n+" ") }
	}
	for _, c := range []struct {
		have []string
		root bool
		want string
	}{
		{[]string{"apt-get"}, true, "apt-get install -y qemu-system-x86"},
		{[]string{"apt-get", "brew"}, false, "sudo apt-get install -y qemu-system-x86"},
		{[]string{"dnf"}, false, "sudo dnf install -y qemu-system-x86-core"},
		{[]string{"brew"}, false, "brew install qemu"},
	} {
		if got := command(QEMU, has(c.have...), c.root); got != c.want {
			t.Errorf("%v, root %v: %q, want %q", c.have, c.root, got, c.want)
		}
	}
	if got := command(Go, has(), false); !strings.Contains(got, "go") {
		t.Errorf("without a package manager: %q", got)
	}
}

func TestEveryManagerKnowsEveryProgram(t *testing.T) {
	for _, m := range managers {
		for _, p := range []string{QEMU, Go} {
			if m.names[p] == "" {
				t.Errorf("%s has no name for %s", m.command, p)
			}
		}
	}
}
