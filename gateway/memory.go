package gateway

import (
	"os"
	"runtime/debug"
)

// goMemory is what Go's part of the process may grow to before it collects
// harder: twice what the charts kept ready and a full inbox need. SQLite's page
// caches and the program itself come on top, some 70 MB.
const goMemory = 192 << 20

// boundMemory keeps a burst of messages from leaving the process at twice what
// it needs. GOMEMLIMIT, where set, says otherwise.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(goMemory)
	}
}
