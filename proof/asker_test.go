package proof_test

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"firebreak/fhir"
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
	{typePath + "/$validate", 2, false, (*asker).validate},
	{idPath + "/$validate", 3, false, (*asker).validate},
	{"/fhir/metadata", 2, false, plainly("/fhir/metadata")},
	{"/fhir/.well-known/smart-configuration", 1, false, plainly("/fhir/.well-known/smart-configuration")},
	{"/fhir", 3, false, (*asker).system},
	{"/fhir/", 5, false, (*asker).elsewhere},
	{"/fhir/hl7", 2, false, posted("/fhir/hl7", url.Values{"x": {"1"}})},
	{"/fhir/ccda", 2, false, posted("/fhir/ccda", url.Values{"x": {"1"}})},
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
	{"/officer/waiting", 3, true, plainly("/officer/waiting")},
	{"/officer/policy", 3, true, plainly("/officer/policy")},
	{"/officer/log", 3, true, plainly("/officer/log")},
	{"/officer/looked", 3, true, plainly("/officer/looked")},
	{"/officer/codes", 3, true, plainly("/officer/codes")},
	// The operators' door admits nobody who asks here: their pages are one refusal,
	// which takes no question from the others; viewer asks them, TestOperatorsComeInAlone.
	{"/ops", 1, true, plainly("/ops")},
	{"/ops/duplicates", 1, true, plainly("/ops/duplicates")},
	{"/ops/duplicates/decide", 1, true, posted("/ops/duplicates/decide", url.Values{"a": {"x"}, "b": {"y"}, "decision": {"same"}})},
	{"/ops/pause", 1, true, posted("/ops/pause", url.Values{"feed": {"none"}, "do": {"pause"}})},
	{"/ops/replay", 1, true, posted("/ops/replay", url.Values{"feed": {"lab"}, "reason": {"none"}})},
	{"/ops/messages", 1, true, plainly("/ops/messages")},
	{"/ops/messages/{id:[0-9]{1,18}}", 0, true, plainly("/ops/messages/1")},
	{"/ops/messages/{id:[0-9]{1,18}}/replay", 0, true, posted("/ops/messages/1/replay", url.Values{"x": {"1"}})},
	{"/ops/messages/{id:[0-9]{1,18}}/same", 0, true, posted("/ops/messages/1/same", url.Values{"x": {"1"}})},
	{"/ops/messages/{id:[0-9]{1,18}}/copy", 0, true, posted("/ops/messages/1/copy", url.Values{"text": {"MSH"}})},
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
