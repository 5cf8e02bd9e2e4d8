package main

import "kiln/host/vm"

// The networks that --net chooses from. Kiln's own is the default: QEMU's lets
// connections wait for seconds when many are opened at once.
var networks = []vm.Network{vm.NetSwitch, vm.NetUser, vm.NetNone}

const (
	defaultNetwork = vm.NetSwitch
	networkNames   = "switch (Kiln's own), user (QEMU's) or none"
)
