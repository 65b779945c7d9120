package fhirapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/hospital"
	"firebreak/internal/canary"
	"firebreak/policy"
	"firebreak/search"
)

// openPolicy is the demo's with nothing withheld from anyone.
func openPolicy(t testing.TB) []byte {
	t.Helper()
	var file map[string]any
	must(t, json.Unmarshal(policy.Demo(), &file))
	for _, name := range []string{"provider", "backend", "smart-app"} {
		a := file["audiences"].(map[string]any)[name].(map[string]any)
		a["withhold"], a["unclassified"] = []string{}, "release"
	}
	file["unclassified"] = "release"
	return marshal(t, file)
}

// clinical are the types that a chart made from HL7 can hold.
var clinical = []string{"AllergyIntolerance", "Appointment", "Binary", "Communication", "Condition", "Coverage", "DiagnosticReport", "DocumentReference", "Encounter",
	"Location", "Observation", "Organization", "Patient", "Practitioner", "Provenance", "RelatedPerson", "ServiceRequest", "Specimen"}

// chart is "Type/id" of all that a caller is shown of a patient.
func (w *world) chart(token, patient string) map[string]bool {
	w.t.Helper()
	all := map[string]bool{}
	for next := "/Patient?_id=" + patient + "&_revinclude=*&_include=*&_include:iterate=*"; next != ""; {
		page := w.get(token, next).want(w.t, 200)
		for _, id := range page.ids(w.t, "") {
			all[id] = true
		}
		next = page.link(w.t, "next")
	}
	return all
}

// Whatever is asked, the answer is one of those that an API gives, is R4, and
// holds nothing that is withheld.
func TestAnyRequest(t *testing.T) {
	t.Parallel()
	const requests = 2500
	w := newWorld(t)
	w.hospital(5)
	ayan := w.ayan()
	me, app := w.physician(), person(t, "physician", "patient/*.rs", ayan)
	reader := client(t, "reader/reader", "system/*.rs")
	shown, whole := w.chart(reader, ayan), w.under(openPolicy(t)).chart(me, ayan) // an app sees less than a backend
	for ref := range w.chart(me, ayan) {
		if !shown[ref] {
			t.Errorf("an app sees %s and a backend does not", ref)
		}
	}
	secrets := slices.Clone(hospital.Secrets)
	var hidden []string
	for ref := range whole {
		if !shown[ref] {
			hidden = append(hidden, ref)
			_, id, _ := strings.Cut(ref, "/")
			secrets = append(secrets, id)
		}
	}
	slices.Sort(hidden)
	if len(hidden) < 10 || len(shown) < 100 {
		t.Fatalf("%d withheld, %d shown: this tries nothing", len(hidden), len(shown))
	}
	words := canary.New(secrets...)
	for _, seed := range []uint64{1, 2} {
		g := &grammar{rand.New(rand.NewPCG(seed, 99)), ayan, hidden, sorted(shown)}
		counts := map[int]int{}
		for range requests / 2 {
			a := g.request()
			a.token = []string{me, app, reader, ""}[g.pick(40, 30, 28, 2)]
			got := w.do(a)
			counts[got.Code]++
			if !slices.Contains([]int{200, 304, 400, 401, 403, 404, 405, 406, 415, 422}, got.Code) {
				t.Errorf("seed %d: %s %s: %d", seed, a.method, a.path, got.Code)
			}
			body := got.body
			if r, err := fhir.Parse(body); err == nil && r.Type() == "Bundle" { // its own question stands in its links
				r, err = r.Without("link")
				must(t, err)
				body = r.JSON()
			}
			if word := words.In(body); word != "" {
				t.Errorf("seed %d: %s %s %s shows %s", seed, a.method, a.path, a.body, word)
			}
			for name, values := range got.Header() {
				if word := words.In([]byte(strings.Join(values, " "))); word != "" {
					t.Errorf("seed %d: %s %s: header %s shows %s", seed, a.method, a.path, name, word)
				}
			}
		}
		if counts[200] < requests/8 || counts[404] < requests/50 {
			t.Errorf("the requests try too little: %v", counts)
		}
		t.Log(counts)
	}
}

func sorted(m map[string]bool) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// grammar makes requests up: half of them sound, most about one patient, half
// of their values what only somebody who knew the secrets could ask for.
type grammar struct {
	*rand.Rand
	patient string
	hidden  []string
	shown   []string
}

// pick is an index, as often as its weight says.
func (g *grammar) pick(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := g.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return 0
}

func one[T any](g *grammar, all []T) T { return all[g.IntN(len(all))] }

func (g *grammar) typ() string {
	if g.IntN(20) == 0 {
		return one(g, search.Types())
	}
	return one(g, clinical)
}

func (g *grammar) ref() string {
	switch g.pick(40, 40, 10, 10) {
	case 0:
		return one(g, g.hidden)
	case 1:
		return one(g, g.shown)
	case 2:
		return g.typ() + "/" + strings.Repeat("x", 1+g.IntN(70))
	}
	return g.typ() + "/" + strings.Split(one(g, g.hidden), "/")[1]
}

func (g *grammar) value() string {
	switch g.pick(30, 15, 15, 10, 10, 10, 10) {
	case 0:
		return one(g, append([]string{"http://loinc.org|56888-1", "|HIVSC", "HIV", "non-reactive", "carcinoma", "412.7", "412.7|http://unitsofmeasure.org|IU/L", "21198-7", "IDSCR"}, hospital.Secrets...))
	case 1:
		return g.ref()
	case 2:
		return one(g, []string{"2823-3", "http://loinc.org|2823-3", "final", "F", "Ayan", "laboratory", "true", "false"})
	case 3:
		return one(g, []string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}) + one(g, []string{"2026", "2026-10", "2026-10-27", "2026-10-27T10:00:00Z", "5.0", "1e3", "412.7"})
	case 4:
		return one(g, []string{"", "|", "||", ",", "\\", "$", "%", "*", "a,b,c", "é", "\x00", "<x>", "'", `"`, strings.Repeat("9", 400)})
	case 5:
		return strings.Split(one(g, g.hidden), "/")[1]
	}
	return fmt.Sprint(g.IntN(3000) - 1000)
}

func (g *grammar) name(typ string) string {
	params := search.Params(typ)
	if len(params) == 0 || g.IntN(15) == 0 {
		return one(g, []string{"_id", "_lastUpdated", "_tag", "_security", "_profile", "_source", "_text", "_content", "_list", "_query", "_filter", "x", "", "_type", ":missing"})
	}
	p := one(g, params)
	switch g.pick(60, 15, 12, 13) {
	case 1:
		return p.Name + ":" + one(g, []string{"missing", "exact", "contains", "not", "text", "in", "below", "above", "identifier", "of-type", "Patient", "Observation", "x"})
	case 2:
		if len(p.Target) > 0 {
			t := one(g, p.Target)
			return p.Name + ":" + t + "." + g.name(t)
		}
	case 3:
		from := g.typ()
		return "_has:" + from + ":" + one(g, []string{"patient", "subject", "result", "performer", "target", "encounter"}) + ":" + g.name(from)
	}
	return p.Name
}

func (g *grammar) query(typ string) string {
	var all []string
	add := func(name, value string) { all = append(all, url.QueryEscape(name)+"="+url.QueryEscape(value)) }
	if g.IntN(10) > 0 {
		if typ == "Patient" {
			add(one(g, []string{"_id", "identifier"}), one(g, []string{g.patient, "GH1000000"}))
		} else {
			add(one(g, []string{"patient", "subject", "patient:Patient", "patient.identifier"}), one(g, []string{g.patient, "Patient/" + g.patient, "GH1000000"}))
		}
	}
	for range g.pick(20, 50, 20, 10) {
		add(g.name(typ), g.value())
	}
	if g.IntN(3) == 0 {
		switch g.IntN(7) {
		case 0:
			add("_sort", one(g, []string{"-date", "date", "_id", "code", "-_lastUpdated", "value-quantity", "x"}))
		case 1:
			add("_count", one(g, []string{"0", "1", "2", "50", "1000", "-1", "x"}))
		case 2:
			add("_total", one(g, []string{"accurate", "estimate", "none", "x"}))
		case 3:
			add("_summary", one(g, []string{"true", "text", "data", "count", "false", "x"}))
		case 4:
			add("_elements", one(g, []string{"code", "status,subject", "result", "x"}))
		case 5:
			add(one(g, []string{"_include", "_include:iterate"}), one(g, append(search.Includes(typ), "*", "x", typ+":*")))
		case 6:
			add(one(g, []string{"_revinclude", "_revinclude:iterate"}), one(g, append(search.RevIncludes(typ), "*", "x", "Observation:patient")))
		}
	}
	if g.IntN(40) == 0 {
		all = append(all, one(g, []string{"%", "&&&", "=", "a", "_cursor=abc", "_format=xml", "_pretty=true", "a;b"}))
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return strings.Join(all, "&")
}

func (g *grammar) request() ask {
	a := ask{method: one(g, []string{http.MethodGet, http.MethodGet, http.MethodGet, http.MethodGet, http.MethodHead})}
	switch g.pick(60, 15, 5, 8, 5, 4, 3) {
	case 0:
		typ := g.typ()
		a.path = "/" + typ + "?" + g.query(typ)
	case 1:
		a.path = "/" + g.ref() + one(g, []string{"", "", "", "?_summary=true", "?_elements=code", "?_format=json", "?x=1"})
	case 2:
		typ := g.typ()
		a.method, a.path, a.body, a.headers = http.MethodPost, "/"+typ+"/_search", g.query(typ), []string{"Content-Type: application/x-www-form-urlencoded"}
	case 3:
		a.path = "/" + g.ref() + "/_history" + one(g, []string{"", "", "?_count=1", "?_since=2026-01-01T00:00:00Z", "/1", "/" + strings.Split(one(g, g.hidden), "/")[1]})
	case 4:
		a.method = one(g, []string{http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch, "SEARCH"})
		a.path, a.body = "/"+g.ref(), one(g, []string{"", "{}", patientX})
	case 5:
		a.path = one(g, []string{"", "/", "/metadata", "/x", "/_history", "/Patient/_history", "/Patient/" + g.patient + "/$everything", "/Patient/" + g.patient + "/Observation", "//x", "/Observation/", "/$export", "/Observation/$lastn"})
	case 6:
		a.path = "/Observation?patient=" + g.patient
		a.headers = []string{one(g, []string{"Accept: text/html", "Accept: */*", "If-None-Match: *", "Prefer: handling=lenient", "If-Modified-Since: Sun, 22 Nov 2026 12:00:00 GMT"})}
	}
	if g.IntN(15) == 0 {
		a.headers = append(a.headers, "Prefer: handling=lenient")
	}
	if bytes.ContainsAny([]byte(a.path), "\x00 ") {
		a.path = strings.NewReplacer("\x00", "%00", " ", "%20").Replace(a.path)
	}
	return a
}
