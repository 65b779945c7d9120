package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"firebreak/demo/demotest"
	"firebreak/internal/pgtest"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	if built.path != "" {
		os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

var built struct {
	once sync.Once
	path string
	err  error
}

// binary builds the program, once.
func binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "firebreak-bin")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "firebreak")
		built.err = demotest.Build(built.path)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func launch(t testing.TB, args ...string) *demotest.Process {
	t.Helper()
	return demotest.Launch(t, binary(t), args...)
}
