package proof_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"firebreak/fhir"
	"firebreak/search"
)

// asker makes up questions. Half of what it asks for is what only somebody who
// knew the secrets could ask for.
type asker struct {
	*rand.Rand
	world  *world
	all    []*audience
	asks   []*audience // those of them who ask
	known  *words      // of harmless things
	hidden *words      // that only the secrets hold
	found  *words      // that answers gave, so far
	about  *card       // what the next question is about; nil for nothing
}

// route is how the router spells an address, and how to ask there.
type route struct {
	template string
	weight   int
	pages    bool // for those who have a session
	ask      func(*asker, *audience) question
}

const (
	typePath    = `/fhir/{type:[A-Z][A-Za-z]{1,63}}`
	idPath      = typePath + `/{id:[A-Za-z0-9\-.]{1,64}}`
	versionPath = idPath + `/_history/{version:[A-Za-z0-9\-.]{1,64}}`
)

// routes are all that the router knows; TestEveryRouteIsAsked compares.
var routes = []route{
	{typePath, 600, false, (*asker).search},
	{typePath + "/_search", 50, false, (*asker).searchByForm},
	{idPath, 120, false, (*asker).read},
	{versionPath, 70, false, (*asker).vread},
	{idPath + "/_history", 60, false, (*asker).history},
	{"/fhir/metadata", 2, false, plainly("/fhir/metadata")},
	{"/fhir/.well-known/smart-configuration", 1, false, plainly("/fhir/.well-known/smart-configuration")},
	{"/fhir", 3, false, (*asker).system},
	{"/fhir/", 5, false, (*asker).elsewhere},
	{"/", 2, true, plainly("/")},
	{"/help", 2, true, plainly("/help")},
	{"/status", 6, true, plainly("/status")},
	{"/assets/{file}", 1, true, plainly("/assets/none.css")},
	{"/sign-in", 1, true, plainly("/sign-in")},
	{"/sign-in/callback", 1, true, plainly("/sign-in/callback?code=1")},
	{"/sign-out", 1, true, posted("/sign-out", url.Values{"x": {"1"}})},
	{"/signed-out", 1, true, plainly("/signed-out")},
	{"/session", 2, true, plainly("/session")},
	{"/worksite", 2, true, plainly("/worksite")},
	{"/acting-for", 2, true, plainly("/acting-for")},
	{"/find", 60, true, (*asker).person},
	{"/recent", 20, true, plainly("/recent")},
	{"/account", 3, true, plainly("/account")},
	{"/officer", 3, true, plainly("/officer")},
	{"/officer/alerts/{id}", 1, true, posted("/officer/alerts/aaaaaaaaaaaa", url.Values{"note": {"All in order here"}})},
	{"/officer/policy", 3, true, plainly("/officer/policy")},
	{"/officer/log", 3, true, plainly("/officer/log")},
	{"/officer/codes", 3, true, plainly("/officer/codes")},
	chartPage("", 50),
	chartPage("/results", 50, "flagged=1", "period=3m", "period=5y", "text=", "kind=", "source=lab", "source=", "older=1", "page=1"),
	chartPage("/results/{code}", 60, "period=1y", "period=3m"),
	chartPage("/reports", 25, "page=1"),
	chartPage("/reports/{id}", 50),
	chartPage("/reports/{id}/{n:[0-9]+}", 20),
	chartPage("/documents", 25, "page=0"),
	chartPage("/documents/{id}", 50),
	chartPage("/documents/{id}/{n:[0-9]+}", 20),
	chartPage("/visits", 15),
	chartPage("/appointments", 15),
	chartPage("/medications", 15),
	chartPage("/people", 15),
	chartPage("/timeline", 30, "page=1"),
	chartPage("/glass", 20),
	posting(chartPage("/glass", 10), url.Values{"reason": {"emergency"}}, url.Values{"words": {"Found unconscious"}}, url.Values{"reason": {"x"}, "words": {"Found unconscious"}}),
	posting(chartPage("/glass/end", 10), url.Values{}),
	chartPage("/print", 40, "part=results", "part=results&flagged=1", "part=report&id=", "part=trend&test="),
}

var weights = sync.OnceValue(func() [2]int {
	var sums [2]int
	for _, r := range routes {
		if r.pages {
			sums[1] += r.weight
		} else {
			sums[0] += r.weight
		}
	}
	return sums
})

// next is a question that somebody might ask.
func (g *asker) next() question {
	who := g.asks[g.IntN(len(g.asks))]
	if !who.pages() && g.IntN(3) == 0 { // those who see most ask most
		if most := g.all[[]int{0, 3, 7}[g.IntN(3)]]; slices.Contains(g.asks, most) {
			who = most
		}
	}
	i := 0
	if who.pages() {
		i = 1
	}
	n := g.IntN(weights()[i])
	for _, r := range routes {
		if r.pages != who.pages() {
			continue
		}
		if n -= r.weight; n < 0 {
			q := r.ask(g, who)
			q.who, q.seed = who, g.Uint64()
			g.dress(&q)
			return q
		}
	}
	panic("no route")
}

// dress gives a question the headers that clients send.
func (g *asker) dress(q *question) {
	q.header = http.Header{}
	if q.method == "" {
		q.method = http.MethodGet
		if g.IntN(25) == 0 {
			q.method = http.MethodHead
		}
	}
	if g.IntN(20) == 0 {
		q.header.Set("Accept-Encoding", "gzip")
	}
	if q.who.pages() {
		return
	}
	switch g.IntN(30) {
	case 0:
		q.header.Set("Accept", pick(g, "application/fhir+json", "application/json", "text/html", "*/*"))
	case 1:
		q.header.Set("Prefer", "handling=lenient")
	case 2:
		q.header.Set("If-None-Match", g.word(func(w *words) []string { return w.etags }, `W/"1"`))
	case 3:
		q.header.Set("If-Modified-Since", g.word(func(w *words) []string { return w.modified }, "Sun, 01 Mar 2026 00:00:00 GMT"))
	case 4:
		if q.method == http.MethodGet && q.who.caller.Client().Source == "" { // a source might change something
			if g.IntN(3) == 0 {
				q.header.Set("If-None-Exist", "identifier="+g.word(func(w *words) []string { return w.tokens }, "1"))
			}
			q.method = pick(g, http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodPatch, http.MethodOptions)
		}
	}
}

func pick[T any](g *asker, all ...T) T { return all[g.IntN(len(all))] }

// word is one that the secrets hold, or that harmless things hold, or other.
func (g *asker) word(of func(*words) []string, other ...string) string {
	from := of(g.hidden)
	switch n := g.IntN(10); {
	case n == 0:
		return pick(g, other...)
	case n < 5 || len(from) == 0:
		if n%2 == 0 && len(of(g.found)) > 0 {
			from = of(g.found)
		} else {
			from = of(g.known)
		}
	}
	if len(from) == 0 {
		return pick(g, other...)
	}
	return from[g.IntN(len(from))]
}

func (g *asker) ref() (typ, id string) {
	typ, id, _ = strings.Cut(g.word(func(w *words) []string { return w.refs }, "Observation/none", "Patient/aaaaaaaaaaaaaaaa"), "/")
	return typ, id
}

func (g *asker) typeName() string {
	if g.IntN(12) == 0 {
		return pick(g, fhir.Types()...)
	}
	typ, _ := g.ref()
	return typ
}

func (g *asker) patient() string {
	p := g.world.people[g.IntN(len(g.world.people))]
	if g.IntN(3) == 0 {
		return g.world.people[0].id()
	}
	return p.id()
}

func plainly(path string) func(*asker, *audience) question {
	return func(*asker, *audience) question { return question{target: path} }
}

func posted(path string, form url.Values) func(*asker, *audience) question {
	return func(*asker, *audience) question {
		return question{method: http.MethodPost, target: path, form: form.Encode()}
	}
}

func (g *asker) read(*audience) question {
	typ, id := g.ref()
	target := "/fhir/" + typ + "/" + id
	if g.IntN(20) == 0 { // under another type
		target = "/fhir/" + g.typeName() + "/" + id
	}
	switch g.IntN(12) {
	case 0:
		target += "?_summary=" + pick(g, "true", "text", "data", "count", "false")
	case 1:
		target += "?_elements=" + pick(g, "code", "subject", "status,code", "id", "result")
	case 2:
		target += "?_format=" + pick(g, "json", "xml", "application/fhir%2Bjson")
	}
	return question{target: target}
}

func (g *asker) vread(*audience) question {
	return question{target: "/fhir/" + g.word(func(w *words) []string { return w.versions }, "Observation/none/_history/1")}
}

func (g *asker) history(*audience) question {
	typ, id := g.ref()
	target := "/fhir/" + typ + "/" + id + "/_history"
	switch g.IntN(8) {
	case 0:
		target += "?_count=" + pick(g, "0", "1", "2")
	case 1:
		target += "?_since=" + url.QueryEscape(g.instant())
	case 2:
		target += "?_at=" + url.QueryEscape(g.date())
	}
	return question{target: target}
}

func (g *asker) system(who *audience) question {
	if who.caller.Client().Source != "" {
		return question{target: "/fhir"}
	}
	return question{method: http.MethodPost, target: "/fhir", form: "x=1"}
}

// elsewhere are addresses that FHIR knows and this server does not.
func (g *asker) elsewhere(*audience) question {
	typ, id := g.ref()
	return question{target: "/fhir/" + pick(g, typ+"/_history", "_history", "", typ+"/"+id+"/$everything", "Patient/"+g.patient()+"/$everything", "Patient/"+g.patient()+"/"+typ,
		typ+"/$lastn", "$export", typ+"/"+id+"/$graphql", typ+"/$stats", typ+"/"+id+"/_history/1/x")}
}

func (g *asker) searchByForm(who *audience) question {
	q := g.search(who)
	path, query, _ := strings.Cut(q.target, "?")
	return question{method: http.MethodPost, target: path + "/_search", form: or(query, "_count=3")}
}

// search is a question in FHIR's grammar.
func (g *asker) search(who *audience) question {
	if g.IntN(8) == 0 { // on to the next page, mostly of one's own
		from := who.name
		if g.IntN(6) == 0 {
			from = g.all[g.IntN(len(g.all))].name
		}
		if all := g.found.next[from]; len(all) > 0 {
			return question{target: all[g.IntN(len(all))]}
		}
	}
	if g.IntN(10) == 0 {
		if typ, v := g.hop(who); v != nil {
			g.control(v, typ)
			return question{target: "/fhir/" + typ + "?" + v.Encode()}
		}
	}
	g.choose()
	typ := g.searched(who)
	v := url.Values{}
	within := ownerOf(typ)
	if person := who.caller.Role() != ""; typ == "Patient" {
		p := g.world.people[g.IntN(len(g.world.people))]
		switch g.IntN(6) {
		case 0:
			v.Add("family", p.family)
			v.Add("birthdate", p.born[:4]+"-"+p.born[4:6]+"-"+p.born[6:])
		case 1:
			v.Add("identifier", p.phn)
		case 2:
			v.Add("identifier", or(g.fact("Patient", "identifier"), "1"))
		case 3, 4:
			v.Add("_id", g.patient())
		}
	} else if len(within) > 0 && (person && g.IntN(30) > 0 || g.IntN(2) == 0) {
		patient := g.patient()
		if g.about != nil && g.about.patient != "" && g.IntN(8) > 0 {
			patient = g.about.patient
		}
		name := pick(g, within...)
		if name != "patient" && g.IntN(10) > 0 || g.IntN(2) == 0 {
			patient = "Patient/" + patient
		}
		v.Add(name+pick(g, "", "", ":Patient"), patient)
	}
	params := paramsOf(typ)
	for range pick(g, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3) {
		g.filter(v, typ, params, 0)
	}
	g.control(v, typ)
	return question{target: "/fhir/" + typ + "?" + v.Encode()}
}

// searched is a type to search for: mostly one of which something is there.
func (g *asker) searched(who *audience) string {
	if who.name == "app-for-observations" && g.IntN(4) > 0 {
		return "Observation"
	}
	if who.name == "backend-for-results" && g.IntN(4) > 0 {
		return pick(g, "Observation", "DiagnosticReport", "Patient")
	}
	if g.about != nil && g.IntN(10) > 0 {
		if !needed[g.about.typ] || who.caller.Role() == "" { // a person finds those in no search
			return g.about.typ
		}
	}
	return g.typeName()
}

var paramsOf = memo(search.Params)
var includesOf = memo(search.Includes)
var revIncludesOf = memo(func(typ string) []string {
	return search.RevIncludes(typ, "Observation", "DiagnosticReport", "Provenance", "Encounter", "Condition", "DocumentReference", "Communication", "Task", "ServiceRequest",
		"MedicationRequest", "List", "CarePlan", "Appointment", "Composition", "Procedure", "ExplanationOfBenefit", "Specimen", "Immunization")
})

func memo[T any](f func(string) T) func(string) T {
	var mu sync.Mutex
	kept := map[string]T{}
	return func(s string) T {
		mu.Lock()
		defer mu.Unlock()
		if v, ok := kept[s]; ok {
			return v
		}
		v := f(s)
		kept[s] = v
		return v
	}
}

// filter adds one condition on typ, through up to three references.
func (g *asker) filter(v url.Values, typ string, params []search.Param, hops int) {
	name, value := g.condition(typ, params, hops)
	if name != "" {
		v.Add(name, value)
	}
}

func (g *asker) condition(typ string, params []search.Param, hops int) (name, value string) {
	if len(params) == 0 {
		return "", ""
	}
	if all := revIncludesOf(typ); hops < 3 && len(all) > 0 && g.IntN(8) == 0 {
		source, param, _ := strings.Cut(g.likely(all), ":")
		of := g.about
		defer g.along(func(c *card) bool {
			return c.typ == source && of != nil && slices.Contains(c.facts[param], of.typ+"/"+of.id)
		})()
		name, value = g.condition(source, paramsOf(source), hops+1)
		return "_has:" + source + ":" + param + ":" + name, value
	}
	p := params[g.IntN(len(params))]
	for range 8 { // rather one by which something could be found
		if g.fact(typ, p.Name) != "" || g.IntN(30) == 0 {
			break
		}
		p = params[g.IntN(len(params))]
	}
	if len(p.Target) > 0 && hops < 3 && g.IntN(2) == 0 {
		target, id, _ := strings.Cut(g.fact(typ, p.Name), "/")
		if !slices.Contains(p.Target, target) {
			target = p.Target[g.IntN(len(p.Target))]
		}
		defer g.along(func(c *card) bool { return c.typ == target && c.id == id })()
		name, value = g.condition(target, paramsOf(target), hops+1)
		return p.Name + pick(g, ":"+target, ":"+target, "") + "." + name, value
	}
	modifier := ""
	if g.IntN(5) == 0 {
		modifier = pick(g, p.Modifiers...)
		if g.IntN(8) == 0 {
			modifier = pick(g, "not", "missing", "text", "above", "in", "exact", "contains", "identifier")
		}
		if modifier == "missing" {
			return p.Name + ":missing", pick(g, "true", "false")
		}
		modifier = ":" + modifier
	}
	value = g.value(typ, p)
	if g.IntN(10) == 0 {
		value += "," + g.value(typ, p)
	}
	return p.Name + modifier, value
}

// likely is one of the references "Type:parameter", mostly of a type of which
// something is there.
func (g *asker) likely(all []string) string {
	one := pick(g, all...)
	for range 8 {
		if typ, param, _ := strings.Cut(one, ":"); g.fact(typ, param) != "" || typ == "*" || g.IntN(30) == 0 {
			break
		}
		one = pick(g, all...)
	}
	return one
}

func (g *asker) value(typ string, p search.Param) string {
	if g.IntN(8) > 0 {
		s := g.fact(typ, p.Name)
		if p.Type == "composite" {
			s = g.composite(typ, p.Name)
		}
		if p.Type == "date" || p.Type == "quantity" {
			s = pick(g, "", "", "eq", "ge", "le", "gt", "ne", "ap") + s
		}
		if len(s) > 2 {
			return s
		}
	}
	codes := func(w *words) []string { return w.codes }
	tokens := func(w *words) []string { return w.tokens }
	texts := func(w *words) []string { return w.texts }
	escape := escaped
	prefix := func() string {
		return pick(g, "", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
	}
	switch p.Type {
	case "token":
		switch g.IntN(6) {
		case 0:
			return escape(g.word(texts, "x"))
		case 1:
			return "|" + escape(g.word(codes, "x"))
		case 2:
			system, _, _ := strings.Cut(g.word(tokens, "http://loinc.org|1"), "|")
			return escape(system) + "|"
		case 3:
			return escape(g.word(tokens, "http://loinc.org|2951-2"))
		}
		if p.Name == "_id" {
			_, id := g.ref()
			return id
		}
		return escape(g.word(codes, "final", "2951-2"))
	case "string":
		return escape(g.word(texts, "Morgan", "a"))
	case "date":
		if strings.HasPrefix(p.Name, "_last") {
			return prefix() + g.instant()
		}
		return prefix() + g.date()
	case "reference":
		typ, id := g.ref()
		return pick(g, typ+"/"+id, id, base+"/fhir/"+typ+"/"+id)
	case "quantity":
		return prefix() + g.word(func(w *words) []string { return w.numbers }, "1") + pick(g, "", "|http://unitsofmeasure.org|mmol/L", "||mmol/L")
	case "number":
		return prefix() + g.word(func(w *words) []string { return w.numbers }, "1", "0")
	case "uri":
		return escape(g.word(func(w *words) []string { return w.urls }, "http://loinc.org"))
	case "composite":
		second := pick(g, "gt1", "lt1000", g.word(codes, "x"), g.date())
		return escape(g.word(func(w *words) []string { return append(w.tokens, w.codes...) }, "2951-2")) + "$" + second
	}
	return g.word(codes, "x")
}

func (g *asker) date() string {
	d := g.word(func(w *words) []string { return w.dates }, "2026", "2026-03", "1994", "2026-03-04T05:06:07Z")
	if len(d) > 10 && g.IntN(2) == 0 {
		return d[:10]
	}
	return d
}

func (g *asker) instant() string {
	e := g.world.events[g.IntN(len(g.world.events))]
	return e.at.Add(time.Duration(g.IntN(3)-1) * time.Second).Format("2006-01-02T15:04:05Z")
}

// control adds the parameters that say how to answer.
func (g *asker) control(v url.Values, typ string) {
	if g.IntN(3) == 0 {
		v.Set("_count", pick(g, "0", "1", "1", "2", "2", "3", "5", "50"))
	}
	if g.IntN(5) == 0 {
		v.Set("_total", pick(g, "none", "estimate", "accurate"))
	}
	if g.IntN(8) == 0 {
		v.Set("_summary", pick(g, "true", "text", "data", "count", "count", "false"))
	}
	if g.IntN(20) == 0 {
		v.Set("_elements", pick(g, "code", "subject", "identifier,status"))
	}
	if g.IntN(5) == 0 {
		if params := paramsOf(typ); len(params) > 0 {
			p := params[g.IntN(len(params))].Name
			v.Set("_sort", pick(g, "", "-")+pick(g, "_lastUpdated", "_id", p, p, or(g.sorts(typ), p)))
		}
	}
	if g.IntN(6) == 0 {
		v.Add("_include"+pick(g, "", "", ":iterate"), g.likely(append(includesOf(typ), "*", "*", "*")))
	}
	if g.IntN(6) == 0 {
		if all := revIncludesOf(typ); len(all) > 0 {
			v.Add("_revinclude"+pick(g, "", "", ":iterate"), g.likely(append(slices.Clone(all), "*")))
		}
	}
	if g.IntN(20) == 0 {
		v.Set("_lastUpdated", pick(g, "gt", "lt", "ge", "le")+g.instant())
	}
	if g.IntN(30) == 0 {
		v.Set(pick(g, "_content", "_text", "_filter", "_list", "_cursor", "nonsense"), g.word(func(w *words) []string { return w.texts }, "x"))
	}
	if g.IntN(40) == 0 {
		v.Set("_format", pick(g, "json", "xml"))
	}
}

// sorts is a parameter in whose order things of a type commonly stand.
func (g *asker) sorts(typ string) string {
	for _, name := range []string{"date", "code", "status", "authored", "identifier"} {
		if g.fact(typ, name) != "" && g.IntN(2) == 0 {
			return name
		}
	}
	return ""
}

// person looks for somebody at the pages.
func (g *asker) person(*audience) question {
	if g.IntN(10) == 0 {
		return question{target: "/find"}
	}
	p := g.world.people[g.IntN(len(g.world.people))]
	form := url.Values{}
	switch g.IntN(6) {
	case 0, 1:
		form.Set("number", p.number)
	case 2:
		form.Set("number", p.phn[:4]+" "+p.phn[4:])
	case 3:
		form.Set("number", g.word(func(w *words) []string { return w.codes }, "70017"))
	default:
		form.Set("family", strings.ToLower(p.family))
		form.Set("born", p.born[:4]+"-"+p.born[4:6]+"-"+p.born[6:])
	}
	return question{method: http.MethodPost, target: "/find", form: form.Encode()}
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// chartPage asks for pages of charts by their addresses, found in answers or
// computed in the world where nothing is withheld.
func chartPage(tail string, weight int, queries ...string) route {
	template := "/p/{h}" + tail
	address := regexp.MustCompile("^" + variable.ReplaceAllString(template, `[^/?]+`) + `(\?.*)?$`)
	return route{template, weight, true, func(g *asker, who *audience) question {
		from := func(w *words) []string { return w.pages[who.name] }
		fits := func(w *words) []string {
			var all []string
			for _, a := range from(w) {
				if address.MatchString(a) {
					all = append(all, a)
				}
			}
			return all
		}
		target := g.word(fits, "")
		if target == "" { // from parts of other addresses
			target = template
			for _, part := range variable.FindAllString(template, -1) {
				value := "0"
				if parts := strings.Split(g.word(from, "/p/none"), "/"); part != "{n:[0-9]+}" && len(parts) > 2 {
					value, _, _ = strings.Cut(parts[2], "?")
				}
				target = strings.Replace(target, part, value, 1)
			}
		}
		if len(queries) > 0 && g.IntN(3) == 0 {
			query := pick(g, queries...)
			if strings.HasSuffix(query, "=") {
				query += url.QueryEscape(g.word(func(w *words) []string { return w.texts }, "sodium"))
			}
			target, _, _ = strings.Cut(target, "?")
			target += "?" + query
		}
		return question{target: target}
	}}
}

// posting sends forms to a page, none of them complete: what a complete one
// opens is another matter, see TestGlass.
func posting(r route, forms ...url.Values) route {
	get := r.ask
	r.ask = func(g *asker, who *audience) question {
		q := get(g, who)
		q.method, q.form = http.MethodPost, pick(g, forms...).Encode()
		return q
	}
	return r
}

func (q question) String() string {
	s := q.who.name + ": " + q.method + " " + q.target
	if u, err := url.QueryUnescape(q.target); err == nil {
		s = q.who.name + ": " + q.method + " " + u
	}
	if q.form != "" {
		s += " with " + q.form
	}
	for name, v := range q.header {
		s += fmt.Sprintf(" (%s: %s)", name, strings.Join(v, ", "))
	}
	return s
}

func (a answer) String() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(a.status) + "\n")
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range a.header {
			if !yield(k) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(a.header[name], ", "))
	}
	b.WriteByte('\n')
	b.Write(a.body)
	return b.String()
}
