package bridge

import (
	"slices"
	"strings"
)

// The switches of Options.Args that the bridge reads itself.
const (
	// hostRulesSwitch maps host names for Chromium, and for what the bridge does
	// in its place.
	hostRulesSwitch = "--host-resolver-rules="
	// trustedKeysSwitch lists the keys whose certificates Chromium accepts
	// without looking at them.
	trustedKeysSwitch = "--ignore-certificate-errors-spki-list="
	// addressSpacesSwitch says which servers Chromium counts as public.
	addressSpacesSwitch = "--ip-address-space-overrides="
)

// lastSwitch is the value of a switch and where it is among arguments, -1 for
// nowhere. Of several Chromium takes the last.
func lastSwitch(args []string, name string) (value string, at int) {
	for i, arg := range slices.Backward(args) {
		if value, found := strings.CutPrefix(arg, name); found {
			return value, i
		}
	}
	return "", -1
}
