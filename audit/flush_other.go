//go:build !linux

package audit

import "os"

func flush(f *os.File) error { return f.Sync() }
