package metal

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// What metal-context code may call in the runtime: checks that end the machine
// if they ever fail, and plain memory operations.
var harmless = regexp.MustCompile(`^runtime\.(panic\w*|morestack\w*|memequal\w*|memmove|memclr\w*|duff\w+|findfunc|funcname)$`)

// goroutineOnly names the unexported functions that run on goroutines. All
// exported functions do.
var goroutineOnly = map[string]bool{
	"pollOpen": true, "pollReset": true, "pollWait": true, "pollClose": true,
	"runtimePollOpen": true, "init": true,
	"check": true, "kicked": true, "nudge": true, "addDriver": true, "removeDriver": true, "checkUserRange": true, "takeTables": true, "takePages": true, "unmapUser": true, "enterPages": true,
}

// TestMetalContext checks the rules of the package comment on the compiled
// code: what runs in metal context does not allocate, store pointers through
// the write barrier, or call anything else of the runtime. Package rules checks
// the packages below this one.
func TestMetalContext(t *testing.T) {
	for _, tags := range []string{"kiln", "kiln,kiln_linux"} {
		t.Run(tags, func(t *testing.T) { checkContext(t, tags) })
	}
}

func checkContext(t *testing.T, tags string) {
	archive := filepath.Join(t.TempDir(), "metal.a")
	if out, err := exec.Command("go", "build", "-tags", tags, "-o", archive, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dump, err := exec.Command("go", "tool", "objdump", archive).Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	fn := ""
	call := regexp.MustCompile(`R_CALL[A-Z]*:([^\[<\s]+)`)
	for s := bufio.NewScanner(strings.NewReader(string(dump))); s.Scan(); {
		line := s.Text()
		if strings.HasPrefix(line, "TEXT ") {
			fn = strings.TrimSuffix(strings.Fields(line)[1], "(SB)")
			checked++
			continue
		}
		m := call.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], "runtime.") || harmless.MatchString(m[1]) {
			continue
		}
		if name := baseName(fn); !goroutineOnly[name] && !isExported(name) && !strings.HasPrefix(fn, "type:") {
			t.Errorf("%s calls %s", fn, m[1])
		}
	}
	if checked < 100 {
		t.Errorf("the disassembly shows only %d functions", checked)
	}
}

// closure is how the name of a function ends that is defined in another one.
var closure = regexp.MustCompile(`\.func\d+$`)

// baseName is the last part of a symbol's name: the function or method.
func baseName(sym string) string {
	sym = closure.ReplaceAllString(sym[strings.LastIndexByte(sym, '/')+1:], "")
	return sym[strings.LastIndexByte(sym, '.')+1:]
}

func isExported(name string) bool { return name != "" && unicode.IsUpper(rune(name[0])) }
