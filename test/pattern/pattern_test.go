package pattern

import (
	"bytes"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	const n = 3*chunk + 5
	var b bytes.Buffer
	if err := Send(&b, n); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	if err := Check(bytes.NewReader(good), n); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string][]byte{
		"damaged": append(append(bytes.Clone(good[:1000]), good[1000]^1), good[1001:]...),
		"lost":    append(bytes.Clone(good[:1448]), good[2896:]...),
		"doubled": append(bytes.Clone(good[:2896]), good[1448:]...),
		"short":   good[:n-1],
	} {
		if err := Check(bytes.NewReader(bad), n); err == nil {
			t.Errorf("a stream that is %s passes", name)
		} else if name == "damaged" && !strings.Contains(err.Error(), "byte 1000 ") {
			t.Error(err)
		}
	}
}
