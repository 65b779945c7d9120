package demotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"firebreak/demo"
)

// Build makes the program at path.
func Build(path string) error {
	c := exec.Command("go", "build", "-ldflags", "-X main.version=test", "-o", path, "firebreak/cmd/firebreak")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

// Process is a program that runs in a process of its own.
type Process struct {
	Stdout, Stderr Output
	Ended          <-chan struct{}
	cmd            *exec.Cmd
}

// Launch starts a program; the test's end kills it.
func Launch(t testing.TB, program string, args ...string) *Process {
	t.Helper()
	ended := make(chan struct{})
	p := &Process{Ended: ended, cmd: exec.Command(program, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.Stdout, &p.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill is kill -9.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.Ended
}

// Terminate asks it to stop, and gives the exit status.
func (p *Process) Terminate() int {
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.Ended
	return p.cmd.ProcessState.ExitCode()
}

// Poll asks again and again until ok, or the process has ended. What never
// comes is ended by the test's own deadline.
func (p *Process) Poll(t testing.TB, what string, ok func() bool) bool {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-p.Ended:
			return false
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: the test is over", what)
		case <-tick.C:
		}
	}
	return true
}

// Info waits for the demo.json of a demo; nothing when the process ended first.
func (p *Process) Info(t testing.TB, data string) (info demo.Info, ready bool) {
	t.Helper()
	ready = p.Poll(t, "demo.json", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "demo.json"))
		return err == nil && json.Unmarshal(b, &info) == nil
	})
	return info, ready
}

// Output is what a process has written so far.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
