package net

import (
	"math/rand/v2"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
)

// Feature bits (section 5.1.3).
const (
	featureCsum      virtio.Feature = 1 << 0 // device fills in checksums
	featureGuestCsum virtio.Feature = 1 << 1 // driver takes packets with partial ones
	featureMTU       virtio.Feature = 1 << 3
	featureMAC       virtio.Feature = 1 << 5
	featureGuestTSO4 virtio.Feature = 1 << 7 // driver takes coalesced TCP packets
	featureGuestTSO6 virtio.Feature = 1 << 8
	featureHostTSO4  virtio.Feature = 1 << 11 // device splits TCP packets
	featureHostTSO6  virtio.Feature = 1 << 12
	featureMergeable virtio.Feature = 1 << 15
	featureStatus    virtio.Feature = 1 << 16
	featureCtrlVQ    virtio.Feature = 1 << 17
	featureMQ        virtio.Feature = 1 << 22
)

// Configuration space (section 5.1.4).
const (
	configMAC      = 0  // [6]u8
	configStatus   = 6  // u16
	configMaxPairs = 8  // u16
	configMTU      = 10 // u16

	statusLinkUp = 1
)

const (
	etherLen   = 14
	defaultMTU = 1500
	minMTU     = 68 // RFC 791
	// maxFrame is the longest frame: 64 KiB of IP packet with Ethernet header
	// and VLAN tag.
	maxFrame = etherLen + 4 + 65535
	// maxPairs is the greatest number of queue pairs (section 5.1.4.1).
	maxPairs = 0x8000
)

// choose picks the features to use: each only with those that it depends on
// (section 5.1.3.1). Coalesced packets need mergeable buffers here, for without
// them each buffer would have to have room for the largest packet.
func choose(offered virtio.Feature) virtio.Feature {
	f := featureMTU | featureMAC | featureMergeable | featureStatus | featureCsum | featureGuestCsum
	if offered&featureCsum != 0 {
		f |= featureHostTSO4 | featureHostTSO6
	}
	if offered&featureGuestCsum != 0 && offered&featureMergeable != 0 {
		f |= featureGuestTSO4 | featureGuestTSO6
	}
	if offered&featureCtrlVQ != 0 && offered&featureMQ != 0 {
		f |= featureCtrlVQ | featureMQ
	}
	return f & offered
}

// settings are what the device's configuration says, made sensible.
type settings struct {
	mac      [6]byte
	mtu      int
	maxPairs int // that the device has
}

func readSettings(v *virtio.Device) (settings, error) {
	var s settings
	err := v.ReadConfig(func(c virtio.Config) {
		s = settings{mtu: defaultMTU, maxPairs: 1}
		if v.Has(featureMAC) {
			for i := range s.mac {
				s.mac[i] = c.Read8(configMAC + uint32(i))
			}
		}
		if v.Has(featureMTU) {
			s.mtu = int(c.Read16(configMTU))
		}
		if v.Has(featureMQ) {
			s.maxPairs = int(c.Read16(configMaxPairs))
		}
	})
	if s.mac == [6]byte{} || s.mac[0]&1 != 0 {
		s.mac = randomMAC()
	}
	if s.mtu < minMTU {
		s.mtu = defaultMTU
	}
	if s.maxPairs < 1 || s.maxPairs > maxPairs {
		s.maxPairs = 1
	}
	return s, err
}

// randomMAC returns a locally administered address.
func randomMAC() [6]byte {
	r := rand.Uint64()
	return [6]byte{byte(r)&^1 | 2, byte(r >> 8), byte(r >> 16), byte(r >> 24), byte(r >> 32), byte(r >> 40)}
}

// offloads says in the words of package device what was agreed on.
func offloads(v *virtio.Device) device.Offloads {
	return device.Offloads{
		TxChecksum: v.Has(featureCsum),
		RxChecksum: v.Has(featureGuestCsum),
		TSO4:       v.Has(featureHostTSO4),
		TSO6:       v.Has(featureHostTSO6),
		LargeRx:    v.Has(featureGuestTSO4) || v.Has(featureGuestTSO6),
	}
}
