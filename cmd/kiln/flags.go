package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"kiln/abi"
	"kiln/host/files"
	"kiln/host/vm"
)

// Limits of what the guest supports.
const (
	maxCPUs   = 64
	minMemory = 1 << 20
)

const defaultMemory = 256 << 20 // bytes; more if there are many files

// machineFlags describe the machine.
type machineFlags struct {
	memory  memoryValue
	cpus    int
	vmm     string
	accel   string
	machine string
	flags   *pflag.FlagSet
}

func (f *machineFlags) register(flags *pflag.FlagSet) {
	f.memory, f.flags = defaultMemory, flags
	flags.VarP(&f.memory, "memory", "m", "memory: MiB, or a number with K, M or G")
	flags.IntVarP(&f.cpus, "cpus", "c", 1, "number of CPUs")
	flags.StringVar(&f.vmm, "vmm", "qemu", "virtual machine monitor: qemu")
	flags.StringVar(&f.accel, "accel", string(vm.AccelAuto), "accelerator: auto, kvm, hvf or tcg")
	flags.StringVar(&f.machine, "machine", "", "machine type: microvm, q35 or pc (default microvm)")
}

// memoryGiven says whether the user has said how much memory there is.
func (f *machineFlags) memoryGiven() bool { return f.flags.Changed("memory") }

// apply puts the flags into spec.
func (f *machineFlags) apply(spec *vm.Spec) error {
	if f.cpus < 1 || f.cpus > maxCPUs {
		return usagef("bad number of CPUs %d: choose from 1 to %d", f.cpus, maxCPUs)
	}
	if !slices.Contains([]vm.Accel{vm.AccelAuto, vm.AccelKVM, vm.AccelHVF, vm.AccelTCG}, vm.Accel(f.accel)) {
		return usagef("unknown accelerator %q: choose auto, kvm, hvf or tcg", f.accel)
	}
	if !slices.Contains([]string{"", "microvm", "q35", "pc"}, f.machine) {
		return usagef("unknown machine type %q: choose microvm, q35 or pc", f.machine)
	}
	spec.Memory, spec.CPUs = int64(f.memory), f.cpus
	spec.Accel, spec.Machine = vm.Accel(f.accel), f.machine
	return nil
}

// networkFlags describe the machine's network.
type networkFlags struct {
	ports []string
	net   string
}

func (f *networkFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.ports, "publish", "p", nil, "forward a port: [ADDRESS:]HOSTPORT:GUESTPORT[/tcp|udp]; 0 takes a free port of the host, 0.0.0.0: opens it to others")
	f.registerKind(flags)
}

// registerKind leaves out the ports.
func (f *networkFlags) registerKind(flags *pflag.FlagSet) {
	flags.StringVar(&f.net, "net", string(defaultNetwork), "network: "+networkNames)
}

func (f *networkFlags) apply(spec *vm.Spec) error {
	spec.Network = vm.Network(f.net)
	if !slices.Contains(networks, spec.Network) {
		return usagef("unknown network %q: choose %s", f.net, networkNames)
	}
	for _, s := range f.ports {
		p, err := vm.ParsePort(s)
		if err != nil {
			return &usageError{err}
		}
		spec.Ports = append(spec.Ports, p)
	}
	if len(spec.Ports) > 0 && spec.Network == vm.NetNone {
		return usagef("a machine without a network (--net=none) has no ports to forward (-p)")
	}
	return nil
}

// programFlags describe the program's surroundings.
type programFlags struct {
	env      []string
	envFiles []string
	files    []string
	dir      string
}

// register adds the flags, with short as the letter for files.
func (f *programFlags) register(flags *pflag.FlagSet, short string) {
	flags.StringArrayVarP(&f.env, "env", "e", nil, "set a variable: NAME=VALUE, or NAME to take the value from here")
	flags.StringArrayVar(&f.envFiles, "env-file", nil, "read variables from a file, one NAME=VALUE a line")
	flags.StringArrayVarP(&f.files, "file", short, nil, "put a file or directory into the machine: HOSTPATH:GUESTPATH")
}

// environment returns the variables that the flags ask for, those of files
// first.
func (f *programFlags) environment() ([]string, error) {
	var env []string
	for _, name := range f.envFiles {
		more, err := readEnvFile(name)
		if err != nil {
			return nil, err
		}
		env = append(env, more...)
	}
	for _, s := range f.env {
		v, ok, err := parseVariable(s)
		if err != nil {
			return nil, usagef("bad variable %q (-e): %w", s, err)
		}
		if ok {
			env = append(env, v)
		}
	}
	return env, nil
}

// parseVariable reads NAME=VALUE, or NAME alone for the value that it has in
// Kiln's own environment; ok is false if it has none.
func parseVariable(s string) (v string, ok bool, err error) {
	name, _, given := strings.Cut(s, "=")
	if name == "" || strings.ContainsAny(name, " \t\x00") {
		return "", false, fmt.Errorf("write it as NAME=VALUE")
	}
	if given {
		return s, true, nil
	}
	value, ok := os.LookupEnv(name)
	return name + "=" + value, ok, nil
}

// readEnvFile reads variables, one a line, as -e takes them. Empty lines and
// lines that start with # are passed over.
func readEnvFile(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usagef("--env-file: %w", err)
	}
	defer f.Close()
	var env []string
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		v, ok, err := parseVariable(line)
		if err != nil {
			return nil, usagef("bad variable %q (%s, line %d): %w", line, name, n, err)
		}
		if ok {
			env = append(env, v)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return env, nil
}

// apply puts the flags into a manifest and a set of files.
func (f *programFlags) apply(m *abi.Manifest, set *files.Set) error {
	env, err := f.environment()
	if err != nil {
		return err
	}
	m.Env = append(m.Env, env...)
	m.Dir = f.dir
	return f.addFiles(set)
}

// addFiles adds the files that the flags ask for.
func (f *programFlags) addFiles(set *files.Set) error {
	for _, s := range f.files {
		host, guest, err := files.ParseMapping(s)
		if err != nil {
			return &usageError{err}
		}
		if err := set.Add(host, guest); err != nil {
			return usagef("bad file %q: %w", s, err)
		}
	}
	return nil
}

// given reports whether any of the flags is.
func (f *programFlags) given() bool {
	return len(f.env)+len(f.envFiles)+len(f.files) > 0 || f.dir != ""
}

// memoryValue is an amount of memory in bytes. A bare number means MiB.
type memoryValue int64

func (v *memoryValue) Type() string   { return "size" }
func (v *memoryValue) String() string { return strconv.FormatInt(int64(*v)>>20, 10) + "M" }

func (v *memoryValue) Set(s string) error {
	digits := strings.TrimRight(s, "KkMmGgTtIiBb")
	shift, ok := map[string]uint{"": 20, "k": 10, "m": 20, "g": 30, "t": 40}[strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(s[len(digits):]), "b"), "i")]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || !ok {
		return fmt.Errorf("write it as a number of MiB, or with K, M or G, such as 256M")
	}
	bytes := int64(n) << shift
	if bytes < minMemory || bytes>>shift != int64(n) {
		return fmt.Errorf("%s is not an amount of memory that a machine can have", s)
	}
	*v = memoryValue(bytes)
	return nil
}
