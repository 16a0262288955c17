package chromium

// TempDir is a temporary directory for browsers that are started one after the
// other, or at once below it: Options.UserDataDir is it, or a directory in it.
// Like a browser's own temporary directory it is swept away by a later start
// when the bridge has died.
type TempDir struct{ scratch *scratch }

// NewTempDir makes one in parent, "" being the system's directory for temporary
// files, for browsers that run as u; nil means who Options.User's nil means.
// Errors: *DirectoryError, and a bad user.
func NewTempDir(parent string, u *User) (*TempDir, error) {
	u, err := chooseUser(u)
	if err != nil {
		return nil, err
	}
	s, err := newScratch(parent, u)
	if err != nil {
		return nil, err
	}
	if err := makeOwned(s.profile(), u); err != nil {
		return nil, directoryError(s.profile(), u, err)
	}
	return &TempDir{s}, nil
}

// Path is the directory.
func (t *TempDir) Path() string { return t.scratch.profile() }

// Remove removes the directory and all that is in it. No browser may use it any
// more.
func (t *TempDir) Remove() error {
	if err := t.scratch.remove(); err != nil {
		return directoryError(t.scratch.path, nil, err)
	}
	return nil
}
