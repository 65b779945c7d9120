package audit

import (
	"os"
	"syscall"
)

// flush brings a file's content and size to the disk, but not its times.
func flush(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
