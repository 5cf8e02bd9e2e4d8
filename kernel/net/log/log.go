// Package log stands in for gVisor's package of the same name in kernels: host/
// build links netstack with it. The original formats with encoding/json and
// regexp, which would be the largest part of the network, and writes to
// standard error, which belongs to the program.
package log

import "time"

// Logger is gVisor's interface. Nothing is written anywhere.
type Logger interface {
	Debugf(format string, v ...any)
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	IsLogging(level Level) bool
}

// Level is how much is logged.
type Level uint32

// The levels.
const (
	Warning Level = iota
	Info
	Debug
)

type quiet struct{}

func (quiet) Debugf(string, ...any)   {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warningf(string, ...any) {}
func (quiet) IsLogging(Level) bool    { return false }

// Log returns the logger.
func Log() Logger { return quiet{} }

// BasicRateLimitedLogger returns the logger.
func BasicRateLimitedLogger(time.Duration) Logger { return quiet{} }

// Debugf, Infof and Warningf do nothing.
func Debugf(string, ...any)   {}
func Infof(string, ...any)    {}
func Warningf(string, ...any) {}

// IsLogging returns false.
func IsLogging(Level) bool { return false }

// BugTracebackOnce does nothing.
func BugTracebackOnce(any) {}
