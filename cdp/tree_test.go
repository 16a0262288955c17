package cdp

import "testing"

func fakeTree(t testing.TB, o TreeOptions) (*fakeBrowser, *Tree) {
	f, transport := newFake(t)
	tree := NewTree(transport, ConnOptions{}, o)
	t.Cleanup(func() { tree.Conn().Close() })
	return f, tree
}

func keepAll(*Target) ([]Command, bool) { return nil, true }
