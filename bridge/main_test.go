package bridge

import (
	"os"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

// TestMain fails when tests leave anything behind.
func TestMain(m *testing.M) {
	os.Exit(leak.Main(m, closeShared))
}
