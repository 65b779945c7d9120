package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firebreak/adapters/peer"
	"firebreak/adapters/rest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/pipeline"
	"firebreak/record"
)

// house is a record into which a portal writes what is addressed to an EHR. All
// of it is the real thing but the network.
type house struct {
	t      testing.TB
	ehr    *ehr
	dir    string
	record *record.Record
	pipe   *pipeline.Pipeline
	keys   *mapping.Keys
	close  func()
	n      int // things entered
	log    strings.Builder
}

// within runs f in a house of its own, in a time of its own: there a Sleep takes no
// time, and ends when everybody waits. No other test here sleeps.
func within(t *testing.T, f func(h *house)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, dir: dir, ehr: newEHR()}
		h.open()
		defer func() {
			h.close()
			if t.Failed() {
				t.Log(h.log.String())
			}
		}()
		f(h)
	})
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) open() {
	log, err := audit.Open(filepath.Join(h.dir, "audit"), time.Now)
	h.must(err)
	rules, err := label.Default()
	h.must(err)
	h.record, err = record.Open(context.Background(), record.Config{DSN: "sqlite:" + filepath.Join(h.dir, "record.db"), Log: log, Rules: rules, Secret: []byte("a secret of this test"), Logger: slog.New(slog.DiscardHandler)})
	h.must(err)
	h.keys = mapping.NewKeys([]byte("keys of this test"), mapping.Feed{Source: "ehr", Send: &mapping.Send{From: []string{"portal", inbox.Own}, Types: []string{"Communication", "Appointment"}}})
	h.pipe = pipeline.New(h.record, h.keys, rules, pipeline.Config{})
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = h.pipe.Run(ctx) })
	h.close = func() {
		stop()
		work.Wait()
		h.must(h.record.Close())
		h.must(log.Close())
	}
}

// message is something that a patient writes. Here the patient is p1 and so on,
// at the EHR 1 and so on, and for both the number is N1 and so on.
func message(patient int, words string) string {
	return fmt.Sprintf(`{"resourceType":"Communication","meta":{"tag":[{"system":"urn:firebreak:send","code":"ehr"}]},"status":"completed","subject":{"reference":"Patient/p%d","identifier":{"system":"urn:mrn","value":"N%d"}},"payload":[{"contentString":%q}]}`, patient, patient, words)
}

// enter has the portal push a resource, under an id of its own.
func (h *house) enter(method, id, resource string) {
	h.t.Helper()
	r, err := fhir.Parse([]byte(resource))
	h.must(err)
	if r.ID() != id {
		r, err = r.WithID(id)
		h.must(err)
	}
	i := rest.Interaction{Method: method, Path: r.Type() + "/" + id, Resource: r.JSON()}
	if method == http.MethodPost {
		i.Path, i.Assigned = r.Type(), []string{id}
	}
	receipt, err := h.pipe.Put(context.Background(), inbox.Message{Source: "portal", Kind: inbox.FHIR, ControlID: fmt.Sprint(h.n), Received: time.Now(), Body: i.Encode()})
	h.n++
	h.must(err)
	h.must(h.pipe.Applied(context.Background(), receipt.ID))
}

// says enters a message of a patient.
func (h *house) says(patient int, words string) {
	h.t.Helper()
	h.enter(http.MethodPost, fmt.Sprint("m", h.n), message(patient, words))
}

// feed is a new one, as after a start of the program.
func (h *house) feed() *Feed {
	return &Feed{
		To: "ehr", Store: h.record.Outbox(), Now: time.Now, Logger: slog.New(slog.NewTextHandler(&h.log, nil)),
		Receiver: &FHIR{Server: peer.Server{Base: "http://127.0.0.1/ehr", Rate: 1000, Via: h.ehr, Now: time.Now}},
	}
}

func ref(typ, id string) fhir.Ref { return fhir.Ref{Type: typ, ID: id} }

// run lets a feed run for a while, in which do is done.
func (h *house) run(f *Feed, long time.Duration, do func()) {
	ctx, stop := context.WithTimeout(context.Background(), long)
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { f.Run(ctx) })
	if do != nil {
		do()
	}
	work.Wait()
}

// undone are the letters that are not sent.
func (h *house) undone() []record.Sending {
	h.t.Helper()
	all, err := h.record.Outbox().Open(context.Background(), 0, 1000)
	h.must(err)
	return all
}

// ehr is a FHIR server that keeps what it is sent, and has faults when told to.
type ehr struct {
	mu       sync.Mutex
	fault    func() fault
	refuses  func(words string) int // a status, or 0
	patients map[string][]string    // ids by number
	kept     []kept
	bodies   []string // of creates and updates, with their request line and condition
}

// kept is something that the EHR took, under a number.
type kept struct{ patient, number, words string }

type fault int

const (
	none        fault = iota
	lostBefore        // the connection breaks before the request is read
	lostAfter         // and after it is done
	tooMany           // 429, Retry-After
	unavailable       // 503
	broken            // 500
	hangs
	faults
)

var errReset = errors.New("connection reset by peer")

func newEHR() *ehr {
	e := &ehr{fault: func() fault { return none }, refuses: func(string) int { return 0 }, patients: map[string][]string{}}
	for n := range 10 {
		e.patients[fmt.Sprint("N", n)] = []string{fmt.Sprint(n)}
	}
	return e
}

func answer(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func (e *ehr) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	switch f := e.fault(); f {
	case lostBefore:
		return nil, errReset
	case lostAfter:
		e.serve(r, body)
		return nil, errReset
	case tooMany:
		return answer(429, http.Header{"Retry-After": {"7"}}, ""), nil
	case unavailable:
		return answer(503, nil, ""), nil
	case broken:
		return answer(500, nil, ""), nil
	case hangs:
		e.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-time.After(peer.HeaderTime):
		}
		e.mu.Lock()
		return nil, errReset
	}
	return e.serve(r, body), nil
}

func (e *ehr) serve(r *http.Request, body []byte) *http.Response {
	path := strings.TrimPrefix(r.URL.Path, "/ehr/")
	if path == "Patient/_search" {
		q, _ := url.ParseQuery(string(body))
		b := `{"resourceType":"Bundle","type":"searchset","entry":[`
		for i, id := range e.patients[strings.TrimPrefix(q.Get("identifier"), "urn:mrn|")] {
			b += strings.Repeat(",", min(i, 1)) + fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":%q}}`, id)
		}
		return answer(200, nil, b+`]}`)
	}
	x, err := fhir.Parse(body)
	if err != nil {
		return answer(400, nil, "")
	}
	condition := r.Header.Get("If-None-Exist")
	if r.Method == http.MethodPut {
		condition = r.URL.RawQuery
	}
	e.bodies = append(e.bodies, r.Method+" "+path+" "+condition+"\n"+string(body))
	words := x.Root().At("payload.contentString").Text()
	if status := e.refuses(words); status != 0 {
		return answer(status, nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"N1 is wrong"}]}`)
	}
	q, _ := url.ParseQuery(condition)
	number, _ := strings.CutPrefix(q.Get("identifier"), "urn:firebreak:request|")
	i := slices.IndexFunc(e.kept, func(k kept) bool { return k.number == number })
	now := kept{strings.TrimPrefix(x.Root().At("subject.reference").Text(), "Patient/"), number, words}
	switch {
	case i >= 0 && r.Method == http.MethodPost:
		return answer(200, nil, "")
	case i >= 0:
		if e.kept[i] == now {
			return answer(200, nil, "")
		}
		e.kept = append(slices.Delete(e.kept, i, i+1), now)
		return answer(200, nil, "")
	}
	e.kept = append(e.kept, now)
	return answer(201, http.Header{"Location": {fmt.Sprintf("http://127.0.0.1/ehr/Communication/%d/_history/1", len(e.kept))}}, "")
}

// said is what the EHR has of a patient, in order of arrival.
func (e *ehr) said(patient int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var b bytes.Buffer
	for _, k := range e.kept {
		if k.patient == fmt.Sprint(patient) {
			b.WriteString(k.words + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// lives has patients write while feeds deliver, one after another, each ended at
// some moment. It gives what each patient wrote, in order. The time is the test's:
// see within.
func (h *house) lives(n, patients int, intn func(int) int, feed func() *Feed) [][]string {
	h.t.Helper()
	wrote := make([][]string, patients)
	for range n {
		h.run(feed(), time.Duration(1+intn(300))*time.Second, func() {
			for range 8 {
				p, words := intn(patients), fmt.Sprint("w", h.n)
				h.says(p, words)
				wrote[p] = append(wrote[p], words)
				time.Sleep(time.Duration(intn(20)) * time.Second)
			}
		})
		if intn(2) == 0 {
			h.close()
			h.open()
		}
	}
	return wrote
}
