// Package lab tests real devices, from Linux's drivers up to pages, in a virtual machine. scripts/lab makes
// that and runs the tests in it, which have the build tag lab. They plug in what QEMU has, and what the
// kernel makes of itself: input devices by uhid, USB devices by its gadgets and the controller dummy_hcd,
// which has both ends of the cable.
package lab
