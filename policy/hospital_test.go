package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

type (
	obj = map[string]any
	arr = []any
)

// message is what a source sent: the models of its resources and when.
type message struct {
	source    string
	at        time.Time
	resources []obj
}

var day0 = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)

func day(n int) time.Time { return day0.AddDate(0, 0, n) }

func ref(typ, id string) obj { return obj{"reference": typ + "/" + id} }

func named(text string) obj {
	return obj{"coding": arr{obj{"system": "urn:lab", "code": "T1", "display": text}}}
}

// report is a laboratory message: a report ordered under panel, with results.
func report(n int, id, panel string, results ...string) message {
	m := message{source: "lab", at: day(n)}
	patient := ref("Patient", "p")
	dr := obj{"resourceType": "DiagnosticReport", "id": "p-dr" + id, "status": "final", "code": named(panel), "subject": patient,
		"basedOn": arr{ref("ServiceRequest", "p-sr"+id)}, "specimen": arr{ref("Specimen", "p-sp"+id)}, "performer": arr{ref("Organization", "p-lab")}}
	var list, targets arr
	m.resources = append(m.resources,
		obj{"resourceType": "Patient", "id": "p", "name": arr{obj{"family": "Doe"}}},
		obj{"resourceType": "Practitioner", "id": "p-doc" + id, "name": arr{obj{"family": "Hodgkin"}}},
		obj{"resourceType": "Organization", "id": "p-lab", "name": "General laboratory"},
		obj{"resourceType": "Encounter", "id": "p-visit" + id, "status": "finished", "class": obj{"code": "AMB"}, "subject": patient},
		obj{"resourceType": "Specimen", "id": "p-sp" + id, "subject": patient, "type": obj{"text": "Blood"}},
		obj{"resourceType": "ServiceRequest", "id": "p-sr" + id, "status": "active", "intent": "order", "code": named(panel), "subject": patient,
			"requester": ref("Practitioner", "p-doc"+id), "encounter": ref("Encounter", "p-visit"+id)})
	for i, r := range results {
		name, value, _ := strings.Cut(r, "=")
		oid := fmt.Sprintf("p-ob%s%c", id, 'a'+i)
		m.resources = append(m.resources, obj{"resourceType": "Observation", "id": oid, "status": "final", "code": named(name), "subject": patient,
			"valueString": value, "specimen": ref("Specimen", "p-sp"+id), "encounter": ref("Encounter", "p-visit"+id)})
		list = append(list, ref("Observation", oid))
		targets = append(targets, ref("Observation", oid))
	}
	if list != nil {
		dr["result"] = list
	}
	m.resources = append(m.resources, dr, obj{"resourceType": "Provenance", "id": fmt.Sprint("p-pr", id, n), "recorded": day(n).Format(time.RFC3339),
		"target": append(arr{patient, ref("DiagnosticReport", "p-dr"+id), ref("ServiceRequest", "p-sr"+id)}, targets...), "agent": arr{obj{"who": ref("Organization", "p-lab")}}})
	return m
}

// one is a message of single resources.
func one(n int, resources ...obj) message {
	return message{source: "lab", at: day(n), resources: resources}
}

var ruleSet *label.Rules

func theRules(t testing.TB) *label.Rules {
	t.Helper()
	if ruleSet == nil {
		r, err := label.Default()
		if err != nil {
			t.Fatal(err)
		}
		ruleSet = r
	}
	return ruleSet
}

func load(t testing.TB, b []byte) *Policy {
	t.Helper()
	p, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const providerWithholds = `"withhold": ["hiv", "reproductive", "cancer", "part2", "psychotherapy", "masked"]`

// withholding is the shipped policy with other labels withheld from providers,
// whatever they use.
func withholding(t testing.TB, labels ...string) *Policy {
	t.Helper()
	list := "[]"
	if len(labels) > 0 {
		list = `["` + strings.Join(labels, `", "`) + `"]`
	}
	s := strings.Replace(string(Default()), providerWithholds, `"withhold": `+list, 1)
	s = strings.Replace(s, `"withhold": ["part2", "psychotherapy"],
      "unclassified": "hold"`, `"withhold": [],
      "unclassified": "release"`, 1)
	return load(t, []byte(s))
}

func parse(t testing.TB, model obj) fhir.Resource {
	t.Helper()
	b, err := json.Marshal(model)
	if err != nil {
		t.Fatal(err)
	}
	res, err := fhir.Parse(b)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return res
}

// charted keeps messages as the record does: a version for each change of
// content or of label.Labeled.Context, current by the time of the fact.
func charted(t testing.TB, messages ...message) chart.Chart {
	t.Helper()
	r := theRules(t)
	byRef := map[fhir.Ref]chart.History{}
	for _, m := range messages {
		var list []fhir.Resource
		for _, model := range m.resources {
			list = append(list, parse(t, model))
		}
		for _, l := range r.Label(m.source, list) {
			at := l.Resource().Ref()
			v := chart.Version{Labeled: r.Restore(l.Resource(), l.Labels(), l.Reasons(), l.RulesVersion()), At: m.at, Recorded: m.at, Source: m.source, Current: true,
				Deleted: string(l.Resource().Get("deleted").Raw()) == "true"}
			byRef[at] = append(byRef[at], v)
		}
	}
	ch := chart.Chart{Patient: fhir.Ref{Type: "Patient", ID: "p"}, Version: "1"}
	for _, h := range byRef {
		slices.SortStableFunc(h, func(a, b chart.Version) int { return a.At.Compare(b.At) })
		var kept chart.History
		for _, v := range h {
			if n := len(kept); n > 0 && string(kept[n-1].Resource().JSON()) == string(v.Resource().JSON()) && kept[n-1].Context() == v.Context() {
				continue
			}
			kept = append(kept, v)
		}
		slices.Reverse(kept)
		ch.Histories = append(ch.Histories, kept)
	}
	return settled(ch)
}

// settled sorts a chart and lets labels run over it, as the record does.
func settled(ch chart.Chart) chart.Chart {
	slices.SortFunc(ch.Histories, func(a, b chart.History) int {
		return strings.Compare(a[0].Resource().Ref().String(), b[0].Resource().Ref().String())
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

// said is everything a view says, byte for byte.
func said(v *View) string {
	var b strings.Builder
	for _, r := range v.All() {
		for _, h := range v.History(r.Resource().Ref()) {
			fmt.Fprintf(&b, "%s %s %s %s %s\n", h.VersionID(), h.Recorded().Format(time.RFC3339), h.At().Format(time.RFC3339), h.Source(), h.Resource().JSON())
		}
	}
	return b.String()
}

func provider(t testing.TB) access.Caller { return accesstest.Person(t, access.Physician) }

func ids(v *View) string {
	var out []string
	for _, r := range v.All() {
		out = append(out, r.Resource().Ref().String())
	}
	return strings.Join(out, " ")
}
