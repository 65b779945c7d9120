package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"firebreak/demo"
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
		c := exec.Command("go", "build", "-ldflags", "-X main.version=test", "-o", built.path, ".")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			built.err = errors.New(string(out))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// process is the program, running.
type process struct {
	*exec.Cmd
	stdout, stderr lockedBuffer
	ended          chan struct{}
	err            error // of Wait, once ended
}

// launch starts the program; the test's end kills it.
func launch(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(binary(t), args...), ended: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	p.Process.Kill()
	<-p.ended
}

// terminate asks it to stop, and gives the exit status.
func (p *process) terminate() int {
	p.Process.Signal(syscall.SIGTERM)
	<-p.ended
	return p.ProcessState.ExitCode()
}

// poll asks again and again until ok, or the process has ended. What never
// comes is ended by the test's own deadline.
func (p *process) poll(t testing.TB, what string, ok func() bool) bool {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-p.ended:
			return false
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: the test is over", what)
		case <-tick.C:
		}
	}
	return true
}

// demoInfo waits for demo.json; nothing when the process ended first.
func (p *process) demoInfo(t testing.TB, data string) (info demo.Info, ready bool) {
	t.Helper()
	ready = p.poll(t, "demo.json", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "demo.json"))
		return err == nil && json.Unmarshal(b, &info) == nil
	})
	return info, ready
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
