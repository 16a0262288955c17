//go:build !linux

package chromium

import "context"

// diagnoseSystem has nothing to look at: sandbox, fonts and shared memory are
// always there, and access to devices is asked for by the system.
func diagnoseSystem(context.Context, Options, *User, string) []Check { return nil }
