package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFetch(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "path "+r.URL.Path)
	}))
	defer s.Close()
	var b strings.Builder
	if err := fetch(t.Context(), &b, s.Listener.Addr().String(), "/x"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"addresses [127.0.0.1]", "HTTP/1.1 200 OK", "7 bytes"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q", b.String(), want)
		}
	}
	if err := fetch(t.Context(), &b, "no-port", "/"); err == nil {
		t.Error("an address without a port gave no error")
	}
}
