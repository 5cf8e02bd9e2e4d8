package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindUser(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\n# no line\npostgres:x:105:110:,,,:/var/lib/postgresql:/bin/bash\nbad:x:y:0::/:\n",
		"group":  "root:x:0:\npostgres:x:110:\nssl-cert:x:112:other,postgres\nstaff:x:50:postgres\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for spec, want := range map[string]string{
		"postgres":       "105:110,112,50 /var/lib/postgresql",
		"105":            "105:110,112,50 /var/lib/postgresql",
		"postgres:staff": "105:50 /var/lib/postgresql",
		"postgres:7":     "105:7 /var/lib/postgresql",
		"1000":           "1000:0 ",
		"1000:1000":      "1000:1000 ",
	} {
		if u, err := FindUser(dir, spec); err != nil || u.String()+" "+u.Home != want {
			t.Errorf("%s: %s %s, %v; want %s", spec, u, u.Home, err, want)
		}
	}
	for spec, want := range map[string]string{
		"nobody":      `there is no user "nobody"`,
		"":            `there is no user ""`,
		"postgres:no": `there is no group "no"`,
		"4294967295":  `there is no user "4294967295"`,
		"bad":         "the line of bad",
	} {
		if u, err := FindUser(dir, spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s", spec, u, err, want)
		}
	}
	if u, err := FindUser(t.TempDir(), "5:6"); err != nil || u.String() != "5:6" {
		t.Errorf("without accounts: %s, %v", u, err)
	}
}
