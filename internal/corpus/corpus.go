// Package corpus finds the real messages and records that tests read in place.
// They lie beside the checkout, in shared/corpus; FIREBREAK_SHARED names
// another place.
package corpus

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Shared is the folder that holds corpus/ and terminology/, or "" when absent.
func Shared() string {
	if d := os.Getenv("FIREBREAK_SHARED"); d != "" {
		return d
	}
	_, file, _, _ := runtime.Caller(0)
	d := filepath.Join(filepath.Dir(file), "..", "..", "..", "shared")
	if _, err := os.Stat(filepath.Join(d, "corpus")); err != nil {
		return ""
	}
	return d
}

// Dir is the path of a folder or file below shared/; the test fails without it.
func Dir(t testing.TB, elem ...string) string {
	t.Helper()
	d := Shared()
	if d == "" {
		t.Fatal("corpus: no folder shared/ beside the checkout; set FIREBREAK_SHARED")
	}
	return filepath.Join(append([]string{d}, elem...)...)
}
