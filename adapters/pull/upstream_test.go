package pull

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"firebreak/adapters/peer"
)

// upstream is an honest FHIR server in memory, with a clock and the ways of
// servers: pages that shift while they are turned, changes that show later than
// they are dated, and faults when it is told to have them.
type upstream struct {
	base string

	mu       sync.Mutex
	now      func() time.Time
	all      map[string]*resource // by "Type/id"
	past     []*resource          // every version, oldest first
	jobs     map[string]*exported
	tokens   map[string]bool
	deletes  bool          // history-type is offered
	blind    bool          // it does not count
	late     time.Duration // a change shows so much later than it is dated
	sloppy   time.Duration // its clock ticks so slowly
	secure   bool          // it wants tokens
	proofs   []string      // client assertions it was shown
	fault    func() fault  // drawn for each request
	page     int           // most resources in an answer
	asked    map[string]int
	extra    []string // entries of a search for Observations that are no resources
	begun    int      // exports
	forgot   int      // exports deleted
	abandons bool
}

type resource struct {
	Type, ID string
	Version  int
	At       time.Time
	Shown    time.Time
	Owner    string // id of a Patient
	Value    int
	Gone     bool
	Files    []string // of a DocumentReference: where they lie
	Text     string   // of a Binary
}

func (r *resource) key() string { return r.Type + "/" + r.ID }

// json is the resource. What it says besides its id names it in words that
// no gateway changes.
func (r *resource) json() map[string]any {
	b := map[string]any{
		"resourceType": r.Type, "id": r.ID, "meta": map[string]any{"versionId": strconv.Itoa(r.Version), "lastUpdated": r.At.UTC().Format("2006-01-02T15:04:05.000Z07:00")},
		"identifier": []any{map[string]any{"system": "urn:test", "value": r.key()}},
	}
	switch r.Type {
	case "Observation":
		b["status"], b["code"] = "final", map[string]any{"text": "Sodium"}
		b["subject"] = map[string]any{"reference": "Patient/" + r.Owner}
		b["performer"] = []any{map[string]any{"reference": "Practitioner/1"}}
		b["valueInteger"] = r.Value
	case "DocumentReference":
		b["status"], b["subject"] = "current", map[string]any{"reference": "Patient/" + r.Owner}
		b["type"] = map[string]any{"coding": []any{map[string]any{"system": "http://loinc.org", "code": "11506-3", "display": "Progress note"}}}
		var content []any
		for _, at := range r.Files {
			content = append(content, map[string]any{"attachment": map[string]any{"contentType": "text/plain", "url": at}})
		}
		b["content"] = content
	case "Binary":
		delete(b, "identifier")
		b["contentType"], b["data"] = "text/plain", base64.StdEncoding.EncodeToString([]byte(r.Text))
	default:
		b["name"] = []any{map[string]any{"family": fmt.Sprintf("Family%d", r.Value)}}
	}
	return b
}

type fault int

const (
	none fault = iota
	tooMany
	unavailable
	broken  // 500
	cut     // in the middle of the body
	expired // the token
	stale   // 410 for a page
	twice   // the page once more
	elsewhere
	hangs
	moved // to another origin
	faults
)

func newUpstream(now func() time.Time) *upstream {
	return &upstream{
		base: "http://127.0.0.1/fhir", now: now, all: map[string]*resource{}, jobs: map[string]*exported{}, tokens: map[string]bool{}, asked: map[string]int{},
		deletes: true, page: 7, fault: func() fault { return none },
	}
}

func (u *upstream) clock() time.Time {
	t := u.now()
	if u.sloppy > 0 {
		return t.Truncate(u.sloppy)
	}
	return t.Truncate(time.Millisecond)
}

// put creates or changes a resource.
func (u *upstream) put(typ, id, owner string, value int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := &resource{Type: typ, ID: id, Version: 1, Owner: owner, Value: value, At: u.clock(), Shown: u.now().Add(u.late)}
	for _, p := range u.past {
		if p.key() == r.key() {
			r.Version = p.Version + 1
		}
	}
	u.all[r.key()] = r
	u.past = append(u.past, r)
}

func (u *upstream) drop(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r := u.all[key]; r != nil {
		delete(u.all, key)
		g := *r
		g.Gone, g.At, g.Version = true, u.clock(), r.Version+1
		u.past = append(u.past, &g)
	}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w.Header().Set("Date", u.now().UTC().Format(http.TimeFormat))
	if r.Method == http.MethodGet && r.Header.Get("Cache-Control") != "no-cache" { // it would say again what was so a minute ago
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/fhir/")
	u.asked[strings.Split(path, "/")[0]]++
	f := u.fault()
	switch f {
	case tooMany:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case unavailable:
		w.Header().Set("Retry-After", u.now().Add(11*time.Second).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case broken:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case cut:
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(`{"resourceType":"Bundle","entry":[`))
		return
	case hangs:
		u.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-time.After(2 * peer.HeaderTime):
		}
		u.mu.Lock()
		return
	case expired:
		clear(u.tokens)
	case moved:
		http.Redirect(w, r, "http://169.254.169.254/fhir", http.StatusFound)
		return
	}
	if path == ".well-known/smart-configuration" {
		answer(w, 200, map[string]any{"token_endpoint": u.base + "/token", "capabilities": []string{"permission-v2"}})
		return
	}
	if path == "token" {
		_ = r.ParseForm()
		u.proofs = append(u.proofs, r.PostForm.Get("client_assertion"))
		token := "t" + strconv.Itoa(len(u.proofs))
		u.tokens[token] = true
		answer(w, 200, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300})
		return
	}
	if u.secure && !u.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
		answer(w, 401, outcome("login"))
		return
	}
	q := r.URL.Query()
	switch parts := strings.Split(path, "/"); {
	case path == "metadata":
		answer(w, 200, u.metadata())
	case parts[0] == "$export" || parts[0] == "job" || parts[0] == "file":
		u.bulk(w, r, parts)
	case len(parts) == 2 && parts[1] == "_history":
		u.history(w, parts[0], q, f)
	case len(parts) == 2:
		if x := u.all[path]; x != nil && x.ID == "raw" { // some give a file as it is, whatever was asked for
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write([]byte(x.Text))
			return
		}
		if x := u.all[path]; x != nil {
			answer(w, 200, x.json())
			return
		}
		status := 404
		if slices.ContainsFunc(u.past, func(x *resource) bool { return x.key() == path }) {
			status = 410
		}
		answer(w, status, outcome("not-found"))
	default:
		u.search(w, parts[0], q, f)
	}
}

func (u *upstream) metadata() map[string]any {
	var all []any
	for _, typ := range []string{"Patient", "Practitioner", "Observation"} {
		can := []any{map[string]any{"code": "search-type"}, map[string]any{"code": "read"}}
		if u.deletes {
			can = append(can, map[string]any{"code": "history-type"})
		}
		all = append(all, map[string]any{"type": typ, "interaction": can})
	}
	return map[string]any{"resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance",
		"fhirVersion": "4.0.1", "format": []string{"json"}, "rest": []any{map[string]any{"mode": "server", "resource": all}}}
}

func outcome(code string) map[string]any {
	return map[string]any{"resourceType": "OperationOutcome", "issue": []any{map[string]any{"severity": "error", "code": code, "diagnostics": "Family1 was here"}}}
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/fhir+json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// search answers by offset into what matches now: pages shift.
func (u *upstream) search(w http.ResponseWriter, typ string, q url.Values, f fault) {
	var hits []*resource
	for _, r := range u.all {
		if r.Type == typ && !u.now().Before(r.Shown) && inside(r.At, q["_lastUpdated"]) {
			hits = append(hits, r)
		}
	}
	slices.SortFunc(hits, func(a, b *resource) int { return strings.Compare(a.ID, b.ID) })
	b := map[string]any{"resourceType": "Bundle", "type": "searchset"}
	if !u.blind {
		b["total"] = len(hits)
	}
	if q.Get("_summary") == "count" {
		answer(w, 200, b)
		return
	}
	from, _ := strconv.Atoi(q.Get("offset"))
	if f == stale && from > 0 {
		answer(w, 410, outcome("not-found"))
		return
	}
	if f == twice {
		from = max(0, from-u.page)
	}
	n := u.page
	if asked, err := strconv.Atoi(q.Get("_count")); err == nil {
		n = min(n, asked)
	}
	var entries []any
	for _, r := range hits[min(from, len(hits)):min(from+n, len(hits))] {
		x := r.json()
		if q.Has("_elements") {
			x = map[string]any{"resourceType": r.Type, "id": r.ID, "meta": x["meta"]}
			x["meta"].(map[string]any)["tag"] = []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}}
		}
		entries = append(entries, map[string]any{"fullUrl": u.base + "/" + r.key(), "resource": x, "search": map[string]any{"mode": "match"}})
	}
	entries = append(entries, map[string]any{"resource": outcome("informational"), "search": map[string]any{"mode": "outcome"}})
	if typ == "Observation" && from == 0 {
		for _, x := range u.extra {
			entries = append(entries, map[string]any{"resource": json.RawMessage(x)})
		}
	}
	b["entry"] = entries
	u.link(b, typ, q, from+n, len(hits), f)
	answer(w, 200, b)
}

// link adds the link to the next page, if there is one.
func (u *upstream) link(b map[string]any, path string, q url.Values, next, all int, f fault) {
	if next >= all {
		return
	}
	q.Set("offset", strconv.Itoa(next))
	base := u.base
	if f == elsewhere {
		base = "http://169.254.169.254/latest"
	}
	b["link"] = []any{map[string]any{"relation": "self", "url": "x"}, map[string]any{"relation": "next", "url": base + "/" + path + "?" + q.Encode()}}
}

func inside(at time.Time, bounds []string) bool {
	for _, b := range bounds {
		t, err := time.Parse(time.RFC3339, b[2:])
		switch {
		case err != nil:
			panic(err)
		case b[:2] == "ge" && at.Before(t), b[:2] == "lt" && !at.Before(t):
			return false
		}
	}
	return true
}

// history answers newest first, contents and deletions.
func (u *upstream) history(w http.ResponseWriter, typ string, q url.Values, f fault) {
	since, err := time.Parse(time.RFC3339, q.Get("_since"))
	if err != nil {
		panic(err)
	}
	var hits []*resource
	for _, r := range slices.Backward(u.past) {
		if r.Type == typ && !r.At.Before(since) {
			hits = append(hits, r)
		}
	}
	from, _ := strconv.Atoi(q.Get("offset"))
	var entries []any
	for _, r := range hits[min(from, len(hits)):min(from+u.page, len(hits))] {
		e := map[string]any{"fullUrl": u.base + "/" + r.key()}
		if r.Gone {
			e["request"] = map[string]any{"method": "DELETE", "url": r.key()}
			e["response"] = map[string]any{"status": "204", "lastModified": r.At.UTC().Format("2006-01-02T15:04:05.000Z07:00")}
		} else {
			e["resource"], e["request"] = r.json(), map[string]any{"method": "PUT", "url": r.key()}
		}
		entries = append(entries, e)
	}
	b := map[string]any{"resourceType": "Bundle", "type": "history", "entry": entries}
	u.link(b, typ+"/_history", q, from+u.page, len(hits), f)
	answer(w, 200, b)
}

// exported is one Bulk Data export.
type exported struct {
	asked int
	files map[string]string
	list  map[string]any
}

func (u *upstream) bulk(w http.ResponseWriter, r *http.Request, parts []string) {
	switch {
	case parts[0] == "$export":
		if r.Header.Get("Prefer") != "respond-async" {
			answer(w, 400, outcome("invalid"))
			return
		}
		u.begun++
		id := strconv.Itoa(u.begun)
		u.jobs[id] = u.makeExport(id, r.URL.Query())
		w.Header().Set("Content-Location", u.base+"/job/"+id)
		w.WriteHeader(http.StatusAccepted)
	case u.jobs[parts[1]] == nil:
		answer(w, 404, outcome("not-found"))
	case parts[0] == "file":
		_, _ = w.Write([]byte(u.jobs[parts[1]].files[parts[2]]))
	case r.Method == http.MethodDelete:
		delete(u.jobs, parts[1])
		u.forgot++
		w.WriteHeader(http.StatusAccepted)
	default:
		j := u.jobs[parts[1]]
		if j.asked++; j.asked < 3 {
			w.Header().Set("X-Progress", "on its way")
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if u.abandons {
			u.abandons = false
			delete(u.jobs, parts[1])
		}
		answer(w, 200, j.list)
	}
}

func (u *upstream) makeExport(id string, q url.Values) *exported {
	var since time.Time
	if s := q.Get("_since"); s != "" {
		since, _ = time.Parse(time.RFC3339, s)
	}
	j := &exported{files: map[string]string{}}
	var output, deleted []any
	for _, typ := range strings.Split(q.Get("_type"), ",") {
		text, n := "", 0
		for _, key := range slices.Sorted(maps.Keys(u.all)) {
			if r := u.all[key]; r.Type == typ && !r.At.Before(since) {
				b, _ := json.Marshal(r.json())
				text += string(b) + "\n"
				n++
			}
		}
		j.files[typ] = text
		output = append(output, map[string]any{"type": typ, "url": u.base + "/file/" + id + "/" + typ, "count": n})
	}
	if u.deletes && !since.IsZero() {
		text := ""
		for _, r := range u.past {
			if r.Gone && u.all[r.key()] == nil && !r.At.Before(since) {
				b, _ := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "transaction", "entry": []any{map[string]any{"request": map[string]any{"method": "DELETE", "url": r.key()}}}})
				text += string(b) + "\n"
			}
		}
		j.files["deleted"] = text
		deleted = append(deleted, map[string]any{"type": "Bundle", "url": u.base + "/file/" + id + "/deleted"})
	}
	j.list = map[string]any{"transactionTime": u.now().UTC().Format("2006-01-02T15:04:05.000Z07:00"), "request": u.base + "/$export", "requiresAccessToken": true, "output": output, "deleted": deleted, "error": []any{}}
	return j
}

// change makes n changes: most of them new values, some new resources, some
// deletions, some results that turn out to be another's.
func (u *upstream) change(r *rand.Rand, n int) {
	for range n {
		id := strconv.Itoa(1 + r.IntN(40))
		patient := strconv.Itoa(1 + r.IntN(6))
		switch r.IntN(10) {
		case 0, 1:
			u.drop("Observation/" + id)
		case 2:
			u.put("Patient", patient, "", r.IntN(1000))
		case 3:
			u.put("Practitioner", strconv.Itoa(1+r.IntN(3)), "", r.IntN(1000))
		default:
			owner := "1"
			if r.IntN(4) > 0 {
				owner = strconv.Itoa(1 + (len(id)+int(id[0]))%6)
			}
			u.put("Observation", id, owner, r.IntN(1000))
		}
	}
}
