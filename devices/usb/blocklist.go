package usb

import "slices"

// ProtectedClasses are the classes of interfaces that WebUSB does not let pages claim, because there are
// other APIs for them. Electron lets applications choose others: setUSBProtectedClassesHandler.
func ProtectedClasses() []uint8 {
	return []uint8{
		0x01, // audio
		0x03, // human interface devices
		0x08, // mass storage
		0x0B, // smart cards
		0x0E, // video
		0x10, // audio and video
		0xE0, // wireless controllers
	}
}

// Protected says whether one of the interface's alternates is of one of the classes.
func (i Interface) Protected(classes []uint8) bool {
	return slices.ContainsFunc(i.Alternates, func(a Alternate) bool {
		return slices.Contains(classes, a.InterfaceClass)
	})
}

// Blocked says whether no page may use d, by the list of the WebUSB specification.
func Blocked(d Device) bool {
	return slices.Contains(blocked[d.VendorID], d.ProductID)
}

// blocked is that list, vendor by vendor: security keys, above all.
var blocked = map[uint16][]uint16{
	0x096e: {0x0850, 0x0852, 0x0853, 0x0854, 0x0856, 0x0858, 0x085a, 0x085b, 0x0880}, // Feitian and relatives
	0x09c3: {0x0023},                                                                 // HID Global BlueTrust
	0x1050: {
		0x0010, 0x0018, 0x0030, 0x0110, 0x0111, 0x0112, 0x0113, 0x0114, 0x0115, 0x0116, 0x0120,
		0x0200, 0x0211, 0x0401, 0x0402, 0x0403, 0x0404, 0x0405, 0x0406, 0x0407, 0x0410,
	}, // Yubikey
	0x10c4: {0x8acf},         // U2F Zero
	0x18d1: {0x5026},         // Titan
	0x1a44: {0x00bb},         // VASCO
	0x1d50: {0x60fc},         // OnlyKey
	0x1e0d: {0xf1ae, 0xf1d0}, // Keydo
	0x1ea8: {0xf025},         // Thetis
	0x20a0: {0x4287},         // Nitrokey
	0x24dc: {0x0101},         // JaCarta
	0x2581: {0xf1d0},         // Happlink
	0x2abe: {0x1002},         // Bluink
	0x2ccf: {0x0880},         // Feitian, HyperFIDO
}
