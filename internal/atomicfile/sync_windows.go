package atomicfile

import "os"

// SyncDir has nothing to do: Windows does not sync directories.
func SyncDir(*os.Root, string) error { return nil }
