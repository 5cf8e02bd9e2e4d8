//go:build kiln_linux && kiln_profile

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"runtime"
	"runtime/pprof"

	"kiln/kernel"
)

const samplesPerSecond = 500

// A kernel with this tag makes a CPU profile of itself and prints it after the
// program, as base64 (test/bench/pgo.sh).
func init() {
	runLinux = func(s *kernel.System) int {
		var profile bytes.Buffer
		runtime.SetCPUProfileRate(samplesPerSecond)
		if err := pprof.StartCPUProfile(&profile); err != nil { // it keeps the rate, and says so
			panic(err)
		}
		status := s.RunLinux()
		pprof.StopCPUProfile()
		fmt.Printf("\nPROFILE\n%s\n", base64.StdEncoding.EncodeToString(profile.Bytes()))
		return status
	}
}
