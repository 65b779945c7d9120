package viewer

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/registry"
	"firebreak/web"
)

// event is one line of a chart in testdata: a resource as one message brought it.
type arrival struct {
	Source   string          `json:"source"`
	At       time.Time       `json:"at"`
	Received time.Time       `json:"received"`
	Resource json.RawMessage `json:"resource"`
}

func readArrivals(t testing.TB, name string) []arrival {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []arrival
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a arrival
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// charted makes the chart that these arrivals lead to, by the real rules.
func charted(t testing.TB, arrivals []arrival) chart.Chart {
	t.Helper()
	rules, err := label.Default()
	if err != nil {
		t.Fatal(err)
	}
	type message struct {
		source   string
		received time.Time
	}
	messages := map[message][]arrival{}
	var order []message
	for _, a := range arrivals {
		m := message{a.Source, a.Received}
		if messages[m] == nil {
			order = append(order, m)
		}
		messages[m] = append(messages[m], a)
	}
	byRef := map[fhir.Ref]chart.History{}
	patient := fhir.Ref{}
	for _, m := range order {
		var resources []fhir.Resource
		for _, a := range messages[m] {
			r, err := fhir.Parse(a.Resource)
			if err != nil {
				t.Fatal(err)
			}
			if r.Type() == "Patient" && patient.IsZero() {
				patient = r.Ref()
			}
			resources = append(resources, r)
		}
		for i, l := range rules.Label("hospital", resources) {
			a := messages[m][i]
			r := l.Resource().Ref()
			byRef[r] = append(byRef[r], chart.Version{
				Labeled: l, VersionID: "v" + a.Received.Format("150405"), At: a.At, Recorded: a.Received, Source: a.Source, Current: true,
			})
		}
	}
	ch := chart.Chart{Patient: patient, Version: "1"}
	for _, h := range byRef {
		slices.SortStableFunc(h, func(a, b chart.Version) int { return cmp.Or(b.At.Compare(a.At), b.Recorded.Compare(a.Recorded)) })
		ch.Histories = append(ch.Histories, h)
	}
	slices.SortFunc(ch.Histories, func(a, b chart.History) int {
		return cmp.Or(cmp.Compare(a[0].Resource().Type(), b[0].Resource().Type()), cmp.Compare(a[0].Resource().ID(), b[0].Resource().ID()))
	})
	var all []label.Labeled
	for _, h := range ch.Histories {
		for _, v := range h {
			all = append(all, v.Labeled)
		}
	}
	all = label.Propagate(all)
	for _, h := range ch.Histories {
		for i := range h {
			h[i].Labeled, all = all[0], all[1:]
		}
	}
	return ch
}

// fakeReader holds charts in memory; views are made by the real policy.
type fakeReader struct {
	doubles []fhir.Ref
	policy  *policy.Policy
	charts  []chart.Chart
	views   map[string]*policy.View
	feeds   []record.Feed
	broken  error // of Freshness
	fault   error // of Chart
	asked   []record.Ask
	found   []record.Find
	many    bool
	broke   fhir.Ref // whose chart was opened in an emergency
}

func (f *fakeReader) view(c access.Caller, ch chart.Chart) *policy.View {
	key := ch.Patient.ID + " " + f.policy.Key(c)
	if f.views[key] == nil {
		f.views[key] = f.policy.View(c, ch)
	}
	return f.views[key]
}

func (f *fakeReader) Chart(_ context.Context, ask record.Ask, patient fhir.Ref) (*policy.View, error) {
	f.asked = append(f.asked, ask)
	if f.fault != nil {
		return nil, f.fault
	}
	for _, ch := range f.charts {
		if ch.Patient != patient {
			continue
		}
		v := f.view(ask.Caller, ch)
		if _, ok := v.Patient(); ok {
			return v, nil
		}
	}
	return nil, fhir.NotFound()
}

func (f *fakeReader) Get(ctx context.Context, ask record.Ask, ref fhir.Ref) (policy.Released, error) {
	v, err := f.Chart(ctx, ask, ref)
	if err != nil {
		return policy.Released{}, err
	}
	p, _ := v.Patient()
	return p, nil
}

func (f *fakeReader) Find(_ context.Context, ask record.Ask, by record.Find) ([]policy.Released, error) {
	f.asked, f.found = append(f.asked, ask), append(f.found, by)
	if f.many {
		return nil, &fhir.Error{Status: 400, Code: "too-costly", Text: "More than 10 people match. Add the birth date."}
	}
	var all []policy.Released
	for _, ch := range f.charts {
		p, ok := f.view(ask.Caller, ch).Patient()
		if !ok {
			continue
		}
		for n := range p.Resource().All("identifier.value") {
			if by.Number != "" && n.Is(by.Number) {
				all = append(all, p)
			}
		}
		if by.Family != "" && strings.EqualFold(p.Resource().Root().At("name.family").Text(), by.Family) && p.Resource().Get("birthDate").Is(by.Birth) {
			all = append(all, p)
		}
	}
	return all, nil
}

func (f *fakeReader) Doubles(context.Context, access.Caller, fhir.Ref) ([]fhir.Ref, error) {
	return f.doubles, nil
}

func (f *fakeReader) Glass(_ context.Context, c access.Caller, patient fhir.Ref) (record.Glass, error) {
	g := record.Glass{}
	g.Offered, _ = f.policy.MayBreak(c)
	g.Opened = g.Offered > 0 && f.broke == patient
	g.Ends = noon.Add(g.Offered)
	return g, nil
}

func (f *fakeReader) Break(_ context.Context, ask record.Ask, patient fhir.Ref, reason record.Reason, words string) error {
	f.asked = append(f.asked, ask)
	if reason == "" || len(words) < 10 {
		return record.ErrReason
	}
	f.broke = patient
	return nil
}

func (f *fakeReader) Mend(_ context.Context, ask record.Ask, patient fhir.Ref) error {
	f.asked, f.broke = append(f.asked, ask), fhir.Ref{}
	return nil
}

func (f *fakeReader) Freshness(context.Context) ([]record.Feed, error) { return f.feeds, f.broken }

// house is the viewer behind its guard, with everything real but the record
// and the OpenID provider.
type house struct {
	t       testing.TB
	now     time.Time
	reader  *fakeReader
	office  *fakeOffice
	ops     *fakeOps
	places  []registry.Place
	session web.Session
	ended   bool
	used    int
	audited []audit.Event
	viewer  *Viewer
	handler http.Handler
	gzip    bool
}

var noon = time.Date(2026, 11, 22, 14, 25, 0, 0, vancouver)
var vancouver = mustZone("America/Vancouver")

func mustZone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

func newHouse(t testing.TB, charts ...chart.Chart) *house {
	t.Helper()
	p, err := policy.Load(policy.Demo())
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, now: noon}
	h.reader = &fakeReader{policy: p, charts: charts, views: map[string]*policy.View{}, feeds: []record.Feed{
		{Source: "lab-a", Last: noon.Add(-5 * time.Minute)}, {Source: "lab-b", Last: noon.Add(-27 * time.Hour)}, {Source: "hospital", Last: noon.Add(-4 * time.Minute)},
	}}
	h.office, h.ops = &fakeOffice{fakeReader: h.reader}, &fakeOps{}
	identity := accesstest.Identity(t, map[string]any{"sub": "lee", "client_id": "app", "name": "Dr Ann Lee"})
	h.places = []registry.Place{place("oak", "Oak Street Clinic", access.Physician, "")}
	h.session = web.Session{Key: "session-one", Identity: identity, Worksite: "oak", Left: 15 * time.Minute}
	note := func(_ context.Context, e audit.Event) error { h.audited = append(h.audited, e); return nil }
	clock := func() time.Time { return h.now }
	guard, err := web.New(web.Config{Sessions: h, Tokens: h, Door: h, Audit: note, PageRate: web.Rate{PerSecond: -1}, Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	desk, err := registry.NewDesk(t.Context(), reg.DB(), clock)
	if err != nil {
		t.Fatal(err)
	}
	h.viewer, err = New(Config{
		Guard: guard, Reader: h.reader, Accounts: h, Registry: h, Office: h.office, Ops: h.ops, Desk: desk, Audit: note, Secret: []byte("a secret of the tests"),
		Zone: vancouver, Feeds: map[string]string{"lab-a": "Lab A", "lab-b": "Lab B", "hospital": "General Hosp."}, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := mux.NewRouter()
	h.viewer.Routes(r)
	h.handler = guard.Wrap(r)
	return h
}

func place(id, name string, role access.Role, actingFor string) registry.Place {
	m := access.Membership{
		ID: "m-" + id, Login: access.Login{Issuer: accesstest.Issuer, Subject: "lee"}, Person: "lee", Name: "Dr Ann Lee", Role: role, Worksite: id, Active: true,
	}
	if actingFor != "" {
		m.For = &access.Membership{ID: "m-" + actingFor, Person: actingFor, Name: "Dr " + actingFor, Role: access.Physician, Worksite: id, Active: true}
	}
	return registry.Place{Membership: m, Site: access.Worksite{ID: id, Name: name, Active: true}}
}

func (h *house) Session(r *http.Request, use bool) (web.Session, error) {
	if h.ended {
		return web.Session{}, nil
	}
	if use {
		h.used++
	}
	return h.session, nil
}

func (h *house) Verify(context.Context, string) (auth.Identity, error) {
	return auth.Identity{}, nil
}

func (h *house) Token(context.Context, auth.Identity) (access.Caller, error) {
	return access.Caller{}, access.ErrKind
}

func (h *house) Person(_ context.Context, id auth.Identity, worksite, actingFor string) (access.Caller, error) {
	for _, p := range h.places {
		if p.Site.ID == worksite && (p.For == nil && actingFor == "" || p.For != nil && p.For.Person == actingFor) {
			return access.Admit(id, p.Membership, p.Site, h.now)
		}
	}
	return access.Caller{}, access.ErrPlace
}

func (h *house) Officer(_ context.Context, id auth.Identity, worksite string) (access.Officer, error) {
	for _, p := range h.places {
		if p.Site.ID == worksite {
			return access.AdmitOfficer(id, p.Membership, p.Site, h.now)
		}
	}
	return access.Officer{}, access.ErrPlace
}

func (h *house) Operator(_ context.Context, id auth.Identity, worksite string) (access.Operator, error) {
	for _, p := range h.places {
		if p.Site.ID == worksite {
			return access.AdmitOperator(id, p.Membership, p.Site, h.now)
		}
	}
	return access.Operator{}, access.ErrPlace
}

func (h *house) Choices(context.Context, auth.Identity) ([]registry.Place, error) {
	return h.places, nil
}

func (h *house) Begin(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "https://issuer.test/authorize", http.StatusSeeOther)
	return nil
}

func (h *house) Complete(w http.ResponseWriter, r *http.Request) (auth.Identity, bool, error) {
	return h.session.Identity, r.URL.Query().Get("code") == "", nil
}

func (h *house) End(w http.ResponseWriter, r *http.Request) (string, error) {
	h.ended = true
	return "https://issuer.test/end", nil
}

func (h *house) Choose(r *http.Request, worksite, actingFor string) error {
	h.session.Worksite, h.session.For = worksite, actingFor
	return nil
}

func (h *house) do(r *http.Request) *httptest.ResponseRecorder {
	if h.gzip {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// get is the answer to GET; anything but 200 fails the test.
func (h *house) get(path string) string {
	h.t.Helper()
	w := h.do(httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		h.t.Fatalf("GET %s: %d %s", path, w.Code, outline(w.Body.String()))
	}
	return w.Body.String()
}

func (h *house) post(path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.do(r)
}

// base is the address of a patient's chart in the present session.
func (h *house) base(i int) string {
	return "/p/" + h.viewer.handles.patient(h.session.Key, h.reader.charts[i].Patient)
}

// ayan is the chart most tests look at.
func ayan(t testing.TB) chart.Chart { return charted(t, readArrivals(t, "ayan.ndjson")) }

// outline is what a page says, one line to a block: headings with "#", cells of
// a table between bars, links in brackets with their address.
func outline(page string) string {
	if _, body, ok := strings.Cut(page, "<body"); ok {
		page = "<body" + body
	}
	var out bytes.Buffer
	block := func(mark string) {
		line := bytes.TrimRight(out.Bytes(), " ")
		out.Truncate(len(line))
		if len(line) > 0 && line[len(line)-1] != '\n' {
			out.WriteByte('\n')
		}
		out.WriteString(mark)
	}
	pre := false
	for len(page) > 0 {
		text, rest, ok := strings.Cut(page, "<")
		text = unescape(text)
		if !pre {
			spaced := text != "" && strings.TrimLeft(text, " \n\t") != text
			ends := text != "" && strings.TrimRight(text, " \n\t") != text
			text = strings.Join(strings.Fields(text), " ")
			if spaced && out.Len() > 0 && !strings.ContainsRune(" \n", rune(out.Bytes()[out.Len()-1])) {
				out.WriteByte(' ')
			}
			if ends && text != "" {
				text += " "
			}
		}
		out.WriteString(text)
		if !ok {
			break
		}
		tag, after, _ := strings.Cut(rest, ">")
		page = after
		name, attributes, _ := strings.Cut(tag, " ")
		name = strings.TrimSpace(name)
		switch name {
		case "h1", "h2", "h3":
			block(strings.Repeat("#", int(name[1]-'0')) + " ")
		case "p", "div", "tr", "table", "section", "header", "footer", "nav", "figure", "figcaption", "caption", "form", "fieldset", "legend", "label", "main", "dl", "dt", "ul", "ol", "details", "summary", "iframe", "img", "button", "option":
			block(map[string]string{"tr": "| ", "dt": ": "}[name])
		case "li":
			block("- ")
		case "th", "td":
			if line := out.Bytes(); len(line) > 2 && string(line[len(line)-2:]) != "| " {
				out.WriteString(" | ")
			} else if !bytes.HasSuffix(line, []byte("\n| ")) {
				out.WriteString("| ")
			}
		case "dd":
			out.WriteString(": ")
		case "br":
			out.WriteString(" / ")
		case "a":
			out.WriteString("[")
		case "/a":
			out.WriteString("]")
		case "s":
			out.WriteString("~")
		case "/s":
			out.WriteString("~")
		case "svg":
			_, page, _ = strings.Cut(page, "</svg>")
			out.WriteString("(line)")
		case "/h1", "/h2", "/h3", "/p", "/div", "/table", "/caption", "/header", "/footer", "/ul", "/form":
			block("")
		}
		if strings.Contains(attributes, `class="v"`) && name == "span" {
			out.WriteString("{")
			inner, rest, _ := strings.Cut(page, "</span>")
			out.WriteString(strings.TrimSpace(unescape(inner)) + "}")
			page = rest
		}
		pre = strings.Contains(attributes, "pre\"") || pre && name != "/div" && name != "/p" && name != "/span"
	}
	lines := strings.Split(out.String(), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Trim(l, " |-") == "" })
	return strings.Join(lines, "\n") + "\n"
}

var unescape = strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&amp;", "&", "&#43;", "+").Replace

// line is the first line of an outline that contains all the words.
func line(out string, words ...string) string {
	for l := range strings.SplitSeq(out, "\n") {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l, w) }) {
			return l
		}
	}
	return ""
}
