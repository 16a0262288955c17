package atomicfile

import "os"

// Root is a Dir of the program's own user.
type Root struct{ *os.Root }

// Open opens a file below the directory.
func (r Root) Open(name string, flag int) (*os.File, error) { return r.OpenFile(name, flag, 0o600) }

// Sync makes the directory of name last.
func (r Root) Sync(name string) error { return SyncDir(r.Root, name) }
