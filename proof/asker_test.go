package proof_test

import (
	"encoding/json"
	"maps"
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
	told   []string    // ids of subscriptions
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
	inPath      = `/fhir/{focus:[A-Z][A-Za-z]{1,63}}/{id:[A-Za-z0-9\-.]{1,64}}/{type:\*|[A-Z][A-Za-z]{1,63}}`
	versionPath = idPath + `/_history/{version:[A-Za-z0-9\-.]{1,64}}`
)

// routes are all that the router knows; TestEveryRouteIsAsked compares.
var routes = []route{
	{typePath, 600, false, (*asker).search},
	{typePath + "/_search", 50, false, (*asker).searchByForm},
	{inPath, 60, false, (*asker).within},
	{inPath + "/_search", 10, false, (*asker).withinByForm},
	{"/fhir/_search", 10, false, (*asker).overTypesByForm},
	{`/fhir/{type:Patient}/{id:[A-Za-z0-9\-.]{1,64}}/$everything`, 25, false, (*asker).everything},
	{`/fhir/{type:Patient}/{id:[A-Za-z0-9\-.]{1,64}}/$summary`, 25, false, (*asker).summary},
	{"/fhir/{type:Patient}/$match", 15, false, (*asker).match},
	{"/fhir/{type:Patient}/$ihe-pix", 25, false, (*asker).pix},
	{"/fhir/{type:Observation}/$lastn", 25, false, (*asker).lastn},
	{"/fhir/{type:DocumentReference}/$docref", 15, false, (*asker).docref},
	{`/fhir/{type:ValueSet}/$expand`, 3, false, (*asker).expand},
	{`/fhir/{type:ValueSet}/{id:[A-Za-z0-9\-.]{1,64}}/$expand`, 3, false, (*asker).expand},
	{`/fhir/{type:ValueSet}/$validate-code`, 2, false, (*asker).validateCode},
	{`/fhir/{type:ValueSet}/{id:[A-Za-z0-9\-.]{1,64}}/$validate-code`, 2, false, (*asker).validateCode},
	{`/fhir/{type:CodeSystem}/$lookup`, 3, false, (*asker).lookUp},
	{idPath, 120, false, (*asker).read},
	{versionPath, 70, false, (*asker).vread},
	{idPath + "/_history", 60, false, (*asker).history},
	{typePath + "/_history", 25, false, (*asker).histories},
	{"/fhir/_history", 10, false, (*asker).histories},
	{typePath + "/$validate", 2, false, (*asker).validate},
	{idPath + "/$validate", 3, false, (*asker).validate},
	{"/fhir/$export", 12, false, (*asker).export},
	{"/fhir/Patient/$export", 12, false, (*asker).export},
	{`/fhir/Group/{id:[A-Za-z0-9\-.]{1,64}}/$export`, 3, false, (*asker).export},
	{"/fhir/bulk/{job:[A-Za-z0-9]{16}}", 1, false, plainly("/fhir/bulk/aaaaaaaaaaaaaaaa")}, // door.ask asks for what was ordered
	{"/fhir/bulk/{job:[A-Za-z0-9]{16}}/{n:[0-9]{1,9}|errors}", 1, false, plainly("/fhir/bulk/aaaaaaaaaaaaaaaa/0")},
	{`/fhir/{type:Subscription}/$status`, 2, false, plainly("/fhir/Subscription/$status")}, // what a subscriber is told: TestAbsence
	{`/fhir/{type:Subscription}/{id:[A-Za-z0-9\-.]{1,64}}/$status`, 2, false, subscribed("/$status")},
	{`/fhir/{type:Subscription}/{id:[A-Za-z0-9\-.]{1,64}}/$events`, 4, false, subscribed("/$events?content=full-resource")},
	{"/fhir/metadata", 2, false, plainly("/fhir/metadata")},
	{"/fhir/.well-known/smart-configuration", 1, false, plainly("/fhir/.well-known/smart-configuration")},
	{"/fhir", 30, false, (*asker).system},
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
	{"/ops/clients", 1, true, plainly("/ops/clients")},
	{"/ops/duplicates/decide", 1, true, posted("/ops/duplicates/decide", url.Values{"a": {"x"}, "b": {"y"}, "decision": {"same"}})},
	{"/ops/pause", 1, true, posted("/ops/pause", url.Values{"feed": {"none"}, "do": {"pause"}})},
	{"/ops/replay", 1, true, posted("/ops/replay", url.Values{"feed": {"lab"}, "reason": {"none"}})},
	{"/ops/messages", 1, true, plainly("/ops/messages")},
	{"/ops/messages/{id:[0-9]{1,18}}", 0, true, plainly("/ops/messages/1")},
	{"/ops/messages/{id:[0-9]{1,18}}/replay", 0, true, posted("/ops/messages/1/replay", url.Values{"x": {"1"}})},
	{"/ops/messages/{id:[0-9]{1,18}}/same", 0, true, posted("/ops/messages/1/same", url.Values{"x": {"1"}})},
	{"/ops/messages/{id:[0-9]{1,18}}/aside", 0, true, posted("/ops/messages/1/aside", url.Values{"reason": {"none"}})},
	{"/ops/messages/{id:[0-9]{1,18}}/back", 0, true, posted("/ops/messages/1/back", url.Values{"x": {"1"}})},
	{"/ops/messages/{id:[0-9]{1,18}}/copy", 0, true, posted("/ops/messages/1/copy", url.Values{"text": {"MSH"}})},
	{"/ops/outbox", 1, true, plainly("/ops/outbox?state=sent")},
	{"/ops/outbox/{id:[0-9]{1,18}}", 0, true, plainly("/ops/outbox/1")},
	{"/ops/outbox/{id:[0-9]{1,18}}/decide", 0, true, posted("/ops/outbox/1/decide", url.Values{"do": {"drop"}, "reason": {"none"}})},
	// What an app is told before it is let in is told without a chart; the pages where a
	// patient is looked for and chosen, and the launch from a chart, are followed to the token.
	{"/.well-known/openid-configuration", 1, true, plainly("/.well-known/openid-configuration")},
	{"/oauth/style.json", 1, true, plainly("/oauth/style.json")},
	{"/oauth/keys", 0, true, plainly("/oauth/keys")}, // keys are random
	{"/oauth/authorize", 1, true, plainly("/oauth/authorize?client_id=app&redirect_uri=https://app.test/&state=1")},
	{"/oauth/token", 1, true, posted("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {"1"}})},
	{"/oauth/introspect", 1, true, posted("/oauth/introspect", url.Values{"token": {"1"}})},
	{"/oauth/revoke", 1, true, posted("/oauth/revoke", url.Values{"token": {"1"}, "client_id": {"app"}})},
	{"/oauth/register", 1, true, posted("/oauth/register", url.Values{"client_name": {"App"}})},
	{"/oauth/register/{id:app-[A-Za-z0-9_-]{22}}", 1, true, plainly("/oauth/register/app-aaaaaaaaaaaaaaaaaaaaaa")},
	{"/apps", 2, true, plainly("/apps")},
	{"/apps/let-in", 1, true, plainly("/apps/let-in")},
	{"/apps/consent", 1, true, plainly("/apps/consent")},
	{"/apps/patient", 6, true, (*asker).patientOfApp},
	{"/apps/patient/choose", 6, true, (*asker).choosesOfApp},
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
	chartPage("/apps", 2),
	posting(chartPage("/apps", 6), url.Values{"app": {"app"}}, url.Values{"app": {"app"}}, url.Values{"app": {"other"}}),
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
	g.byPost(q)
	if strings.Contains(q.target, "$export") && g.IntN(20) > 0 {
		q.header.Set("Prefer", "respond-async")
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

// byPost asks some of the operations that may be asked so with their parameters posted.
func (g *asker) byPost(q *question) {
	path, query, _ := strings.Cut(q.target, "?")
	switch _, name, _ := strings.Cut(path, "/$"); name {
	case "everything", "summary", "lastn", "docref", "ihe-pix", "status", "events":
	default:
		return
	}
	v, err := url.ParseQuery(query)
	if err != nil || q.method != http.MethodGet || g.IntN(5) > 0 {
		return
	}
	q.method, q.form = http.MethodPost, `{"resourceType":"Parameters"}`
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		for _, value := range v[name] {
			if strings.HasPrefix(name, "_format") {
				continue
			}
			b, _ := json.Marshal(map[string]string{"name": name, "valueString": value})
			parts = append(parts, string(b))
		}
	}
	if len(parts) > 0 {
		q.form = `{"resourceType":"Parameters","parameter":[` + strings.Join(parts, ",") + `]}`
	}
	q.target = path
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
