package test

import (
	"fmt"
	"strconv"
	"testing"
)

// TestRing3 runs the checks of guests/ring3.
func TestRing3(t *testing.T) {
	for _, m := range []struct {
		machine string
		cpus    int
	}{{"microvm", 1}, {"microvm", 2}, {"q35", 1}, {"q35", 4}} {
		t.Run(fmt.Sprintf("%s-%dcpu", m.machine, m.cpus), func(t *testing.T) {
			r := boot(t, "", "--tags", "kiln_linux", "--machine", m.machine, "-m", "128", "-c", strconv.Itoa(m.cpus), "./test/guests/ring3")
			r.want(t, 0, fmt.Sprintf("cpus %d\nok\n", m.cpus))
			t.Log(r.stderr)
		})
	}
}
