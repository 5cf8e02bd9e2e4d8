package metal

import (
	"kiln/abi"
	"kiln/kernel/metal/acpi"
)

// How the outside ends the program: the control port's messages and the ACPI
// power button. Both interrupts are handled here in metal, because a signal must
// reach the program even when no thread of it looks for events.

const (
	vecControl = vecDeviceEnd
	vecACPI    = vecDeviceEnd + 1
	comIRQ     = 3 // COM2, on the ISA bus
	sigTERM    = 15
)

func initControl() {
	if serial.control && routeISA(comIRQ, vecControl) {
		const port = abi.PortControl
		Out8(port+2, 0x07)       // FIFOs on and empty
		Out8(port+4, 0x0b)       // DTR, RTS, OUT2: the interrupt line is connected
		Out8(port+uartIER, 0x01) // receive interrupt
		sendControl(abi.MsgHello, abi.Version)
		controlInterrupt() // what came before; also lowers the line
	}
	if pm := &firmware.Power; haveACPI && pm.PM1aEvent.Space == acpi.SpacePort && pm.PM1aEvent.Addr != 0 && routeISA(uint8(pm.SCI), vecACPI) {
		if pm.SMICommand != 0 {
			Out8(pm.SMICommand, pm.EnableValue)
		}
		Out16(uint16(pm.PM1aEvent.Addr)+pm1Enable, powerButton)
	}
}

// Fixed ACPI events (ACPI 6.5, 4.8.3.1): the status register, and behind it
// the enable register.
const (
	pm1Enable   = 2
	powerButton = 1 << 8
)

func acpiInterrupt() {
	port := uint16(firmware.Power.PM1aEvent.Addr)
	if In16(port)&powerButton != 0 {
		Out16(port, powerButton)
		sendProcessSignal(sigTERM)
	}
}

// routeISA connects an ISA interrupt to a vector on CPU 0.
func routeISA(irq uint8, vector uint32) bool {
	o := firmware.GSI(irq)
	return routeGSI(o.GSI, vector, cpuAt(0), o.Level, o.ActiveLow)
}

// mapRegisters returns the direct map's address of device registers. Below 4
// GiB everything is mapped; above, pages that are not RAM are added here.
func mapRegisters(pa, n, _ uintptr) uintptr {
	if pa >= maxPhysical {
		return 0
	}
	end := roundUp(pa + n)
	for a := max(pa&^(pageSize-1), 4<<30); a < end; a += pageSize {
		if !readable(dmapBase + a) {
			mapPage(dmapBase+a, a, pteP|pteW|pteUC|pteNX)
		}
	}
	return dmapBase + pa
}
