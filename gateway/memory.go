package gateway

import (
	"os"
	"runtime/debug"
)

// goMemory is what Go's part of the process may grow to before it collects
// harder: twice what the charts kept ready and a full inbox need. SQLite's page
// caches and the program itself come on top, some 70 MB.
const goMemory = 168 << 20

// garbage is how much garbage there may be for each byte in use, per cent, while
// there is room below goMemory: messages make much that is short-lived.
const garbage = 300

// boundMemory keeps a burst of messages from leaving the process at twice what
// it needs. GOMEMLIMIT and GOGC, where set, say otherwise.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(goMemory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}
