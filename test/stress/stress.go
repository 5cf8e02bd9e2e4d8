// Package stress puts Linux programs (c/) into machines that they should not be able
// to break: many connections and threads, taking and giving back for long, taking
// until there is nothing left, and random system calls and instructions.
//
//	go test ./test/stress                     two minutes
//	go test ./test/stress -long -timeout 0    two hours; so does KILN_STRESS=long
//	go test ./test/stress -run Fuzz -fuzz-seed 7 -fuzz-runs 1
//
// Whatever a program does, the kernel's own memory stays intact: the machine ends
// with the program's exit status or the signal that ended it, or says that it is out
// of memory. Status 125 is a failure of the kernel, and no end at all is one, too.
package stress

import (
	"fmt"
	"strconv"
	"strings"
)

// sample is a line of churn: how often it has taken and given back, and how much
// memory was free then.
type sample struct {
	count int64
	free  int64 // bytes
}

func parseSamples(text string) (list []sample, err error) {
	for line := range strings.Lines(text) {
		n, kib, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return nil, fmt.Errorf("not a sample: %q", line)
		}
		count, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			return nil, err
		}
		free, err := strconv.ParseInt(kib, 10, 64)
		if err != nil {
			return nil, err
		}
		list = append(list, sample{count, free << 10})
	}
	return list, nil
}

// leak is what samples have lost: in all, and for each time. The kernel's
// collector lets garbage gather and then takes it away, so what counts is the most
// that was ever free in a third of the samples. The first third is for
// warming up: it is compared with the last only if the middle one shows the
// same tendency.
func leak(list []sample) (bytes int64, each float64) {
	third := len(list) / 3
	first, middle, last := most(list[:third]), most(list[third:2*third]), most(list[2*third:])
	if third == 0 || middle <= last {
		return 0, 0
	}
	bytes = min(first, middle+(middle-last)) - last
	if n := list[len(list)-1].count - list[third].count; n > 0 {
		each = float64(middle-last) / float64(n) * 2
	}
	return bytes, each
}

func most(list []sample) (free int64) {
	for _, s := range list {
		free = max(free, s.free)
	}
	return free
}
