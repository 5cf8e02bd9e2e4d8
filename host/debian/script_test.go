package debian

import (
	"reflect"
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
	for script, want := range map[string][]string{
		"mkdir -p /a /b # c\ntouch '/a b'":                                           {"mkdir -p /a /b", "touch /a b"},
		"X=/var/lib\nmkdir $X/a \"${X}/b c\" '$X'":                                   {"mkdir /var/lib/a /var/lib/b c $X"},
		"adduser \\\n  --system \\\n  redis >/dev/null 2>&1 || true":                 {"adduser --system redis", "true"},
		"if ! getent passwd a >/dev/null; then adduser a; fi":                        {"getent passwd a", "adduser a"},
		"for d in a b; do mkdir /$d; done; touch /c":                                 {"mkdir /a", "mkdir /b", "touch /c"},
		"for d in a b; do for e in 1 2; do x $d$e; done; y $d; done":                 {"x a1", "x a2", "y a", "x b1", "x b2", "y b"},
		"L='p q'; for d in $L; do mkdir /$d; done":                                   {"mkdir /p", "mkdir /q"},
		"case \"$1\" in\nconfigure)\n mkdir /a;;\nesac":                              {"configure", "mkdir /a"},
		"mkdir $(dirname /a/b); mkdir $1; mkdir /c*; mkdir `x y`; true":              {"true"},
		"X=$(id \"a b\"); chown $X /a; X=1; chown $X /b":                             {"chown 1 /b"},
		"chown ${USER:-root} /a; chown ${USER:=\"x\"} /a":                            {"chown root /a"},
		"cat <<EOF >/x\nmkdir /no\nEOF\ncat <<- 'END'\nmkdir /no\n\tEND\nmkdir /yes": {"cat", "cat", "mkdir /yes"},
		"grep -q a <<< \"$B\"; a":                                                    {"grep -q a", "a"},
		"f() {\n local A=/a\n mkdir \"$DPKG_ROOT$A\"\n}\nf":                          {"f", "mkdir /a", "f"},
		"while true; do a; done; b 'unfinished":                                      {"true", "a"},
		"a=1 b c\\ d":                                                                {"b c d"},
	} {
		var got []string
		for _, words := range commands(script) {
			got = append(got, strings.Join(words, " "))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", script, got, want)
		}
	}
}

// Loops in loops end.
func TestManyCommands(t *testing.T) {
	script := strings.Repeat("for a in 1 2 3 4 5 6 7 8 9; do ", 20) + "x" + strings.Repeat("; done", 20)
	if n := len(commands(script)); n > maxCommands {
		t.Errorf("%d commands", n)
	}
}

func FuzzCommands(f *testing.F) {
	for _, s := range []string{"for d in a $b; do mkdir \"/$d\" >x 2>&1; done", "cat <<-EOF\nx\nEOF\n", "a=${b:-c} `d` $(e (f) 'g') \\", "if x; then y && z | w & fi", "'\"${"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		for _, words := range commands(script) {
			if len(words) == 0 {
				t.Error("a command without a name")
			}
		}
	})
}
