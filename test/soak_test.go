package test

import (
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
)

var soakBoots = flag.Int("soak", 1, "boots of each program in TestSoak, with 1, 2 and 4 CPUs each")

// TestSoak boots eight heavy programs over and over. "make soak" takes 50 boots
// of each; once is enough to see that the programs themselves work.
func TestSoak(t *testing.T) {
	needQEMU(t)
	kernel := filepath.Join(t.TempDir(), "soak.krn")
	if shell(t, "bin/kiln build -q ./test/guests/soak -o "+kernel); t.Failed() {
		return
	}
	for _, workload := range []string{"channels", "trees", "maps", "timers", "echo", "http", "udp", "files"} {
		for _, cpus := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s-%dcpu", workload, cpus), func(t *testing.T) {
				for range *soakBoots {
					boot(t, "", "-c", strconv.Itoa(cpus), "-m", "128", kernel, "--", workload).want(t, 0, "ok\n")
				}
			})
		}
	}
}
