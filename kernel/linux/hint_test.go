//go:build kiln_linux

package linux

import (
	"strings"
	"testing"
)

func TestProcessHint(t *testing.T) {
	for args, want := range map[string]string{
		"/usr/sbin/nginx -c x":                       "master_process off",
		"php-fpm8.2":                                 "php -S",
		"python3 -u /venv/bin/gunicorn app":          "waitress",
		"/usr/bin/python3.11 app.py":                 "ThreadPoolExecutor",
		"node app.js":                                "worker_threads",
		"nodeworker":                                 "",
		"/bin/sh -c x":                               "run the program itself",
		"/usr/local/bin/server /usr/share/nginxlike": "",
		"": "",
	} {
		got := processHint(strings.Fields(args))
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q", args, got)
		}
	}
}

// What an interpreter asks for in passing is not told, and of much only the end.
func TestReportedFiles(t *testing.T) {
	var r report
	for _, name := range []string{"/usr/lib/python3.11/__pycache__/os.cpython-311.pyc", "/usr/lib/python311.zip", "/usr/lib/locale/C/LC_CTYPE", "/x/libz.so.1", "/etc/ld.so.cache", "/etc/app.conf", "/srv/data"} {
		r.noFile(name)
	}
	loaded := []string{"/lib/libz.so.1"}
	if got := strings.Join(r.lines(loaded), "; "); got != "it did not find: /etc/app.conf, /srv/data" {
		t.Error(got)
	}
	for i := range maxMissing {
		r.noFile("/f" + strings.Repeat("x", i))
	}
	if got := r.lines(loaded)[0]; strings.Count(got, "/f") != shownMissing || !strings.HasSuffix(got, "/f"+strings.Repeat("x", maxMissing-1)) || !strings.Contains(got, "find: 22 others, ") {
		t.Error(got)
	}
}
