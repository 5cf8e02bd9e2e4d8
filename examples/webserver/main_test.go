package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	a, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

func TestAnswers(t *testing.T) {
	s := httptest.NewServer(handler())
	defer s.Close()
	if status, body := get(t, s.URL+"/"); status != http.StatusOK || !strings.HasPrefix(body, "Hello") {
		t.Errorf("/: %d %q", status, body)
	}
	if status, body := get(t, s.URL+"/big?n=100001"); status != http.StatusOK || len(body) != 100001 || body[300] != 300&0xff {
		t.Errorf("/big: status %d, %d bytes", status, len(body))
	}
	if status, _ := get(t, s.URL+"/big?n=-1"); status != http.StatusBadRequest {
		t.Errorf("/big with a negative size: status %d", status)
	}
	if status, _ := get(t, s.URL+"/none"); status != http.StatusNotFound {
		t.Errorf("/none: status %d", status)
	}
}

func TestShutsDown(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	out, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", w); w.Close() }()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "listening on "))
	if status, _ := get(t, "http://"+addr+"/"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	cancel()
	if b, _ := io.ReadAll(out); !strings.Contains(string(b), "shutting down") {
		t.Errorf("said %q", b)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
