//go:build !linux

package chromium

// There are stand-ins on Linux alone: elsewhere Chromium starts no program to have
// a URL opened, but asks the system.

func (*workspace) makeStandIns() error { return nil }

func (*workspace) withStandIns(env []string) []string { return env }

func (*scratch) holdsPrograms() bool { return true }
