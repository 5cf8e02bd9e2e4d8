package debian

// Which program a package is for.

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// programFile is a program, and the package that has it.
type programFile struct{ pkg, path string }

// programNames are what packages are for whose name does not tell.
var programNames = []struct {
	pkg      *regexp.Regexp
	programs []string
}{
	{regexp.MustCompile(`^(default|openjdk-\d+)-(jre|jdk)`), []string{"java"}},
	{regexp.MustCompile(`^postgresql`), []string{"postgres"}},
	{regexp.MustCompile(`^openssh-server$`), []string{"sshd"}},
	{regexp.MustCompile(`^openssh-client$`), []string{"ssh"}},
	{regexp.MustCompile(`^(mariadb|mysql|default-mysql)-server`), []string{"mariadbd", "mysqld"}},
	{regexp.MustCompile(`^php[\d.]*$`), []string{"php"}},
	{regexp.MustCompile(`^bind9$`), []string{"named"}},
	{regexp.MustCompile(`^erlang`), []string{"erl"}},
	{regexp.MustCompile(`^varnish$`), []string{"varnishd"}},
	{regexp.MustCompile(`^chrony$`), []string{"chronyd"}},
	{regexp.MustCompile(`^coturn$`), []string{"turnserver"}},
	{regexp.MustCompile(`^golang-go$|^golang$`), []string{"go"}},
}

// packageSuffixes do not belong to the program's name.
var packageSuffixes = regexp.MustCompile(`(-(server|core|light|full|extras|cli|daemon|base|bin|headless|minimal|standalone|static|nox|common|[\d.]+))+$`)

// Program returns the path of the program that the packages are for: the only
// one that they have; or the one that is called like a package, even if it comes
// with another package.
func (t *Tree) Program() (string, error) {
	own := t.own()
	if len(own) == 1 {
		return own[0], nil
	}
	for _, name := range t.named {
		for _, want := range candidates(name) {
			if p := t.called(want, name); p != "" {
				return p, nil
			}
		}
	}
	packages := strings.Join(t.named, " ")
	if len(own) == 0 {
		return "", fmt.Errorf("package %s has no programs of its own: name one of another package, as in \"kiln run --deb %s /usr/bin/NAME\"", packages, t.named[0])
	}
	const shown = 8
	more := ""
	if n := len(own) - shown; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return "", fmt.Errorf("package %s has several programs: name one, as in \"kiln run --deb %s %s\"; there are %s%s",
		packages, t.named[0], own[0], strings.Join(own[:min(shown, len(own))], ", "), more)
}

// candidates are what the program of a package may be called.
func candidates(pkg string) []string {
	names := []string{pkg}
	for _, p := range programNames {
		if p.pkg.MatchString(pkg) {
			names = append(names, p.programs...)
		}
	}
	short := packageSuffixes.ReplaceAllString(pkg, "")
	names = append(names, short, short+"d", strings.TrimRight(short, "0123456789."))
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

// own are the programs of the packages that were asked for.
func (t *Tree) own() (paths []string) {
	for _, p := range t.programs {
		if slices.Contains(t.named, p.pkg) {
			paths = append(paths, p.path)
		}
	}
	return paths
}

// called returns a program by its name, of pkg if that has one; empty if there
// is none.
func (t *Tree) called(name, pkg string) (found string) {
	for _, p := range t.programs {
		if path.Base(p.path) == name && (found == "" || p.pkg == pkg) {
			found = p.path
		}
	}
	if found == "" { // update-alternatives may have made it
		for _, dir := range []string{"/usr/sbin/", "/usr/bin/"} {
			if _, err := os.Lstat(t.Dir + dir + name); err == nil {
				return dir + name
			}
		}
	}
	return found
}

func (t *Tree) readPrograms() error {
	data, err := os.ReadFile(t.Dir + programsSuffix)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		name, p, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		t.programs = append(t.programs, programFile{name, p})
	}
	return nil
}

func (t *Tree) readOwners() error {
	data, err := os.ReadFile(t.Dir + ownersSuffix)
	if err != nil {
		return err
	}
	t.Owners = map[string]Owner{}
	for line := range strings.Lines(string(data)) {
		var o Owner
		var p string
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		if len(words) != 3 {
			continue
		}
		if _, err := fmt.Sscan(words[0]+" "+words[1], &o.UID, &o.GID); err != nil {
			return err
		}
		p = words[2]
		t.Owners[p] = o
	}
	return nil
}
