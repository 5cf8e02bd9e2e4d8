package conformance

import (
	"fmt"
	"strings"
)

// exclusion is a line in which the guest may differ; label "*" is the program.
type exclusion struct {
	program, label, reason string
	line                   int
}

// parseExclusions reads lines of program, label and reason; empty lines and
// those that start with # are comments.
func parseExclusions(text string) ([]exclusion, error) {
	var list []exclusion
	seen := make(map[string]bool)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 3 {
			return nil, fmt.Errorf("line %d: write it as PROGRAM | LABEL | REASON", n)
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		if key := f[0] + " | " + f[1]; seen[key] {
			return nil, fmt.Errorf("line %d: %s is there twice", n, key)
		} else {
			seen[key] = true
		}
		list = append(list, exclusion{f[0], f[1], f[2], n})
	}
	return list, nil
}

// labels returns the labels of a program's lines that may differ.
func labels(list []exclusion, program string) map[string]string {
	m := make(map[string]string)
	for _, e := range list {
		if e.program == program {
			m[e.label] = e.reason
		}
	}
	return m
}

// label is the part of a line that says what is checked.
func label(line string) string {
	for _, sep := range []string{" = ", ": "} {
		if i := strings.LastIndex(line, sep); i >= 0 {
			return line[:i]
		}
	}
	return line
}

// without returns text without the lines that have one of the labels.
func without(text string, labels map[string]string) string {
	if len(labels) == 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if _, ok := labels[label(strings.TrimSuffix(line, "\n"))]; !ok {
			b.WriteString(line)
		}
	}
	return b.String()
}

// differences returns the lines of a and b that are not in both, in order, with
// - for a's and + for b's: those of a longest common subsequence are left out.
func differences(a, b string) string {
	x, y := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	common := make([][]int, len(x)+1) // lengths for the suffixes
	for i := range common {
		common[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var d strings.Builder
	put := func(sign, line string) {
		if line != "" {
			fmt.Fprintf(&d, "%s %s\n", sign, strings.TrimSuffix(line, "\n"))
		}
	}
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && common[i+1][j] >= common[i][j+1]:
			put("-", x[i])
			i++
		default:
			put("+", y[j])
			j++
		}
	}
	return d.String()
}
