package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/demo/demotest"
)

// A gateway takes a file of many messages and is killed again and again while
// it does. In the end the file is done, and each of its results is there once.
func TestTakesFilesThroughKills(t *testing.T) {
	const results = 300
	binary(t)
	dir := t.TempDir()
	data, in := filepath.Join(dir, "data"), filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"feeds": []any{
		map[string]any{"name": "lab", "listen": "127.0.0.1:0"},
		map[string]any{"name": "files", "folder": map[string]any{"path": "in", "settle": "10ms", "every": "20ms"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := write(t, filepath.Join(dir, "demo.json"), string(b))
	var batch strings.Builder
	batch.WriteString("BHS|^~\\&|LAB|GENERAL\r")
	n := 0
	for i := 1; n < results; i++ {
		if i%unmappable != 0 {
			batch.WriteString(oru(i))
			n++
		}
	}
	fmt.Fprintf(&batch, "BTS|%d\r", n)
	write(t, filepath.Join(in, "results.hl7"), batch.String())

	start := func() *demotest.Process {
		os.Remove(filepath.Join(data, "demo.json"))
		return launch(t, "demo", "--empty", "--config", config, "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data)
	}
	for range 5 {
		p := start()
		if _, ready := p.Info(t, data); !ready {
			t.Fatalf("it ended by itself: %s", p.Stderr.String())
		}
		select {
		case <-time.After(rand.N(200 * time.Millisecond)):
		case <-p.Ended:
			t.Fatalf("it ended by itself: %s", p.Stderr.String())
		}
		p.Kill()
	}
	p := start()
	info, ready := p.Info(t, data)
	if !ready {
		t.Fatalf("it ended by itself: %s", p.Stderr.String())
	}
	p.Poll(t, "the file to be done", func() bool {
		_, err := os.Stat(filepath.Join(in, "done", "results.hl7"))
		return err == nil && demotest.Scrape(t, info.Metrics)["firebreak_inbox_pending"] == 0
	})
	app, err := demotest.Backend(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	seen := 0
	for patient := range crashPatients {
		found, _, err := app.Search(t.Context(), fmt.Sprintf("/Patient?identifier=C%04d", patient))
		if err != nil || len(found) != 1 {
			t.Fatalf("patient %d was found %d times: %v", patient, len(found), err)
		}
		all, _, err := app.Search(t.Context(), "/Observation?_count=200&patient="+found[0].ID) // one that comes twice is an error
		if err != nil {
			t.Fatal(err)
		}
		seen += len(all)
	}
	if m := demotest.Scrape(t, info.Metrics); seen != results || m["firebreak_inbox_messages_total"] < results || m["firebreak_inbox_held"] != 0 {
		t.Errorf("%d results are there, want %d; %v held", seen, results, m["firebreak_inbox_held"])
	}
}
