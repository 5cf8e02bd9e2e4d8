package elf

import (
	"encoding/binary"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func sampleCache() []CacheEntry {
	return []CacheEntry{{Name: "libz.so.1", Path: "/lib/libz.so.1"}, {Name: "libc.so.6", Path: "/lib/libc.so.6"}, {Name: "liba.so", Path: "/opt/liba.so"}}
}

func TestCacheRoundTrip(t *testing.T) {
	got, err := ParseCache(AppendCache(nil, sampleCache()))
	if err != nil || !reflect.DeepEqual(got, sampleCache()) {
		t.Errorf("%v, %v", got, err)
	}
	// A cache in the older format may come first.
	got, err = ParseCache(AppendCache([]byte("ld.so-1.7.0\x00\x00\x00\x00\x00"), sampleCache()))
	if err != nil || !reflect.DeepEqual(got, sampleCache()) {
		t.Errorf("behind another: %v, %v", got, err)
	}
}

func TestCacheKinds(t *testing.T) {
	b := AppendCache(nil, sampleCache())
	binary.LittleEndian.PutUint32(b[cacheHeader:], 3) // for another architecture
	binary.LittleEndian.PutUint64(b[cacheHeader+cacheEntrySize+16:], 1<<62)
	got, err := ParseCache(b)
	want := sampleCache()[1:]
	want[0].Special = true
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDamagedCache(t *testing.T) {
	b := AppendCache(nil, sampleCache())
	for name, data := range map[string][]byte{"empty": nil, "other": []byte(strings.Repeat("x", 100)), "head": b[:40], "entries": b[:cacheHeader+30], "strings": b[:len(b)-1]} {
		if got, err := ParseCache(data); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// ldconfig prints the host's cache; what it calls libc6,x86-64 is what we read.
func TestHostsCache(t *testing.T) {
	data, err := os.ReadFile("/etc/ld.so.cache")
	if err != nil {
		t.Skip("this system has no ld.so.cache")
	}
	ldconfig, err := exec.LookPath("/sbin/ldconfig")
	if err != nil {
		t.Skip("there is no ldconfig here")
	}
	out, err := exec.Command(ldconfig, "-p").Output()
	if err != nil {
		t.Skip(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind, p, ok := strings.Cut(rest, " => "); ok && strings.Contains(kind, "libc6,x86-64") {
			want = append(want, name+" "+p)
		}
	}
	entries, err := ParseCache(data)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name+" "+e.Path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("%d entries, ldconfig prints %d", len(got), len(want))
	}
	if !slices.IsSortedFunc(entries, func(a, b CacheEntry) int { return CompareNames(b.Name, a.Name) }) {
		t.Error("ldconfig's order is not that of CompareNames")
	}
}

func TestCompareNames(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"libc.so.6", "libc.so.6", 0}, {"libc.so.6", "libc.so.10", -1}, {"libc.so.1", "libc.so", 1}, {"liba", "libb", -1}, {"lib1", "liba", 1}, {"", "a", -1}} {
		sign := func(n int) int { return max(-1, min(1, n)) }
		if got := sign(CompareNames(c.a, c.b)); got != c.want {
			t.Errorf("%s, %s: %d", c.a, c.b, got)
		}
		if got := sign(CompareNames(c.b, c.a)); got != -c.want {
			t.Errorf("%s, %s: %d", c.b, c.a, got)
		}
	}
}

func FuzzParseCache(f *testing.F) {
	f.Add(AppendCache(nil, sampleCache()))
	f.Add(AppendCache([]byte("ld.so-1.7.0\x00\x00\x00\x00\x00"), sampleCache()))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := ParseCache(data)
		if err != nil {
			return
		}
		var plain []CacheEntry
		for _, e := range entries {
			if !e.Special && !strings.Contains(e.Name+e.Path, "\x00") {
				plain = append(plain, e)
			}
		}
		again, err := ParseCache(AppendCache(nil, plain))
		if err != nil || len(plain) > 0 && !reflect.DeepEqual(again, plain) {
			t.Fatalf("%v became %v, %v", plain, again, err)
		}
	})
}
