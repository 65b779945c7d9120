package proof_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/inbox"
)

// program is bin/firebreak as anybody runs it: a demo without its hospital,
// with a key given in a file.
type program struct {
	*exec.Cmd
	info demo.Info
	app  *demotest.App
	log  string // the file it logs to
}

// TestTwoPrograms is what an outsider can do: run the program twice with the
// same key, tell both the same harmless messages and one of them secrets
// besides, and find that they answer alike but for times. docs/no-leak.md tells
// how to do it by hand.
func TestTwoPrograms(t *testing.T) {
	dir := scratch(t)
	binary := filepath.Join(dir, "firebreak")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "firebreak/cmd/firebreak")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "key"), secret)
	hospital := sources[0]
	write(t, filepath.Join(dir, "firebreak.json"), body(obj{"key": obj{"file": "key"}, "zone": "America/Vancouver",
		"feeds": arr{obj{"name": hospital.Source, "zone": hospital.Zone.String(), "systems": hospital.Systems}}}))

	w := create(6, 0)
	w.events = slices.DeleteFunc(w.events, func(e *event) bool { return e.source != hospital.Source })
	w.people = slices.DeleteFunc(w.people, func(p *person) bool { return p.source != hospital.Source })
	x := newTrial(t, w, [2]side{without, with}, [2]string{}) // knows what to ask for
	defer x.close()
	for _, e := range w.events {
		x.tell(e)
	}
	x.harvest(false)
	if len(x.asker.hidden.refs) < 10 || len(x.asker.known.refs) < 10 {
		t.Fatalf("a poor world: %d things are harmless, %d are not", len(x.asker.known.refs), len(x.asker.hidden.refs))
	}

	var programs [2]*program
	for i, s := range x.sides {
		var file []byte
		n := 0
		for _, e := range w.events {
			if m, ok := e.message(s); ok && m.kind == inbox.HL7v2 {
				file = append(append(file, m.body...), '\n')
				n++
			}
		}
		name := filepath.Join(dir, fmt.Sprint("messages", i, ".hl7"))
		write(t, name, file)
		programs[i] = run(t, binary, filepath.Join(dir, fmt.Sprint("data", i)), filepath.Join(dir, "firebreak.json"))
		if out, err := exec.CommandContext(t.Context(), binary, "send", "--to", programs[i].info.MLLP, "--connections", "1", name).CombinedOutput(); err != nil || !bytes.Contains(out, fmt.Appendf(nil, "AA %d", n)) {
			t.Fatalf("%d messages are not all taken: %v\n%s", n, err, out)
		}
		programs[i].applied(t)
	}

	var asked, shown int
	ask := func(method, path string) {
		t.Helper()
		var got [2]answer
		for i, p := range programs {
			got[i] = p.ask(t, method, path)
		}
		asked++
		if got[0].status == http.StatusOK {
			shown++
		}
		if why := differ(got[0], got[1]); why != "" {
			t.Errorf("%s %s tells the two apart: %s", method, path, why)
		}
		if s := canary(got[1]); s != "" && !names(question{target: path}) {
			t.Errorf("%s %s: %s", method, path, s)
		}
	}
	for _, path := range []string{"/", "/help", "/fhir/metadata", "/fhir/none", "/metrics"} {
		ask(http.MethodGet, path)
	}
	for _, refs := range [][]string{x.asker.known.refs, x.asker.hidden.refs} {
		for _, ref := range refs {
			ask(http.MethodGet, "/fhir/"+ref)
			ask(http.MethodGet, "/fhir/"+ref+"/_history")
		}
	}
	backend := x.asker.all[7]
	for len(x.asker.hidden.versions) > 0 && asked < 900 {
		q := x.asker.search(backend)
		if regexp.MustCompile(`_lastUpdated|_since|_at=|_cursor`).MatchString(q.target) {
			continue // they ask for times, which are each program's own
		}
		ask(http.MethodGet, strings.ReplaceAll(q.target, "https%3A%2F%2Fgateway.test", ""))
		if t.Failed() {
			return
		}
	}
	if shown < asked/4 {
		t.Errorf("only %d of %d questions were answered", shown, asked)
	}
	t.Logf("%d questions, %d answered with something", asked, shown)

	var series [2][]string
	for i, p := range programs {
		text := p.get(t, p.info.Metrics)
		if s := canaryIn(text); s != "" {
			t.Errorf("the metrics hold %s", s)
		}
		series[i] = seriesOf(text)
		p.Process.Signal(syscall.SIGTERM)
		p.Wait()
		logged, err := os.ReadFile(p.log)
		if err != nil {
			t.Fatal(err)
		}
		if s := canaryIn(logged); s != "" {
			t.Errorf("the log holds %s", s)
		}
	}
	if !slices.Equal(series[0], series[1]) {
		t.Errorf("the metrics are not of the same things:\n%s\n%s", series[0], series[1])
	}
}

// seriesOf are the names and labels of metrics, without their values.
func seriesOf(text []byte) []string {
	all := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			all[line[:i]] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts the program and waits until it is ready.
func run(t testing.TB, binary, data, config string) *program {
	t.Helper()
	p := &program{log: data + ".log"}
	p.Cmd = exec.CommandContext(t.Context(), binary, "demo", "--empty", "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data, "--config", config, "--now", noon.Format(time.RFC3339))
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.Stdout, p.Stderr = out, out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	p.until(t, "it to be ready", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "demo.json"))
		return err == nil && json.Unmarshal(b, &p.info) == nil
	})
	if p.app, err = demotest.Backend(t.Context(), p.info); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.app.Close)
	return p
}

// until asks again and again; what never comes is ended by the test's deadline,
// and a program that has ended by the signal that it cannot be given.
func (p *program) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-t.Context().Done():
			t.Fatalf("waited for %s", what)
		case <-tick.C:
		}
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid)); bytes.Contains(b, []byte(") Z ")) {
			logged, _ := os.ReadFile(p.log)
			t.Fatalf("waiting for %s, the program ended: %s", what, logged)
		}
	}
}

func (p *program) get(t testing.TB, address string) []byte {
	t.Helper()
	got, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// applied waits until everything received is applied.
func (p *program) applied(t testing.TB) {
	t.Helper()
	p.until(t, "an empty inbox", func() bool {
		return bytes.Contains(p.get(t, p.info.Metrics), []byte("\nfirebreak_inbox_pending 0\n"))
	})
}

// A cursor is sealed for who asks, whose issuer has another address; it is as long.
var cursors = regexp.MustCompile(`_cursor=[A-Za-z0-9_-]+`)

var instants = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)

// ask gives an answer without what is each program's own: its address, and the
// times at which it was told.
func (p *program) ask(t testing.TB, method, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.info.Base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.app.Token)
	got, err := p.app.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Date", "Last-Modified", "X-Request-Id", "Content-Length"} {
		got.Header.Del(name)
	}
	clean := func(b []byte) []byte {
		b = bytes.ReplaceAll(b, []byte(p.info.Base), []byte("BASE"))
		b = bytes.ReplaceAll(b, []byte(strings.TrimPrefix(p.info.Base, "http://")), []byte("HOST"))
		b = cursors.ReplaceAllFunc(b, func(c []byte) []byte { return fmt.Appendf(nil, "CURSOR of %d", len(c)) })
		return instants.ReplaceAll(b, []byte("TIME"))
	}
	for name, values := range got.Header {
		for i := range values {
			got.Header[name][i] = string(clean([]byte(values[i])))
		}
	}
	return answer{got.StatusCode, got.Header, clean(b)}
}
