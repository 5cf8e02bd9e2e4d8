package host

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDebug(t *testing.T) {
	os.MkdirAll("/tmp/tr", 0o755)
	unix.Mount("tracefs", "/tmp/tr", "tracefs", 0, "")
	set := func(f, v string) {
		if err := os.WriteFile("/tmp/tr/"+f, []byte(v), 0); err != nil {
			t.Log(err)
		}
	}
	set("buffer_size_kb", "6000")
	for _, e := range []string{"kvm", "timer/hrtimer_start", "timer/hrtimer_expire_entry", "timer/hrtimer_cancel"} {
		set("events/"+e+"/enable", "1")
	}
	for i := range 24 {
		set("trace", "")
		set("tracing_on", "1")
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
			case <-time.After(12 * time.Second):
				set("tracing_on", "0")
				io.WriteString(in, "info registers -a\n")
				time.Sleep(time.Second)
				b, _ := os.ReadFile("/tmp/tr/trace")
				var v0 []string
				for l := range strings.Lines(string(b)) {
					if strings.Contains(l, "vcpu 0") || strings.Contains(l, "apic_timer_fn") || strings.Contains(l, "apicid 0") || strings.Contains(l, "wakeup") || strings.Contains(l, "x86-") && !strings.Contains(l, "vcpu 1") {
						v0 = append(v0, l)
					}
				}
				t.Log(len(v0))
				for _, l := range v0[max(len(v0)-3000, 0):] {
					t.Log(strings.TrimSpace(l))
				}
				b, _ = os.ReadFile("/proc/timer_list")
				t.Logf("%s", b)
				io.WriteString(in, "nmi\n")
				time.Sleep(2 * time.Second)
				io.WriteString(in, "info pic\nx/32gx 0xffffa00100000000\nx/32gx 0xffffa00100010000\nq\n")
				<-done
				for l := range strings.Lines(out.String()) {
					if !strings.HasPrefix(l, "XMM") && !strings.HasPrefix(l, "FPR") && !strings.HasPrefix(l, "YMM") && !strings.Contains(l, "info l") && !strings.Contains(l, "info r") {
						t.Log(strings.TrimSpace(l))
					}
				}
				b, _ = os.ReadFile(console)
				t.Logf("console %s", b)
				t.FailNow()
			}
		}()
	}
}
