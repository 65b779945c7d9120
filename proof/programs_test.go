package proof_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/inbox"
)

// program is bin/firebreak as anybody runs it: a demo without its hospital,
// with a key given in a file.
type program struct {
	*demotest.Process
	info demo.Info
	app  *demotest.App
}

// TestTwoPrograms is what an outsider can do: run the program twice with the
// same key, tell both the same harmless messages and one of them secrets
// besides, and find that they answer alike but for times. docs/no-leak.md tells
// how to do it by hand.
func TestTwoPrograms(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	binary := filepath.Join(dir, "firebreak")
	if err := demotest.Build(binary); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key"), secret)
	hospital := sources[0]
	write(t, filepath.Join(dir, "firebreak.json"), body(obj{"key": obj{"file": "key"}, "zone": "America/Vancouver",
		"feeds": arr{obj{"name": hospital.Source, "zone": hospital.Zone.String(), "systems": hospital.Systems}}}))

	w := create(6, 0)
	w.events = slices.DeleteFunc(w.events, func(e *event) bool {
		return e.source != hospital.Source || e.kind == decision || e.pair != nil && e.pair.kind == decision
	})
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
	ask := func(path string) {
		t.Helper()
		var got [2]answer
		for i, p := range programs {
			got[i] = p.ask(t, path)
		}
		asked++
		if got[0].status == http.StatusOK {
			shown++
		}
		if why := differ(got[0], got[1]); why != "" {
			t.Errorf("%s tells the two apart: %s", path, why)
		}
		if s := canary(got[1]); s != "" && !names(question{target: path}) {
			t.Errorf("%s: %s", path, s)
		}
	}
	for _, path := range []string{"/", "/help", "/fhir/metadata", "/fhir/none", "/metrics"} {
		ask(path)
	}
	for _, refs := range [][]string{x.asker.known.refs, x.asker.hidden.refs} {
		for _, ref := range refs {
			ask("/fhir/" + ref)
			ask("/fhir/" + ref + "/_history")
		}
	}
	backend := x.asker.all[7]
	for len(x.asker.hidden.versions) > 0 && asked < 900 {
		q := x.asker.search(backend)
		if regexp.MustCompile(`_lastUpdated|_since|_at=|_cursor`).MatchString(q.target) {
			continue // they ask for times, which are each program's own
		}
		ask(strings.ReplaceAll(q.target, "https%3A%2F%2Fgateway.test", ""))
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
		metrics, err := p.app.Get(t.Context(), p.info.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		if s := canaryIn(metrics.Body); s != "" {
			t.Errorf("the metrics hold %s", s)
		}
		series[i] = slices.Sorted(maps.Keys(demotest.Scrape(t, p.info.Metrics)))
		p.Terminate()
		if s := canaryIn([]byte(p.Stdout.String() + p.Stderr.String())); s != "" {
			t.Errorf("the log holds %s", s)
		}
	}
	if !slices.Equal(series[0], series[1]) {
		t.Errorf("the metrics are not of the same things:\n%s\n%s", series[0], series[1])
	}
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
	p := &program{Process: demotest.Launch(t, binary, "demo", "--empty", "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data, "--config", config, "--now", noon.Format(time.RFC3339))}
	var ready bool
	if p.info, ready = p.Info(t, data); !ready {
		t.Fatalf("it did not start: %s", p.Stderr.String())
	}
	var err error
	if p.app, err = demotest.Backend(t.Context(), p.info); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.app.Close)
	return p
}

// applied waits until everything received is applied.
func (p *program) applied(t testing.TB) {
	t.Helper()
	if !p.Poll(t, "an empty inbox", func() bool { return demotest.Scrape(t, p.info.Metrics)["firebreak_inbox_pending"] == 0 }) {
		t.Fatalf("it ended: %s", p.Stderr.String())
	}
}

// A cursor is sealed for who asks, whose issuer has another address; it is as long.
var cursors = regexp.MustCompile(`_cursor=[A-Za-z0-9_-]+`)

var instants = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)

// ask gives an answer without what is each program's own: its address, and the
// times at which it was told.
func (p *program) ask(t testing.TB, path string) answer {
	t.Helper()
	got, err := p.app.Get(t.Context(), p.info.Base+path)
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
	return answer{got.Status, got.Header, clean(got.Body)}
}
