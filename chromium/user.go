package chromium

import (
	"fmt"
	"os/user"
	"strconv"
)

// User is the account that Chromium runs as. It needs no entry in the
// machine's list of accounts: a number of one's own range will do.
type User struct {
	Name     string
	UID, GID uint32
	Groups   []uint32 // supplementary groups; none gives Chromium the least
}

// String is the name, or the number of an account without one.
func (u *User) String() string {
	if u.Name != "" {
		return u.Name
	}
	return strconv.FormatUint(uint64(u.UID), 10)
}

// LookupUser returns the account of that name with its primary group alone.
func LookupUser(name string) (*User, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("chromium: user %q: %w", name, err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("chromium: user %q has no numeric id: %w", name, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("chromium: user %q has no numeric group: %w", name, err)
	}
	return &User{Name: name, UID: uint32(uid), GID: uint32(gid)}, nil
}
