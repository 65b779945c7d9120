package proof_test

import (
	"os"
	"runtime/debug"
	"testing"

	"firebreak/internal/pgtest"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // much garbage, little memory
	debug.SetMemoryLimit(1 << 30)
	os.Exit(pgtest.Main(m))
}
