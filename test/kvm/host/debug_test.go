package host

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDebug(t *testing.T) {
	for i := range 12 {
		func() {
			ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
			defer cancel()
			cmd := qemu(ctx, q35, "host", "machine", "-monitor", "stdio")
			in, _ := cmd.StdinPipe()
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			start := time.Now()
			cmd.Start()
			done := make(chan bool)
			go func() { cmd.Wait(); close(done) }()
			select {
			case <-done:
				t.Log(i, "ok", time.Since(start))
			case <-time.After(20 * time.Second):
				for range 2 {
					io.WriteString(in, "info registers -a\ninfo lapic 0\ninfo lapic 1\n")
					time.Sleep(time.Second)
				}
				io.WriteString(in, "nmi\n")
				time.Sleep(2 * time.Second)
				io.WriteString(in, "info pic\nx/32gx 0xffffa00100000000\nx/32gx 0xffffa00100010000\nq\n")
				<-done
				for l := range strings.Lines(out.String()) {
					if !strings.HasPrefix(l, "XMM") && !strings.HasPrefix(l, "FPR") && !strings.HasPrefix(l, "YMM") && !strings.Contains(l, "info l") && !strings.Contains(l, "info r") {
						t.Log(strings.TrimSpace(l))
					}
				}
				b, _ := os.ReadFile(console)
				t.Logf("console %s", b)
			}
		}()
	}
}
