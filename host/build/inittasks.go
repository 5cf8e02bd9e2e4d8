package build

// The linker lists the packages that have something to initialise in the
// symbol go:main.inittasks: addresses of records named PACKAGE..inittask, in
// an order that respects imports and is alphabetical where it can be. The
// runtime works through the list before main.main.
//
// A kernel has to be up before any package of the program is initialised: an
// init function may open a file. Nothing imports kernel/start for its sake, so
// the linker may place it late. The list is therefore partitioned: first the
// records of kernel/start and of all that it imports, directly or not, then
// all others, each part in the linker's order. The first part is closed under
// imports, so both orders still respect them.
//
// The runtime's own packages are in a list of their own and come before.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	inittasksSymbol = "go:main.inittasks"
	inittaskSuffix  = "..inittask"
)

// orderInittasks moves the packages in first to the front of the list. If
// first is empty nothing is changed.
func orderInittasks(m *image, syms []symbol, first map[string]bool) error {
	if len(first) == 0 {
		return nil
	}
	list, err := inittaskList(m, syms)
	if err != nil {
		return err
	}
	pkgs, err := inittaskPackages(m, syms)
	if err != nil {
		return err
	}
	out := make([]byte, 0, len(list))
	started := false
	for _, want := range []bool{true, false} {
		for i, pkg := range pkgs {
			if first[pkg] == want {
				out = append(out, list[8*i:8*i+8]...)
				started = started || pkg == startPackage
			}
		}
	}
	if !started {
		return errors.New("the linker has left out " + startPackage)
	}
	copy(list, out)
	return nil
}

// inittaskList returns the list's bytes in the file.
func inittaskList(m *image, syms []symbol) ([]byte, error) {
	for _, s := range syms {
		if s.name == inittasksSymbol {
			return m.at(s.value, s.size&^7)
		}
	}
	return nil, errors.New("the program has no symbol " + inittasksSymbol)
}

// inittaskPackages returns the import paths of the list.
func inittaskPackages(m *image, syms []symbol) ([]string, error) {
	list, err := inittaskList(m, syms)
	if err != nil {
		return nil, err
	}
	names := map[uint64]string{}
	for _, s := range syms {
		if pkg, ok := strings.CutSuffix(s.name, inittaskSuffix); ok {
			names[s.value] = unescape(pkg)
		}
	}
	pkgs := make([]string, 0, len(list)/8)
	for i := 0; i < len(list); i += 8 {
		addr := binary.LittleEndian.Uint64(list[i:])
		pkg, ok := names[addr]
		if !ok {
			return nil, fmt.Errorf("%s has an entry %#x that is no package's", inittasksSymbol, addr)
		}
		pkgs = append(pkgs, pkg)
	}
	return pkgs, nil
}
