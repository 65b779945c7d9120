package pipeline

import (
	"fmt"
	"runtime"
	"strings"
)

// kindOf names what was panicked with, without its content.
func kindOf(x any) string { return fmt.Sprintf("%T", x) }

// panicPlace is the function and line that panicked, called in a deferred
// function: the first frame of ours below the runtime's.
func panicPlace() string {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		panicking = panicking || inRuntime
		if !more {
			return "an unknown place"
		}
	}
}
