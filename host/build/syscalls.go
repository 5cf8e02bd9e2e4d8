package build

// The kernel answers system calls of the program by function calls. For that,
// the standard library's syscall/syscall_linux.go is replaced by a version in
// which Syscall, Syscall6, RawSyscall and RawSyscall6 first ask kilnHook, a
// variable that kiln/kernel/metal sets. AllThreadsSyscall and
// AllThreadsSyscall6 (setuid, setgid, setgroups and their kin) ask it too, and
// if it handles the call, that is for all threads. The file is generated from
// the installed toolchain's own: these six functions get new bodies, two
// declarations are appended, everything else stays byte for byte.
//
// The arguments of a system call are uintptrs, and some of them are addresses
// on the caller's stack. The hook is ordinary Go: it may grow the stack, which
// moves it, and nothing adjusts a uintptr. So kilnCall, before anything can
// move the stack, turns the arguments that are pointers into unsafe.Pointers.
// It may do so because
//
//   - it and its callers are nosplit (their stack cannot grow) and
//     uintptrkeepalive (what the uintptrs were made from is alive), and an
//     asynchronous preemption does not shrink a stack;
//   - values below 4096, which are no pointers whatever the table says, are
//     left alone: the runtime takes them for a corrupted stack.
//
// If the hook declines, the stack may have moved all the same, so the SYSCALL
// instruction gets its arguments from the pointers.
//
// kilnCall has returned when the runtime is told of a system call that blocks:
// its frame and that of entersyscall would not both fit into what the linker
// allows for nosplit functions, if the program is built without optimisations.
//
// Some calls do not come this way and trap into metal, which answers them
// itself or forwards them:
//
//   - all of package runtime's own (futex, mmap, epoll, clone, signals, ...),
//     through internal/runtime/syscall/linux;
//   - syscall.rawSyscallNoError: getpid, getppid, gettid, getuid, geteuid,
//     getgid, getegid, umask; and SyscallNoError and RawSyscallNoError of
//     golang.org/x/sys/unix: the same, sync, getresuid, getresgid (with
//     pointers, which may lie in the stack) and exit_group;
//   - syscall.gettimeofday and the clock functions of package time, through
//     the vDSO where metal offers one;
//   - what the hook does not handle of syscall.AllThreadsSyscall and
//     AllThreadsSyscall6: the runtime stops the world and makes the call on
//     each thread, the others reached by a real-time signal (tgkill), and
//     panics if their results differ;
//   - syscall.rawVforkSyscall: clone and clone3 of a test whether there are
//     process descriptors (forkExec does not come that far, see forkexec.go);
//   - assembly of the program's own.
//
// internal/syscall/unix, internal/poll, os, net and golang.org/x/sys/unix all
// use the four functions, some by linkname.

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"slices"
	"strings"
)

// hookedFile is the file of the standard library that is replaced.
const hookedFile = "syscall/syscall_linux.go"

// hooked are the functions that are changed: the body that they must have, so
// that the new one means the same, and the new one.
var hooked = map[string]struct{ old, new string }{
	"RawSyscall": {
		old: "return RawSyscall6(trap, a1, a2, a3, 0, 0, 0)",
		new: threeArguments + askKernel + trapToMetal,
	},
	"RawSyscall6": {
		old: "var errno uintptr r1, r2, errno = linux.Syscall6(trap, a1, a2, a3, a4, a5, a6) err = Errno(errno) return",
		new: askKernel + trapToMetal,
	},
	"Syscall": {
		old: "runtime_entersyscall() r1, r2, err = RawSyscall6(trap, a1, a2, a3, 0, 0, 0) runtime_exitsyscall() return",
		new: threeArguments + askKernel + trapBlocking,
	},
	"Syscall6": {
		old: "runtime_entersyscall() r1, r2, err = RawSyscall6(trap, a1, a2, a3, a4, a5, a6) runtime_exitsyscall() return",
		new: askKernel + trapBlocking,
	},
	"AllThreadsSyscall": {
		old: "if cgo_libc_setegid != nil { return minus1, minus1, ENOTSUP } r1, r2, errno := runtime_doAllThreadsSyscall(trap, a1, a2, a3, 0, 0, 0) return r1, r2, Errno(errno)",
		new: threeArguments + askKernel + trapOnAllThreads,
	},
	"AllThreadsSyscall6": {
		old: "if cgo_libc_setegid != nil { return minus1, minus1, ENOTSUP } r1, r2, errno := runtime_doAllThreadsSyscall(trap, a1, a2, a3, a4, a5, a6) return r1, r2, Errno(errno)",
		new: askKernel + trapOnAllThreads,
	},
}

// The directives of the functions, by which their arguments stay valid.
var (
	keepsPointers   = []string{"uintptrkeepalive", "nosplit"}
	escapesPointers = []string{"uintptrescapes"} // AllThreadsSyscall's
)

// Parts of the new bodies.
const (
	threeArguments = `
	var a4, a5, a6 uintptr`

	askKernel = `
	if kilnHook != nil {
		var handled bool
		a1, a2, a3, a4, a5, a6, handled = kilnCall(trap, a1, a2, a3, a4, a5, a6)
		if handled {
			return a1, a2, Errno(a3)
		}
	}
	var errno uintptr`

	trapToMetal = `
	r1, r2, errno = linux.Syscall6(trap, a1, a2, a3, a4, a5, a6)
	return r1, r2, Errno(errno)
`
	trapBlocking = `
	runtime_entersyscall()
	r1, r2, errno = linux.Syscall6(trap, a1, a2, a3, a4, a5, a6)
	runtime_exitsyscall()
	return r1, r2, Errno(errno)
`
	trapOnAllThreads = `
	r1, r2, errno = runtime_doAllThreadsSyscall(trap, a1, a2, a3, a4, a5, a6)
	return r1, r2, Errno(errno)
`
)

// kilnCall is appended to the file. The %s is the table of pointer masks.
const kilnCall = `
// kilnHook is the kernel's answer to system calls. p1 to p6 are those of the
// arguments that are pointers. It sets handled, or else the SYSCALL
// instruction is executed.
//
//go:linkname kilnHook
var kilnHook func(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 unsafe.Pointer) (r1, r2 uintptr, errno Errno, handled bool)

// kilnPointers has a byte for each system call; bit i is set if argument i+1
// is a pointer.
const kilnPointers = %s

// kilnCall calls the hook. If it handles the call, x1 and x2 are the results
// and x3 is the error; otherwise x1 to x6 are the arguments, with pointers to
// the stack where it is now.
//
//go:uintptrkeepalive
//go:nosplit
//go:norace
//go:nocheckptr
func kilnCall(trap, a1, a2, a3, a4, a5, a6 uintptr) (x1, x2, x3, x4, x5, x6 uintptr, handled bool) {
	var mask byte
	if trap < uintptr(len(kilnPointers)) { // no index expression: there is no stack left for its panic
		mask = *(*byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(kilnPointers)), trap))
	}
	var p1, p2, p3, p4, p5, p6 unsafe.Pointer
	if mask&1 != 0 && a1 >= 4096 {
		p1 = unsafe.Pointer(a1)
	}
	if mask&2 != 0 && a2 >= 4096 {
		p2 = unsafe.Pointer(a2)
	}
	if mask&4 != 0 && a3 >= 4096 {
		p3 = unsafe.Pointer(a3)
	}
	if mask&8 != 0 && a4 >= 4096 {
		p4 = unsafe.Pointer(a4)
	}
	if mask&16 != 0 && a5 >= 4096 {
		p5 = unsafe.Pointer(a5)
	}
	if mask&32 != 0 && a6 >= 4096 {
		p6 = unsafe.Pointer(a6)
	}
	r1, r2, errno, handled := kilnHook(trap, a1, a2, a3, a4, a5, a6, p1, p2, p3, p4, p5, p6)
	if handled {
		return r1, r2, uintptr(errno), 0, 0, 0, true
	}
	if p1 != nil {
		a1 = uintptr(p1)
	}
	if p2 != nil {
		a2 = uintptr(p2)
	}
	if p3 != nil {
		a3 = uintptr(p3)
	}
	if p4 != nil {
		a4 = uintptr(p4)
	}
	if p5 != nil {
		a5 = uintptr(p5)
	}
	if p6 != nil {
		a6 = uintptr(p6)
	}
	return a1, a2, a3, a4, a5, a6, false
}
`

// hookSyscalls returns the hooked version of the syscall_linux.go of a
// toolchain whose version is for messages.
func hookSyscalls(src []byte, version string) ([]byte, error) {
	unknown := func(what string) error {
		return fmt.Errorf("%s of %s has changed in a way that this version of kiln does not know (%s): update kiln, or build with an older patch release (GOTOOLCHAIN)", hookedFile, version, what)
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, hookedFile, src, parser.ParseComments)
	if err != nil {
		return nil, unknown(err.Error())
	}
	if err := checkImports(file); err != nil {
		return nil, unknown(err.Error())
	}
	var edits []edit
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil {
			continue
		}
		h, ok := hooked[fn.Name.Name]
		if !ok {
			continue
		}
		directives := keepsPointers
		if strings.HasPrefix(fn.Name.Name, "AllThreads") {
			directives = escapesPointers
		}
		if !hasDirectives(fn, directives...) || bodyText(fset, fn) != h.old || signature(fset, fn) != wantSignature(fn.Name.Name) {
			return nil, unknown("func " + fn.Name.Name)
		}
		edits = append(edits, edit{fset.Position(fn.Body.Lbrace).Offset, int(fn.Body.Rbrace - fn.Body.Lbrace), "{" + h.new})
	}
	if len(edits) != len(hooked) {
		return nil, unknown("a function is missing")
	}
	return fmt.Appendf(applyEdits(src, edits), kilnCall, pointerTable()), nil
}

// checkImports makes sure that the names that the new code uses mean what it
// takes them for.
func checkImports(file *ast.File) error {
	for _, want := range []string{`"internal/runtime/syscall/linux"`, `"unsafe"`} {
		if !slices.ContainsFunc(file.Imports, func(s *ast.ImportSpec) bool { return s.Name == nil && s.Path.Value == want }) {
			return fmt.Errorf("no import of %s", want)
		}
	}
	return nil
}

func hasDirectives(fn *ast.FuncDecl, names ...string) bool {
	for _, n := range names {
		if fn.Doc == nil || !slices.ContainsFunc(fn.Doc.List, func(c *ast.Comment) bool { return c.Text == "//go:"+n }) {
			return false
		}
	}
	return true
}

// bodyText is the function's body on one line, without comments.
func bodyText(fset *token.FileSet, fn *ast.FuncDecl) string {
	var b bytes.Buffer
	for _, s := range fn.Body.List {
		printer.Fprint(&b, fset, s)
		b.WriteByte(' ')
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func signature(fset *token.FileSet, fn *ast.FuncDecl) string {
	var b bytes.Buffer
	printer.Fprint(&b, fset, fn.Type)
	return b.String()
}

func wantSignature(name string) string {
	args := "trap, a1, a2, a3"
	if strings.HasSuffix(name, "6") {
		args += ", a4, a5, a6"
	}
	return "func(" + args + " uintptr) (r1, r2 uintptr, err Errno)"
}

// pointerTable returns calls as a Go string constant of masks.
func pointerTable() string {
	masks := make([]byte, calls[len(calls)-1].number+1)
	for _, c := range calls {
		for i, a := range c.args {
			if a == 'p' {
				masks[c.number] |= 1 << i
			}
		}
	}
	var b strings.Builder
	for i, m := range masks {
		switch {
		case i == 0:
			b.WriteString(`"`)
		case i%16 == 0:
			b.WriteString("\" +\n\t\"")
		}
		fmt.Fprintf(&b, `\x%02x`, m)
	}
	b.WriteString(`"`)
	return b.String()
}

// IsSystemCall says whether Linux has a system call of that name.
func IsSystemCall(name string) bool {
	for _, c := range calls {
		if c.name == name {
			return true
		}
	}
	return false
}
