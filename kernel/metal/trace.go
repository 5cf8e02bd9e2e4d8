package metal

import "unsafe"

// The boot trace: marks with the time since the first instruction, printed when
// the machine ends, if the kernel command line has the word "kiln.trace".

var trace struct {
	on    bool
	n     int
	marks [64]struct {
		name, len uintptr
		tsc       uint64
	}
}

const traceWord = "kiln.trace"

// mark records an event; name must be a constant.
func mark(name string) {
	if !trace.on || trace.n == len(trace.marks) {
		return
	}
	m := &trace.marks[trace.n]
	m.name, m.len = uintptr(unsafe.Pointer(unsafe.StringData(name))), uintptr(len(name))
	m.tsc = rdtsc()
	trace.n++
}

// Trace adds an event to the boot trace. The name must be a constant. It costs
// nothing to speak of when the trace is off.
func Trace(name string) { mark(name) }

func initTrace() {
	line := bootData.cmdline[:bootData.cmdlineLen]
	for i := 0; i+len(traceWord) <= len(line); i++ {
		if string(line[i:i+len(traceWord)]) == traceWord {
			trace.on = true
		}
	}
}

func printTrace() {
	for i := 0; i < trace.n && i < len(trace.marks); i++ {
		m := &trace.marks[i]
		us := (m.tsc - bootData.entryTSC) * 1_000_000 / tscHz
		putString(serial.errPort, "trace ")
		putDecimal(serial.errPort, us)
		putByte(serial.errPort, ' ')
		for k := uintptr(0); k < m.len; k++ {
			putByte(serial.errPort, peek8(m.name+k))
		}
		putByte(serial.errPort, '\n')
	}
}
