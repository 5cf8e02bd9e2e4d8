package build

// The user's build settings come from two places, as with the go command:
// options given for this build, and GOFLAGS. A flag given overrides the same
// flag in GOFLAGS. Kiln adds its tag to -tags and its own flags to -ldflags
// by giving both on the command line, so it has to merge what GOFLAGS says.

import (
	"errors"
	"fmt"
	"strings"
)

// Tag is the build tag that is set when a package is built into a kernel.
const Tag = "kiln"

// linkFlags make the linker lay out a kernel: the 32-bit PVH entry point, and
// the text in the top 2 GiB (-T is signed). The kernel reaches into the
// runtime, hence -checklinkname.
const linkFlags = "-checklinkname=0 -E kiln/kernel/metal.entry32 -T -0x7fbff000"

// smallFlags are added where symbols are left out, which is done for size.
const smallFlags = "-funcalign=1"

// buildFlags are the merged settings of one build.
type buildFlags struct {
	tags    string // comma separated, with Tag
	ldflags string // the user's, without -s
	strip   bool   // -s: no symbol table
	layout  string // linkFlags; tests that run on the host leave the layout alone
	others  []string
}

// mergeFlags merges options and GOFLAGS.
func mergeFlags(o *Options, goflags string) (*buildFlags, error) {
	env, err := splitQuoted(goflags)
	if err != nil {
		return nil, fmt.Errorf("GOFLAGS: %w", err)
	}
	if err := checkFlags("the build flags", o.Flags); err != nil {
		return nil, err
	}
	if err := checkFlags("GOFLAGS", env); err != nil {
		return nil, err
	}
	tags, ldflags := o.Tags, o.Ldflags
	for _, f := range env {
		switch name, value := flagName(f); name {
		case "-tags":
			if len(tags) == 0 {
				tags = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
			}
		case "-ldflags":
			if ldflags == "" {
				ldflags = value
			}
		}
	}
	b := &buildFlags{tags: strings.Join(append([]string{Tag}, tags...), ","), layout: linkFlags}
	if o.Trimpath {
		b.others = append(b.others, "-trimpath")
	}
	return b, b.setLdflags(ldflags)
}

// flagName splits a flag, whose name may start with one or two dashes.
func flagName(flag string) (name, value string) {
	name, value, _ = strings.Cut(flag, "=")
	return "-" + strings.TrimLeft(name, "-"), value
}

// checkFlags refuses flags that cannot work. Where they were found is for the
// message.
func checkFlags(where string, flags []string) error {
	for _, f := range flags {
		switch name, value := flagName(f); name {
		case "-race", "-msan", "-asan":
			if value != "false" {
				return fmt.Errorf("%s: %s needs cgo, which cannot work in a kernel: leave it out", where, f)
			}
		case "-overlay", "-buildmode":
			return fmt.Errorf("%s: %s gets in the way of kiln, which sets it itself: leave it out", where, f)
		}
	}
	return nil
}

// setLdflags takes the user's linker flags apart. The symbol table is needed
// to finish the image: -s is done afterwards.
func (b *buildFlags) setLdflags(ldflags string) error {
	ldflags = strings.TrimSpace(ldflags)
	if ldflags != "" && ldflags[0] != '-' {
		pattern, value, ok := strings.Cut(ldflags, "=")
		if !ok || pattern != "all" {
			return fmt.Errorf("-ldflags %q: write the linker's flags without a package pattern", ldflags)
		}
		ldflags = value
	}
	args, err := splitQuoted(ldflags)
	if err != nil {
		return fmt.Errorf("-ldflags: %w", err)
	}
	var kept []string
	for _, a := range args {
		switch a {
		case "-s", "--s", "-s=true":
			b.strip = true
			a = "-w"
		}
		kept = append(kept, quote(a))
	}
	b.ldflags = strings.Join(kept, " ")
	return nil
}

// link are the flags that make the go command link.
func (b *buildFlags) link() []string {
	ldflags := []string{b.layout, b.ldflags}
	if b.strip {
		ldflags = []string{b.layout, smallFlags, b.ldflags}
	}
	return append([]string{"-buildmode=exe", "-ldflags=" + strings.TrimSpace(strings.Join(ldflags, " "))}, b.others...)
}

// splitQuoted splits s as cmd/go splits GOFLAGS and -ldflags: at white space,
// with fields in single or double quotes, in which nothing is special.
func splitQuoted(s string) ([]string, error) {
	const space = " \t\n\r"
	var fields []string
	for {
		s = strings.TrimLeft(s, space)
		if s == "" {
			return fields, nil
		}
		if q := s[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(s[1:], q)
			if end < 0 {
				return nil, errors.New("unterminated " + string(q) + " string")
			}
			fields = append(fields, s[1:1+end])
			s = s[end+2:]
			continue
		}
		end := strings.IndexAny(s, space)
		if end < 0 {
			end = len(s)
		}
		fields = append(fields, s[:end])
		s = s[end:]
	}
}

// quote is the inverse of splitQuoted for one field.
func quote(s string) string {
	switch {
	case s != "" && !strings.ContainsAny(s, " \t\n\r'\""):
		return s
	case !strings.Contains(s, "'"):
		return "'" + s + "'"
	default:
		return `"` + s + `"`
	}
}
