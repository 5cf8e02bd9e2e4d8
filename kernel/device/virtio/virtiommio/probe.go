package virtiommio

import (
	"errors"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
)

// Probe returns the devices in the slots of the command line, in
// their order there. The error reports the slots that could not be used.
func Probe(m device.Machine, commandLine string) ([]virtio.Found, error) {
	slots, err := ParseSlots(commandLine)
	errs := []error{err}
	var found []virtio.Found
	for _, s := range slots {
		f, ok, err := Find(m, s)
		if ok {
			found = append(found, f)
		}
		errs = append(errs, err)
	}
	return found, errors.Join(errs...)
}
