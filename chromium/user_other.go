//go:build !linux

package chromium

import (
	"fmt"
	"runtime"
)

// chooseUser refuses another account than the bridge's own: acting for it on
// files safely takes an identity per thread, which only Linux has.
func chooseUser(asked *User) (*User, error) {
	if asked != nil {
		return nil, fmt.Errorf("chromium: another user cannot be chosen on %s; leave Options.User empty and start the bridge as that user", runtime.GOOS)
	}
	return nil, nil
}

func (u *User) do(f func() error) error { return f() }
