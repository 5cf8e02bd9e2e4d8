package console_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/console"
	"kiln/kernel/device/virtio/probe"
)

var _ device.Console = (*console.Driver)(nil)

func newDriver(t testing.TB, vectors int) (*console.Driver, *devicetest.Console) {
	t.Helper()
	m := devicetest.NewMachine(t)
	dev := devicetest.NewConsole(m)
	line := ""
	if vectors > 0 {
		devicetest.NewPCI(devicetest.NewBus(m), 1<<3, dev.Virtio, vectors, 0xe0000000)
	} else {
		devicetest.NewMMIO(dev.Virtio, 0xfeb00000, 5)
		line = devicetest.CommandLine(0xfeb00000, 5)
	}
	found, err := probe.Devices(m, line)
	if err != nil || len(found) != 1 || found[0].ID != virtio.Console {
		t.Fatalf("probe: %v, %v", found, err)
	}
	tr, err := found[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	d, err := console.New(tr, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, dev
}

func TestOutput(t *testing.T) {
	for _, vectors := range []int{0, 1, 3} {
		d, dev := newDriver(t, vectors)
		want := strings.Repeat("All work and no play makes Jack a dull boy.\n", 1000)
		for s := want; len(s) > 0; {
			n := min(len(s), 9999)
			if got, err := d.Write([]byte(s[:n])); got != n || err != nil {
				t.Fatalf("Write = %d, %v", got, err)
			}
			s = s[n:]
		}
		dev.Do(func() {
			if dev.Output.String() != want {
				t.Error("the output is not what was written")
			}
		})
	}
}

func TestInput(t *testing.T) {
	for _, vectors := range []int{0, 1, 3} {
		d, dev := newDriver(t, vectors)
		want := strings.Repeat("0123456789abcdef", 5000)
		go func() {
			for s := want; len(s) > 0; {
				n := min(len(s), 777)
				dev.Type(s[:n])
				s = s[n:]
			}
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(d, got); err != nil || string(got) != want {
			t.Errorf("the input is not what was typed: %v", err)
		}
		dev.Type("xyz")
		p := make([]byte, 2)
		if n, err := d.Read(p); n != 2 || err != nil || string(p) != "xy" {
			t.Errorf("Read = %d, %v, %q", n, err, p)
		}
		if n, err := d.Read(nil); n != 0 || err != nil {
			t.Errorf("Read of nothing = %d, %v", n, err)
		}
		if n, err := d.Read(p); n != 1 || err != nil || p[0] != 'z' {
			t.Errorf("Read = %d, %v, %q", n, err, p)
		}
	}
}

func TestCloseEndsReadAndWrite(t *testing.T) {
	d, dev := newDriver(t, 3)
	dev.Die()
	errs := make(chan error)
	go func() {
		_, err := d.Read(make([]byte, 1))
		errs <- err
	}()
	go func() {
		_, err := d.Write(make([]byte, 1))
		errs <- err
	}()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, device.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
}

func TestBrokenDevice(t *testing.T) {
	d, dev := newDriver(t, 0)
	dev.Do(func() {
		for q := range 2 {
			dev.Ring(q).SetUsedIdx(100)
		}
	})
	dev.Die()
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, virtio.ErrBroken) {
		t.Errorf("Read: %v", err)
	}
	if _, err := d.Write(make([]byte, 1)); !errors.Is(err, virtio.ErrBroken) {
		t.Errorf("Write: %v", err)
	}
}

// FuzzConsole lets the device return input buffers as the input says.
func FuzzConsole(f *testing.F) {
	f.Add([]byte{0, 3, 0, 0, 0, 200, 1, 2, 2, 3, 0, 3, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, dev := newDriver(t, 0)
		for len(b) >= 2 {
			op, v := b[0], b[1]
			b = b[2:]
			dev.Do(func() {
				r := dev.Ring(0)
				switch op % 4 {
				case 0:
					if c, ok := r.Pop(); ok {
						r.Push(c.Head, uint32(v)<<(op>>4))
						r.Flush()
					}
				case 1:
					r.PutUsed(r.UsedIdx(), uint32(v), uint32(op))
				case 2:
					r.SetUsedIdx(r.UsedIdx() + uint16(v))
				case 3:
					dev.RaiseQueue(0)
				}
			})
		}
		// Whatever it was, Read ends: with input, with an error, or by Close.
		done := make(chan bool)
		go func() {
			defer close(done)
			for {
				p := make([]byte, 5)
				n, err := d.Read(p)
				if n > len(p) || err == nil && n == 0 {
					t.Errorf("Read of %d = %d, %v", len(p), n, err)
				}
				if err != nil {
					if !errors.Is(err, virtio.ErrBroken) && !errors.Is(err, device.ErrClosed) {
						t.Errorf("error %v", err)
					}
					return
				}
			}
		}()
		time.Sleep(50 * time.Microsecond)
		d.Close()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("the driver hangs")
		}
	})
}
