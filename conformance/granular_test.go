package conformance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// granted is a granular scope, and what it means by reading a resource.
type granted struct {
	scopes string
	typ    string
	holds  func(resource) bool
}

type resource map[string]any

// concepts are the codes of an element, each with its system: "system|code".
func (r resource) concepts(element string) (all []string) {
	of, many := r[element].([]any)
	if !many {
		of = []any{r[element]}
	}
	for _, c := range of {
		c, _ := c.(map[string]any)
		codings, _ := c["coding"].([]any)
		for _, x := range codings {
			x := x.(map[string]any)
			all = append(all, fmt.Sprint(x["system"], "|", x["code"]))
		}
	}
	return all
}

// is tells whether an element has one of the codes, of whatever system.
func (r resource) is(element string, codes ...string) bool {
	return slices.ContainsFunc(r.concepts(element), func(c string) bool {
		_, code, _ := strings.Cut(c, "|")
		return slices.Contains(codes, c) || slices.Contains(codes, code)
	})
}

const categories = "http://terminology.hl7.org/CodeSystem/observation-category"

var grantedScopes = []granted{
	{"system/Observation.rs?category=vital-signs", "Observation", func(r resource) bool { return r.is("category", "vital-signs") }},
	{"system/Observation.rs?category=" + categories + "|laboratory", "Observation", func(r resource) bool { return r.is("category", categories+"|laboratory") }},
	{"system/Observation.rs?category=laboratory,vital-signs&code=2951-2,29463-7", "Observation", func(r resource) bool {
		return r.is("category", "laboratory", "vital-signs") && r.is("code", "2951-2", "29463-7")
	}},
	{"system/Observation.rs?code=29463-7 system/Observation.rs?code=http://loinc.org|2951-2", "Observation", func(r resource) bool { return r.is("code", "29463-7", "http://loinc.org|2951-2") }},
	{"system/Observation.rs?code=2951-2 system/Observation.rs", "Observation", func(resource) bool { return true }},
	{"system/DiagnosticReport.rs?code=24323-8", "DiagnosticReport", func(r resource) bool { return r.is("code", "24323-8") }},
}

// others are the scopes beside one of a type: all but for that.
func others(typ string) string {
	all := ""
	for _, t := range []string{"Patient", "Observation", "DiagnosticReport", "Condition", "Encounter", "ServiceRequest", "Practitioner", "Organization", "List", "DocumentReference"} {
		if t != typ {
			all += " system/" + t + ".rs"
		}
	}
	return all
}

const loinc = `{"system":"http://loinc.org","code":%q}`

func measured(number, category, code, value string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","identifier":[{"system":"urn:g","value":%q}],"status":"final","category":[{"coding":[{"system":%q,"code":%q}]}],"code":{"coding":[`+loinc+`]},`+
		`"subject":{"reference":"Patient/$P"},"effectiveDateTime":"2026-02-0%s","valueQuantity":{"value":%s}}`, number, categories, category, code, number[len(number)-1:], value)
}

// granular asks by each way out what a token with a granular scope is shown, and
// compares it with what the naive reading of the scope leaves of what the token
// without it is shown: no more, no less, and of each resource the same.
func (a *apps) granular(t *testing.T) {
	a.t = t
	kept := map[string]string{}
	writer := a.system("system/*.cruds")
	a.claimed(claim{ask: "POST Patient", head: fhirJSON, body: patient("G-1", "Granule"), want: 201, says: []string{`Location: .*/fhir/Patient/([^/]+)/_history/`}, keep: "P"}, writer, kept)
	var members []string
	for _, body := range []string{
		measured("G-1", "laboratory", "2951-2", "140"), measured("G-2", "laboratory", "2951-2", "139"), measured("G-3", "laboratory", "2823-3", "4"),
		measured("G-4", "vital-signs", "29463-7", "70"), measured("G-5", "vital-signs", "8302-2", "180"), measured("G-6", "social-history", "72166-2", "1"),
	} {
		kept["O"] = ""
		a.claimed(claim{ask: "POST Observation", head: fhirJSON, body: body, want: 201, says: []string{`Location: .*/fhir/Observation/([^/]+)/_history/`}, keep: "O"}, writer, kept)
		members = append(members, kept["O"])
	}
	// one that was a laboratory's and is a vital sign now, and the reverse
	for i, body := range map[int]string{1: measured("G-2", "vital-signs", "2951-2", "139"), 4: measured("G-5", "laboratory", "8302-2", "180")} {
		a.claimed(claim{ask: "PUT Observation/" + members[i], head: fhirJSON, body: `{"id":"` + members[i] + `",` + body[1:], want: 200}, writer, kept)
	}
	var results []string
	for _, id := range members {
		results = append(results, `{"reference":"Observation/`+id+`"}`)
	}
	for _, body := range []string{
		fmt.Sprintf(`{"resourceType":"DiagnosticReport","status":"final","code":{"coding":[`+loinc+`]},"subject":{"reference":"Patient/$P"},"result":[%s]}`, "24323-8", strings.Join(results, ",")),
		fmt.Sprintf(`{"resourceType":"DiagnosticReport","status":"final","code":{"coding":[`+loinc+`]},"subject":{"reference":"Patient/$P"},"result":[%s]}`, "85353-1", results[3]),
		`{"resourceType":"Condition","category":[{"coding":[{"code":"problem-list-item"}]}],"code":{"text":"Gout"},"subject":{"reference":"Patient/$P"}}`,
		`{"resourceType":"Condition","category":[{"coding":[{"code":"encounter-diagnosis"}]}],"code":{"text":"Flu"},"subject":{"reference":"Patient/$P"}}`,
	} {
		typ := regexp.MustCompile(`"resourceType":"(\w+)"`).FindStringSubmatch(body)[1]
		a.claimed(claim{ask: "POST " + typ, head: fhirJSON, body: body, want: 201}, writer, kept)
	}
	for _, g := range grantedScopes {
		t.Run(g.scopes, func(t *testing.T) {
			a.t = t
			a.differs(g, kept)
		})
	}
	a.t = t
	a.otherwise(kept, members)
	a.granted()
	a.selected()
}

// all is what an answer holds, over all pages, by address; of a history each version.
func (a *apps) all(token, ask string, kept map[string]string) map[string]resource {
	a.t.Helper()
	found := map[string]resource{}
	var take func(r resource)
	take = func(r resource) {
		if r["resourceType"] != "Bundle" {
			if r["resourceType"] == "OperationOutcome" {
				return
			}
			meta, _ := r["meta"].(map[string]any)
			found[fmt.Sprint(r["resourceType"], "/", r["id"], "@", meta["versionId"])] = r
			return
		}
		entries, _ := r["entry"].([]any)
		for _, e := range entries {
			if inner, ok := e.(map[string]any)["resource"].(map[string]any); ok {
				take(inner)
			}
		}
	}
	for ask != "" {
		method, path, _ := strings.Cut(ask, " ")
		c := claim{ask: ask}
		if path, form, ok := strings.Cut(path, "_search?"); ok {
			c.ask, c.head, c.body = method+" "+path+"_search", asForm, form
		} else if method == "POST" {
			c.head, c.body = fhirJSON, bundle("batch", `{"request":{"method":"GET","url":"`+path+`"}}`)
			c.ask = "POST "
		}
		status, _, body := a.send(c, token, kept)
		if status == 404 {
			return found
		}
		if status != 200 {
			a.t.Fatalf("%s: %d %.300s", ask, status, body)
		}
		var r resource
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			a.t.Fatal(err)
		}
		take(r)
		if ask = ""; r["type"] != "batch-response" {
			if next := nextLink.FindStringSubmatch(body); next != nil && !strings.Contains(c.ask, "_search") {
				ask = "GET " + strings.ReplaceAll(next[1], `\u0026`, "&")
			}
		}
	}
	return found
}

func same(a, b map[string]resource) bool {
	return maps.EqualFunc(a, b, func(x, y resource) bool {
		p, _ := json.Marshal(x)
		q, _ := json.Marshal(y)
		return string(p) == string(q)
	})
}

// left is what the scope leaves of what is shown without it.
func (g granted) left(all map[string]resource) map[string]resource {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(_ string, r resource) bool { return r["resourceType"] == g.typ && !g.holds(r) })
	return out
}

// ways out whose answer is, resource by resource, what is shown without the scope.
var ways = []string{
	"GET $T?patient=$P", "GET $T?patient=$P&_count=1", "POST $T/_search?patient=$P", "GET $T?patient=$P&_sort=-_lastUpdated&_count=2", "GET $T?subject=Patient/$P&code:missing=false",
	"GET Patient/$P/$T", "GET Patient/$P/*", "POST Patient/$P/$T/_search?_count=100", "GET ?_type=$T,Encounter&patient=$P", "GET $T?identifier=urn:g|G-1&patient=$P",
	"GET Patient/$P/$everything", "GET Patient/$P/$everything?_count=3", "GET Patient?_id=$P&_revinclude=$T:patient", "GET Patient?_id=$P&_revinclude=*",
	"GET $T/_history", "GET _history?_count=500", "POST $T?patient=$P", "POST Patient/$P/$everything",
	"GET Patient?identifier=urn:c|G-1&_revinclude=$T:subject",
}

func (a *apps) differs(g granted, kept map[string]string) {
	wide, narrow := a.system("system/"+g.typ+".rs"+others(g.typ)), a.system(g.scopes+others(g.typ))
	some := false
	for _, ask := range ways {
		ask = strings.ReplaceAll(ask, "$T", g.typ)
		if strings.Contains(ask, "_history") && g.scopes != grantedScopes[0].scopes { // of the whole hospital: once
			continue
		}
		all := a.all(wide, ask, kept)
		if strings.Contains(ask, "_history") { // of what is shown no more, no version is
			now := a.all(wide, "GET "+g.typ+"?_count=500", kept)
			maps.DeleteFunc(all, func(_ string, r resource) bool {
				if r["resourceType"] != g.typ {
					return false
				}
				for _, x := range now {
					if x["id"] == r["id"] {
						return !g.holds(x)
					}
				}
				return false
			})
		}
		want, got := g.left(all), a.all(narrow, ask, kept)
		some = some || len(all) > len(want)
		if !same(want, got) {
			a.t.Errorf("%s: %v, want %v", ask, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	if !some && !strings.HasSuffix(g.scopes, ".rs") {
		a.t.Error("the scope leaves everything: nothing is tried")
	}
	now := a.all(wide, "GET "+g.typ+"?patient=$P", kept)
	left := g.left(now)
	_, _, body := a.send(claim{ask: "GET " + g.typ + "?patient=$P&_summary=count"}, narrow, kept)
	if !strings.Contains(body, fmt.Sprintf(`"total":%d`, len(left))) {
		a.t.Errorf("the total is not of %d: %s", len(left), body)
	}
	_, _, never := a.send(claim{ask: "GET " + g.typ + "/none"}, narrow, kept)
	for key, r := range now {
		ref := fmt.Sprint(g.typ, "/", r["id"])
		for _, ask := range []string{"GET " + ref, "POST " + ref, "GET " + ref + "/_history/" + key[strings.Index(key, "@")+1:]} {
			want := map[string]resource{key: r}
			if !g.holds(r) {
				want = map[string]resource{}
			}
			if got := a.all(narrow, ask, kept); !same(want, got) {
				a.t.Errorf("%s: %v, want %v", ask, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
		}
		if !g.holds(r) {
			if status, _, body := a.send(claim{ask: "GET " + ref}, narrow, kept); status != 404 || body != never {
				a.t.Errorf("%s is told from what never was: %d %s", ref, status, body)
			}
			continue
		}
		want := a.all(wide, "GET "+ref+"/_history", kept)
		maps.DeleteFunc(want, func(_ string, r resource) bool { return !g.holds(r) })
		if got := a.all(narrow, "GET "+ref+"/_history", kept); !same(want, got) {
			a.t.Errorf("history of %s: %v, want %v", ref, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	if g.typ == "Observation" {
		a.through(g, narrow, now, kept)
	}
}

// through asks what looks into Observations from elsewhere.
func (a *apps) through(g granted, narrow string, now map[string]resource, kept map[string]string) {
	for _, code := range []string{"2951-2", "2823-3", "29463-7", "8302-2", "72166-2"} {
		seen := 0
		for _, r := range now {
			if g.holds(r) && r.is("code", code) {
				seen++
			}
		}
		for ask, there := range map[string]int{
			"GET Patient?_id=$P&_has:Observation:patient:code=" + code:                     min(seen, 1),
			"GET Observation/$lastn?patient=$P&code=" + code:                               min(seen, 1),
			"GET Observation/$lastn?patient=$P&max=9&code=" + code:                         seen,
			"GET DiagnosticReport?patient=$P&code=24323-8&result:Observation.code=" + code: min(seen, 1),
		} {
			if got := a.all(narrow, ask, kept); len(got) != there {
				a.t.Errorf("%s: %v, want %d", ask, slices.Sorted(maps.Keys(got)), there)
			}
		}
	}
	left := g.left(now)
	included := a.all(narrow, "GET DiagnosticReport?patient=$P&code=24323-8&_include=DiagnosticReport:result", kept)
	maps.DeleteFunc(included, func(_ string, r resource) bool { return r["resourceType"] != "Observation" })
	if !same(left, included) {
		a.t.Errorf("_include: %v, want %v", slices.Sorted(maps.Keys(included)), slices.Sorted(maps.Keys(left)))
	}
	summary := a.all(narrow, "GET Patient/$P/$summary", kept)
	for key, r := range summary {
		if r["resourceType"] == "Observation" && !g.holds(r) {
			a.t.Errorf("$summary holds %s", key)
		}
	}
	if exported := a.exported(narrow, "Observation"); !maps.Equal(exported, a.numbers(left)) {
		a.t.Errorf("$export: %v, want %v", exported, a.numbers(left))
	}
}

// numbers are the ids of resources.
func (a *apps) numbers(all map[string]resource) map[string]bool {
	out := map[string]bool{}
	for _, r := range all {
		out[fmt.Sprint(r["id"])] = true
	}
	return out
}

// exported are the ids of this test's own resources in an export.
func (a *apps) exported(token, typ string) map[string]bool {
	a.t.Helper()
	out, kept := map[string]bool{}, map[string]string{}
	a.claimed(claim{ask: "GET $export?_type=" + typ, head: "Accept: application/fhir+json\nPrefer: respond-async", want: 202, says: []string{`Content-Location: .*/fhir/(bulk/.+)`}, keep: "JOB"}, token, kept)
	for _, line := range a.fetched(token, kept) {
		if strings.Contains(line, `"urn:g"`) {
			var r resource
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				a.t.Fatal(err)
			}
			out[fmt.Sprint(r["id"])] = true
		}
	}
	a.claimed(claim{ask: "DELETE $JOB", want: 202}, token, kept)
	return out
}

// granted asks a person, who unticks one of two; what the app is told it got is what
// it asked for, letter by letter, and what it has.
func (a *apps) granted() {
	a.newBrowser()
	const labs, vitals = "user/Observation.rs?category=" + categories + "|laboratory", "user/Observation.rs?category=vital-signs"
	page := a.signsIn(a.asks("quiet", "user/Patient.rs "+vitals+" "+labs+" offline_access"))
	for _, words := range []string{"(only laboratory results)", "(only vital signs)"} {
		if !strings.Contains(page, words) {
			a.t.Errorf("the page does not say %s", words)
		}
	}
	status, got := a.exchange(a.allows(page, vitals).Get("code"), nil, "quiet", appSecret)
	if want := "user/Patient.rs " + labs + " offline_access"; status != 200 || got["scope"] != want {
		a.t.Fatalf("%d %v", status, got)
	}
	renew := func(scope string) (int, map[string]any) {
		return a.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}, "scope": {scope}}, "quiet", appSecret)
	}
	if status, got = renew(labs); status != 200 || got["scope"] != labs {
		a.t.Fatalf("renewed: %d %v", status, got)
	}
	if _, seen := a.post("/oauth/introspect", url.Values{"token": {fmt.Sprint(got["access_token"])}}, "quiet", appSecret); seen["scope"] != labs {
		a.t.Errorf("introspection: %v", seen)
	}
	if status, got := renew("user/Observation.rs"); status != 400 || got["error"] != "invalid_scope" {
		a.t.Errorf("renewed without the restriction: %d %v", status, got)
	}
	_, out, _ := a.walk("GET", a.base+"/oauth/authorize?"+a.asks("quiet", "user/Patient.rs user/Observation.rs?date=2020").Encode(), nil)
	if out == nil || out.Query().Get("error") != "invalid_scope" {
		a.t.Errorf("a restriction that is none: %v", out)
	}
}

// selected asks a person for all of two types, who gives some categories of each: what
// the app is told it got is those, and it is bound by them. A type of which nothing is
// chosen is given whole, and an app of version 1 is offered nothing of the kind.
func (a *apps) selected() {
	const problems, diagnoses, labs = "user/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
		"user/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis", "user/Observation.rs?category=" + categories + "|laboratory"
	for _, row := range []struct {
		asked, kept, want string
		parted            int // scopes of which parts are offered
	}{
		{"user/Condition.rs user/Observation.rs user/Patient.rs", "user/Condition.rs user/Patient.rs " + labs + " " + problems + " " + diagnoses, problems + " " + diagnoses + " " + labs + " user/Patient.rs", 2},
		{"user/Condition.rs user/Observation.rs", "user/Condition.rs", "user/Condition.rs", 2},
		{"user/Observation.r", "user/Observation.r " + labs, "user/Observation.r", 1}, // that part is of another scope
		{"user/Observation.r", strings.Replace(labs, ".rs", ".r", 1), strings.Replace(labs, ".rs", ".r", 1), 1},
		{"user/Observation.read", "user/Observation.read " + labs, "user/Observation.read", 0},
		{"user/Observation.read user/Observation.r", "user/Observation.read " + strings.Replace(labs, ".rs", ".r", 1), "user/Observation.read", 0}, // it would get more than what is chosen
		{"user/*.rs user/Observation.rs", "user/Observation.rs " + labs, "user/Observation.rs", 0},
	} {
		a.newBrowser()
		page := a.signsIn(a.asks("quiet", row.asked))
		if strings.Count(page, "<details>") != row.parted {
			a.t.Errorf("%s: the page offers parts of:\n%s", row.asked, page)
		}
		form := url.Values{"answer": {"allow"}, "scope": strings.Fields(row.kept)}
		_, out := a.submit(page, "/apps/consent", form)
		if out == nil {
			a.t.Fatalf("%s: nowhere to go", row.asked)
		}
		status, got := a.exchange(out.Query().Get("code"), nil, "quiet", appSecret)
		if status != 200 || got["scope"] != row.want {
			a.t.Errorf("%s, of which %s was kept: %d %v", row.asked, row.kept, status, got["scope"])
		}
	}
}

// otherwise holds what is not resource by resource: letters apart, writes, and what
// is refused.
func (a *apps) otherwise(kept map[string]string, members []string) {
	apart := a.system("system/Observation.r?category=laboratory system/Observation.s?category=vital-signs system/Patient.rs")
	writes := a.system("system/Observation.cud system/Observation.r?category=vital-signs")
	for _, row := range []struct {
		token string
		claim
	}{
		{apart, claim{ask: "GET Observation/" + members[0], want: 200}},
		{apart, claim{ask: "GET Observation/" + members[3], want: 404}},
		{apart, claim{ask: "GET Observation?patient=$P&code=2823-3", want: 200, says: []string{`"total":0`}}},
		{apart, claim{ask: "GET Observation?patient=$P&code=29463-7", want: 200, says: []string{`"total":1`}}},
		{apart, claim{ask: "GET Patient?_id=$P&_revinclude=Observation:patient", want: 200, says: []string{`Observation/` + members[0]}, not: `Observation/` + members[3]}}, // included is what may be read
		{writes, claim{ask: "PUT Observation/" + members[0], head: fhirJSON, body: `{"id":"` + members[0] + `",` + measured("G-1", "laboratory", "2951-2", "141")[1:], want: 200, not: "141"}},
		{writes, claim{ask: "GET Observation/" + members[0], want: 404}},
		{a.system("system/Observation.cruds?category=laboratory"), claim{ask: "POST Observation", head: fhirJSON, body: measured("G-7", "laboratory", "2951-2", "1"), want: 403}},
	} {
		a.claimed(row.claim, row.token, kept)
	}
	for _, scope := range []string{"system/Observation.rs?date=2026", "system/*.rs?category=laboratory", "system/Observation.rs?category:not=a system/Patient.rs", "system/Observation.read?category=a"} {
		form := asserted(a.asserts("refused "+scope, nil, a.key, "ES384"))
		form.Set("scope", scope)
		if status, got := a.post("/oauth/token", form); status != 400 || got["error"] != "invalid_scope" {
			a.t.Errorf("%s: %d %v", scope, status, got)
		}
	}
}
