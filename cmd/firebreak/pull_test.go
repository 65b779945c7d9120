package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"firebreak/auth/demoidp"
	"firebreak/demo"
	"firebreak/demo/demotest"
)

// A gateway asks another for what it has, with a proof of identity, and is
// killed again and again while it does. In the end it has what the other has,
// each result once and of its patient, and nothing that the other deleted.
func TestPullsFromAnotherThroughKills(t *testing.T) {
	const kills, results = 8, 280
	binary(t)
	up := demotest.Start(t, demo.Options{Empty: true})
	there, err := demotest.Backend(t.Context(), up.Info)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	put(t, there, http.MethodPut, "Patient/wrong", `{"resourceType":"Patient","id":"wrong","identifier":[{"value":"W1"}]}`)

	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	for _, c := range up.Info.Clients {
		if c.ID == demoidp.Backend {
			write(t, filepath.Join(dir, "key.jwk"), string(c.PrivateJWK))
		}
	}
	config := filepath.Join(dir, "demo.json")
	b, err := json.Marshal(map[string]any{"feeds": []any{
		map[string]any{"name": "lab", "listen": "127.0.0.1:0"},
		map[string]any{"name": "other-gateway", "pull": map[string]any{
			"base": up.Info.FHIR, "types": []string{"Patient", "Observation"}, "every": "1s", "overlap": "5s", "compare": "2s", "list": "5s", "page": 7, "rate": 500,
			"auth": map[string]any{"clientId": demoidp.Backend, "key": map[string]any{"file": "key.jwk"}},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(b))
	start := func() *demotest.Process {
		os.Remove(filepath.Join(data, "demo.json"))
		return launch(t, "demo", "--empty", "--config", config, "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	sent, want := 0, map[string]int{} // the number of each result, and its patient
	for range kills {
		p := start()
		var some [][]byte
		for range results / kills {
			for sent++; sent%unmappable == 0; sent++ {
			}
			some = append(some, []byte(oru(sent)))
			want[fmt.Sprint(sent)] = sent % crashPatients
		}
		up.Send(t, 4, some...)
		if _, ready := p.Info(t, data); !ready {
			t.Fatalf("it ended by itself: %s", p.Stderr.String())
		}
		select {
		case <-time.After(time.Duration(r.Int64N(int64(1500 * time.Millisecond)))):
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
	here, err := demotest.Backend(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	deleted := false
	p.Poll(t, "what the other has", func() bool {
		got := map[string]int{}
		patients, _, err := here.Search(t.Context(), "/Patient?_count=100")
		if err != nil {
			t.Fatal(err)
		}
		wrong := false
		for _, x := range patients {
			wrong = wrong || bytes.Contains(x.JSON, []byte(`"W1"`))
			for n := range crashPatients {
				if bytes.Contains(x.JSON, fmt.Appendf(nil, `"C%04d"`, n)) {
					found, _, err := here.Search(t.Context(), "/Observation?_count=200&patient="+x.ID)
					if err != nil {
						t.Fatal(err)
					}
					for _, o := range found {
						value := fmt.Sprint(o.Value["valueQuantity"].(map[string]any)["value"])
						if _, twice := got[value]; twice {
							t.Fatalf("result %s is there twice", value)
						}
						got[value] = n
					}
				}
			}
		}
		for value, patient := range got {
			if want[value] != patient {
				t.Fatalf("result %s is patient %d's, want %d", value, patient, want[value])
			}
		}
		if len(got) < len(want) {
			return false
		}
		if !deleted && wrong {
			put(t, there, http.MethodDelete, "Patient/wrong", "")
			deleted = true
		}
		return deleted && !wrong
	})
	if m := demotest.Scrape(t, info.Metrics); m[`firebreak_inbox_held`] != 0 || m[`firebreak_pull_resources_total{feed="other-gateway"}`] == 0 {
		t.Errorf("the metrics say %v held, %v taken", m[`firebreak_inbox_held`], m[`firebreak_pull_resources_total{feed="other-gateway"}`])
	}
}

// put changes a resource as a source does.
func put(t testing.TB, a *demotest.App, method, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.FHIR+"/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.Token)
	r.Header.Set("Content-Type", "application/fhir+json")
	answer, err := a.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: status %d", method, path, answer.StatusCode)
	}
}
