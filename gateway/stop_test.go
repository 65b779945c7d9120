package gateway_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/gateway"
)

// A gateway that has stopped leaves no goroutine, no open file and no log behind.
func TestStopLeavesNothing(t *testing.T) {
	data := t.TempDir()
	before := openFiles(t)
	d := demotest.Start(t, demo.Options{Data: data, Patients: 2})
	app, err := demotest.Backend(t.Context(), d.Info)
	if err != nil {
		t.Fatal(err)
	}
	if found, _, err := app.Search(t.Context(), "/Patient?_count=1"); err != nil || len(found) != 2 {
		t.Errorf("%d patients, %v", len(found), err)
	}
	answer, err := http.Get(d.Info.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	app.Close()
	http.DefaultClient.CloseIdleConnections()
	d.Stop()
	for tries := 0; ; tries++ { // what was told to end may need a moment to
		left := ours()
		if left == "" {
			break
		}
		if tries == 1000 {
			t.Errorf("a goroutine is left:\n%s", left)
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	for name := range openFiles(t) {
		if !before[name] && strings.HasPrefix(name, data) {
			t.Errorf("%s is still open", name)
		}
	}
	for _, pattern := range []string{"*-wal", "*-shm", "*.sock"} {
		if left, err := filepath.Glob(filepath.Join(data, pattern)); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// ours is the stack of a goroutine that runs code of this module, besides the test's.
func ours() string {
	buffer := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if strings.Contains(stack, "firebreak/") && !strings.Contains(stack, "TestStopLeavesNothing") {
			return stack
		}
	}
	return ""
}

// openFiles are this process's, by what they are.
func openFiles(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return all // not Linux: the goroutines tell
	}
	for _, f := range list {
		if name, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil {
			all[name] = true
		}
	}
	return all
}

// What fails while it starts leaves nothing open either: the next start can have it.
func TestFailedStartLetsGo(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "c.json")
	for _, step := range []struct{ text, want string }{
		{`{"policy": "absent.json"}`, "absent.json"},
		{`{"feeds": [{"name": "a", "listen": "127.0.0.1:0", "tls": {"certificate": "absent.pem", "key": "absent.key"}}]}`, "feed a"},
		{`{"accounts": "."}`, "is a directory"},
	} {
		if err := os.WriteFile(config, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := demo.New(t.Context(), demo.Options{Listen: "127.0.0.1:0", MLLP: "127.0.0.1:0", Data: filepath.Join(dir, "data"), Empty: true, Config: config})
		if err == nil || !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: %v, want %q", step.text, err, step.want)
		}
	}
	demotest.Start(t, demo.Options{Data: filepath.Join(dir, "data"), Empty: true})
	if _, err := gateway.Attach(context.Background(), dir); err != gateway.ErrNotRunning {
		t.Errorf("on a folder without a gateway: %v", err)
	}
}
