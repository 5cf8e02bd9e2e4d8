package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"kiln/host/vm"
)

// signals receives what a terminal or a service manager sends to Kiln.
//
// Before there is a machine, a signal ends the work at hand. Then the first
// one asks the program to end (SIGTERM, whichever signal came), and the next
// one kills the machine.
type signals struct {
	incoming chan os.Signal

	mu     sync.Mutex
	cancel context.CancelCauseFunc // until there is a machine
	m      vm.Machine
	asked  func() // tells the user about the first one
	count  int    // since there is a machine
}

// catchSignals starts to receive. A job in the background that reads from its
// terminal would be stopped; it finds its input at an end instead.
func catchSignals() *signals {
	s := &signals{incoming: make(chan os.Signal, 4)}
	signal.Ignore(syscall.SIGTTIN)
	signal.Notify(s.incoming, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for range s.incoming {
			s.handle()
		}
	}()
	return s
}

func (s *signals) stop() {
	signal.Stop(s.incoming)
	close(s.incoming)
}

// cancels returns a context that ends with the first signal, as long as there
// is no machine.
func (s *signals) cancels(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	return ctx, cancel
}

// forward has the signals sent to m from now on.
func (s *signals) forward(m vm.Machine, asked func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m, s.asked = m, asked
}

func (s *signals) handle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.m == nil:
		if s.cancel != nil {
			s.cancel(nil)
		}
	case s.count == 0:
		s.m.Signal(int(syscall.SIGTERM))
		s.asked()
		s.count++
	default:
		s.m.Kill()
	}
}
