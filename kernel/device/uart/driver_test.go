package uart_test

import (
	"errors"
	"strings"
	"testing"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/uart"
)

var _ device.Console = (*uart.Driver)(nil)

func TestProbe(t *testing.T) {
	m := devicetest.NewUART(uart.COM1, nil)
	if !uart.Probe(m, uart.COM1) {
		t.Error("the port is not found")
	}
	if uart.Probe(m, uart.COM2) {
		t.Error("a port is found where none is")
	}
	if n := m.Output(); n != "" {
		t.Errorf("Probe writes %q", n)
	}
}

func TestLines(t *testing.T) {
	for base, want := range map[uint16]int{uart.COM1: 4, uart.COM2: 3, uart.COM3: 4, uart.COM4: 3} {
		if got := uart.Line(base); got != want {
			t.Errorf("line of %#x is %d, want %d", base, got, want)
		}
	}
}

func TestWrite(t *testing.T) {
	for _, slow := range []int{0, 1, 280} {
		m := devicetest.NewUART(uart.COM1, nil)
		m.Slow = slow
		d := uart.New(m, uart.COM1, nil)
		want := strings.Repeat("0123456789", 7)
		if n, err := d.Write([]byte(want)); n != len(want) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
		d.Drain()
		if got := m.Output(); got != want || m.Overrun > 0 {
			t.Errorf("slow %d: output %q, %d bytes lost", slow, got, m.Overrun)
		}
		if m.Divisor() != 1 {
			t.Errorf("divisor %d", m.Divisor())
		}
	}
}

func TestRead(t *testing.T) {
	i := devicetest.NewInterrupt()
	m := devicetest.NewUART(uart.COM2, i)
	d := uart.New(m, uart.COM2, i)
	want := strings.Repeat("abcdefg", 1000)
	go func() {
		for _, c := range want {
			m.Type(string(c))
		}
	}()
	var got strings.Builder
	p := make([]byte, 5)
	for got.Len() < len(want) {
		n, err := d.Read(p)
		if n == 0 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		got.Write(p[:n])
	}
	if got.String() != want {
		t.Error("the input is not what was typed")
	}
	done := make(chan error)
	go func() {
		_, err := d.Read(p)
		done <- err
	}()
	i.Close()
	if err := <-done; !errors.Is(err, device.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

func TestReadWithoutInterrupt(t *testing.T) {
	m := devicetest.NewUART(uart.COM1, nil)
	d := uart.New(m, uart.COM1, nil)
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, device.ErrClosed) {
		t.Errorf("error %v", err)
	}
}
