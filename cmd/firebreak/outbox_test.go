package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/fhir"
)

// clinic is the FHIR server of an EHR, which breaks off connections before and
// after it has done what it was asked, and wants to be left alone.
type clinic struct {
	mu     sync.Mutex
	random *rand.Rand
	faults bool
	refuse bool
	have   map[string]bool     // numbers
	said   map[string][]string // by patient
}

func newClinic(t testing.TB, seed uint64) (*clinic, string) {
	c := &clinic{random: rand.New(rand.NewPCG(seed, 1)), have: map[string]bool{}, said: map[string][]string{}}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return c, s.URL
}

func (c *clinic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fault := 100
	if c.faults {
		fault = c.random.IntN(30)
	}
	switch fault {
	case 0:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case 1:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case 2:
		panic(http.ErrAbortHandler)
	}
	if r.URL.Path == "/Patient/_search" {
		q, _ := url.ParseQuery(string(body))
		fmt.Fprintf(w, `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient","id":%q}}]}`, strings.TrimPrefix(q.Get("identifier"), "urn:mrn|"))
		return
	}
	x, err := fhir.Parse(body)
	number := r.Header.Get("If-None-Exist")
	if err != nil || number == "" || c.refuse {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	if !c.have[number] {
		patient := x.Root().At("subject.reference").Text()
		c.have[number], c.said[patient] = true, append(c.said[patient], x.Root().At("payload.contentString").Text())
	}
	if fault < 5 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusCreated)
}

// outConfig is a demo that sends what its backend addresses to a server and to a
// listener.
func outConfig(t testing.TB, dir, base, mllp string) string {
	from := []string{"demo-backend"}
	b, err := json.Marshal(map[string]any{"feeds": []any{
		map[string]any{"name": "lab", "listen": "127.0.0.1:0"},
		map[string]any{"name": "ehr", "send": map[string]any{"from": from, "fhir": map[string]any{"base": base, "rate": 500}}},
		map[string]any{"name": "other-gateway", "send": map[string]any{"from": from, "mllp": map[string]any{"address": mllp}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "demo.json"), string(b))
}

// addressed is message n of a patient, to feeds.
func addressed(n, patient int, feeds ...string) (path, body string) {
	path = fmt.Sprintf("Communication/m%d", n)
	var tags []string
	for _, feed := range feeds {
		tags = append(tags, fmt.Sprintf(`{"system":"urn:firebreak:send","code":%q}`, feed))
	}
	return path, fmt.Sprintf(`{"resourceType":"Communication","id":"m%d","meta":{"tag":[%s]},"status":"completed",`+
		`"subject":{"reference":"Patient/p%d","identifier":{"system":"urn:mrn","value":"N%d"}},"payload":[{"contentString":"w%d"}]}`, n, strings.Join(tags, ","), patient, patient, n)
}

// A gateway is killed again and again while it sends. In the end the EHR, and
// another gateway that takes HL7 v2, have whatever was answered with success,
// once; the EHR in the order of each patient.
func TestSendsThroughKills(t *testing.T) {
	const kills, patients = 3, 3
	binary(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ehr, base := newClinic(t, seed)
	ehr.faults = true
	r := rand.New(rand.NewPCG(seed, 0))
	there := t.TempDir()
	other := demotest.Start(t, demo.Options{Empty: true, Data: there})
	dir := t.TempDir()
	data, config := filepath.Join(dir, "data"), outConfig(t, dir, base, other.Info.MLLP)
	start := func() (*demotest.Process, demo.Info, *demotest.App) {
		os.Remove(filepath.Join(data, "demo.json"))
		p := launch(t, "demo", "--empty", "--config", config, "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", data)
		info, ready := p.Info(t, data)
		if !ready {
			t.Fatalf("it ended by itself: %s", p.Stderr.String())
		}
		app, err := demotest.Backend(t.Context(), info)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(app.Close)
		return p, info, app
	}
	want := map[string][]string{}
	n := 0
	for range kills {
		p, _, app := start()
		end := time.AfterFunc(time.Duration(r.Int64N(int64(600*time.Millisecond))), p.Kill)
		for range 8 {
			path, body := addressed(n, n%patients, "ehr", "other-gateway")
			if !pushed(t, app, path, body) {
				break // it is pushed again, under the same id
			}
			patient := fmt.Sprintf("Patient/N%d", n%patients)
			want[patient] = append(want[patient], fmt.Sprintf("w%d", n))
			n++
		}
		<-p.Ended
		end.Stop()
	}
	p, info, app := start()
	path, body := addressed(n, n%patients, "ehr", "other-gateway")
	if !pushed(t, app, path, body) {
		t.Fatal("the last one is not taken")
	}
	patient := fmt.Sprintf("Patient/N%d", n%patients)
	want[patient] = append(want[patient], fmt.Sprintf("w%d", n))
	ehr.mu.Lock()
	ehr.faults = false
	ehr.mu.Unlock()
	p.Poll(t, "the outbox to be empty", func() bool {
		m := demotest.Scrape(t, info.Metrics)
		for _, feed := range []string{"ehr", "other-gateway"} {
			switch waiting, known := m[`firebreak_outbox_waiting{feed="`+feed+`"}`]; {
			case m[`firebreak_outbox_refused{feed="`+feed+`"}`] != 0:
				t.Fatalf("letters are refused: %s", expect(t, 0, "", "", "outbox", "list", "--data", data))
			case !known || waiting != 0:
				return false
			}
		}
		return true
	})
	ehr.mu.Lock()
	defer ehr.mu.Unlock()
	if got := fmt.Sprint(ehr.said); got != fmt.Sprint(want) {
		t.Errorf("the EHR has %s, want %s", got, fmt.Sprint(want))
	}
	if err := other.Gateway.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := expect(t, 0, "", "", "held", "--data", there); held != "" {
		t.Errorf("the other gateway holds %s", held)
	}
	asks, err := demotest.Backend(t.Context(), other.Info)
	if err != nil {
		t.Fatal(err)
	}
	defer asks.Close()
	patientsThere, _, err := asks.Search(t.Context(), "/Patient?_count=100&_revinclude=Communication:subject")
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, x := range patientsThere {
		if m := regexp.MustCompile(`"contentString":\s*"(w\d+)"`).FindSubmatch(x.JSON); m != nil {
			times[string(m[1])]++
		}
	}
	if len(times) != n+1 {
		t.Logf("the other gateway: %v", demotest.Scrape(t, other.Info.Metrics))
	}
	for i := range n + 1 {
		if times[fmt.Sprintf("w%d", i)] != 1 {
			t.Errorf("the other gateway has w%d %d times", i, times[fmt.Sprintf("w%d", i)])
		}
	}
}

// pushed tells whether a push was answered with success.
func pushed(t testing.TB, a *demotest.App, path, body string) bool {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, a.FHIR+"/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.Token)
	r.Header.Set("Content-Type", "application/fhir+json")
	answer, err := a.Client.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		t.Fatalf("status %d", answer.StatusCode)
	}
	return true
}

// What the EHR refuses is listed, without whose it is; an operator has it sent
// again, or decides that it is not.
func TestOperatorsDecideOnLetters(t *testing.T) {
	ehr, base := newClinic(t, 1)
	ehr.refuse = true
	dir := t.TempDir()
	data, config := filepath.Join(dir, "data"), outConfig(t, dir, base, "127.0.0.1:1")
	d := demotest.Start(t, demo.Options{Empty: true, Data: data, Config: config})
	app, err := demotest.Backend(t.Context(), d.Info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	for n := range 3 {
		path, body := addressed(n, 7, "ehr")
		if !pushed(t, app, path, body) {
			t.Fatal("it is not taken")
		}
	}
	poll := func(what string) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !strings.Contains(expect(t, 0, "", "", "outbox", "--data", data), what) {
			<-tick.C
		}
	}
	poll("  ehr  Communication  refused after 1 attempts  the receiver answered with status 422\n")
	if out := expect(t, 0, "", "", "outbox", "list", "--data", data); strings.Contains(out, "N7") || strings.Contains(out, "p7") || strings.Contains(out, "w0") {
		t.Errorf("the list tells %s", out)
	}
	ehr.mu.Lock()
	ehr.refuse = false
	ehr.mu.Unlock()
	expect(t, 2, "", "--reason", "outbox", "retry", "--data", data, "1")
	expect(t, 1, "", "was", "outbox", "drop", "--reason", "none", "--data", data, "1", "99")
	expect(t, 0, "", "", "outbox", "drop", "--reason", "she called", "--data", data, "2")
	expect(t, 0, "", "", "outbox", "retry", "--reason", "the EHR knows her now", "--data", data, "1")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for expect(t, 0, "", "", "outbox", "--data", data) != "" {
		<-tick.C
	}
	ehr.mu.Lock()
	defer ehr.mu.Unlock()
	if got := fmt.Sprint(ehr.said); got != "map[Patient/N7:[w0 w2]]" {
		t.Errorf("the EHR has %s", got)
	}
	log, err := os.ReadFile(filepath.Join(data, "audit", firstFile(t, filepath.Join(data, "audit"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range []string{"drop letters [2]: she called", "retry letters [1]: the EHR knows her now"} {
		if !bytes.Contains(log, []byte(entry)) {
			t.Errorf("the audit log has no %q", entry)
		}
	}
}

func firstFile(t testing.TB, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no log in %s: %v", dir, err)
	}
	return filepath.Base(all[0])
}
