package policy

import (
	"fmt"
	"strings"
	"testing"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// A Subscription is its sender's alone: its channel says where it listens, and may
// hold a password.
func TestSubscriptionsAreTheirSendersAlone(t *testing.T) {
	ch := charted(t, one(1, obj{"resourceType": "Patient", "id": "p", "name": arr{obj{"family": "Doe"}}},
		obj{"resourceType": "Subscription", "id": "p-s", "status": "active", "reason": "new results", "criteria": "Observation?patient=p",
			"channel": obj{"type": "rest-hook", "endpoint": "https://lab.test/hook", "header": arr{"Authorization: Bearer 4711"}}}))
	for _, row := range []struct {
		name  string
		c     access.Caller
		shown bool
	}{
		{"a physician", provider(t), false},
		{"a system", accesstest.Client(t, "", "system/*.rs"), false},
		{"a system that sends", accesstest.Client(t, "clinic", "system/*.rs"), false},
		{"its sender", accesstest.Client(t, "lab", "system/*.rs"), true},
		{"its sender, as a source", accesstest.Source(t, "lab", "system/*.rs"), true},
	} {
		v := load(t, Demo()).View(row.c, ch)
		if _, shown := v.Get(fhir.Ref{Type: "Subscription", ID: "p-s"}); shown != row.shown {
			t.Errorf("%s: shown: %v", row.name, shown)
		}
	}
}

// TestClosed: whatever is missing or in doubt, less is shown, never more.
func TestClosed(t *testing.T) {
	p := load(t, Default())
	ch := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"))
	if n := len(p.View(provider(t), ch).All()); n == 0 {
		t.Fatal("the chart is empty")
	}
	change := func(f func(*chart.Version)) chart.Chart {
		ch := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"))
		for _, h := range ch.Histories {
			for i := range h {
				f(&h[i])
			}
		}
		return ch
	}
	rows := []struct {
		name   string
		caller access.Caller
		ch     chart.Chart
	}{
		{"nobody", access.Caller{}, ch},
		{"labels that were never settled", provider(t), change(func(v *chart.Version) {
			v.Labeled = theRules(t).Restore(v.Resource(), v.Labels(), v.Reasons(), v.RulesVersion())
		})},
		{"labels of other rules", provider(t), change(func(v *chart.Version) { v.Current = false })},
		{"no labels at all", provider(t), change(func(v *chart.Version) { v.Labeled = label.Labeled{} })},
		{"a source that sent nothing", accesstest.Source(t, "other", "system/*.rs"), ch},
	}
	for _, row := range rows {
		v := p.View(row.caller, row.ch)
		if got := said(v); got != "" {
			t.Errorf("%s: shown:\n%s", row.name, got)
		}
		if _, ok := v.Patient(); ok {
			t.Errorf("%s: the patient is shown", row.name)
		}
		for _, r := range p.Explain(PositionOf(row.caller), row.caller.Admitted(), row.ch) {
			if r.Kept {
				t.Errorf("%s: %s is kept", row.name, r.Ref)
			}
		}
	}
}

// TestOne stale version hides its resource, not its neighbours.
func TestStale(t *testing.T) {
	p := load(t, Default())
	ch := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140", "Potassium=4"))
	for _, h := range ch.Histories {
		if h[0].Resource().ID() == "p-obaa" {
			h[0].Current = false
		}
	}
	v := p.View(provider(t), ch)
	if strings.Contains(said(v), "p-obaa") || !strings.Contains(ids(v), "Observation/p-obab") {
		t.Errorf("shown: %s", ids(v))
	}
}

// TestAudiences: who sees what of one chart with an HIV result that the EHR
// "lab" sent, and a chlamydia result.
func TestAudiences(t *testing.T) {
	ch := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"), report(2, "b", "HIV SCREEN", "RESULT=1"), report(3, "c", "CHLAMYDIA PCR", "RESULT=1"), report(4, "d", "QX-7", "ZZ9=1"))
	both := strings.Replace(string(Default()), `"roles": {}`, `"roles": {"physician": {"withhold": ["sti"]}, "pharmacist": {"redact": {"Observation": ["specimen"]}}}`, 1)
	both = strings.Replace(both, `"worksites": {}`, `"worksites": {"clinic": {"withhold": ["genetic"]}}`, 1)
	rows := []struct {
		name   string
		policy []byte
		caller access.Caller
		see    string // letters of the reports
	}{
		{"a physician's app", Default(), accesstest.Person(t, access.Physician), "ac"},
		{"an assistant to a physician", Default(), accesstest.Person(t, access.Assistant), "ac"},
		{"a role that sees less", []byte(both), accesstest.Person(t, access.Physician), "a"},
		{"another role", []byte(both), accesstest.Person(t, access.Nurse), "ac"},
		{"an assistant sees what both may see", []byte(both), accesstest.AssistantTo(t, access.Physician), "a"},
		{"a backend", Default(), accesstest.Client(t, "", "system/*.rs"), "ac"},
		{"the demo's backend sees unknown codes", Demo(), accesstest.Client(t, "", "system/*.rs"), "acd"},
		{"a backend that sent it all itself", Default(), accesstest.Client(t, "lab", "system/*.rs"), "abcd"},
		{"its source", Default(), accesstest.Source(t, "lab", "system/*.rs"), "abcd"},
		{"another source", Default(), accesstest.Source(t, "clinic", "system/*.rs"), ""},
	}
	keys := map[string]string{}
	for _, row := range rows {
		p := load(t, row.policy)
		v := p.View(row.caller, ch)
		see := ""
		for _, k := range []string{"a", "b", "c", "d"} {
			if _, ok := v.Get(fhir.Ref{Type: "DiagnosticReport", ID: "p-dr" + k}); ok {
				see += k
			}
		}
		if see != row.see {
			t.Errorf("%s: sees %q, want %q", row.name, see, row.see)
		}
		// Equal keys, equal views.
		key := p.Key(row.caller)
		if other, ok := keys[key]; ok && other != said(v) {
			t.Errorf("%s: another view under the same key %q", row.name, key)
		}
		keys[key] = said(v)
	}
	p := load(t, []byte(both))
	if got := said(p.View(accesstest.Person(t, access.Pharmacist), ch)); strings.Contains(got, `"resourceType":"Observation","specimen"`) || !strings.Contains(got, "Observation") {
		t.Errorf("redaction: %s", got)
	}
}

// TestOwn: what a client sent it reads back byte for byte, but for id and meta.
func TestOwn(t *testing.T) {
	sent := obj{"resourceType": "Observation", "id": "x1", "status": "final", "code": named("HIV"), "text": obj{"status": "generated", "div": "<div>x</div>"},
		"meta": obj{"tag": arr{obj{"code": "mine"}}}, "encounter": ref("Encounter", "not-here")}
	ch := charted(t, one(1, sent))
	v := load(t, Default()).View(accesstest.Client(t, "lab", "system/*.rs"), ch)
	r, ok := v.Get(fhir.Ref{Type: "Observation", ID: "x1"})
	if !ok {
		t.Fatal("not shown")
	}
	for _, s := range []string{"mine", "not-here", "<div>x</div>"} {
		if !strings.Contains(string(r.Resource().JSON()), strings.ReplaceAll(strings.ReplaceAll(s, "<", `\u003c`), ">", `\u003e`)) {
			t.Errorf("%q is gone: %s", s, r.Resource().JSON())
		}
	}
}

// TestMerge: the records of one person are read as one, and show their link
// only as far as both ends are visible.
func TestMerge(t *testing.T) {
	p := load(t, Default())
	old := obj{"resourceType": "Patient", "id": "q", "name": arr{obj{"family": "Roe"}}}
	result := obj{"resourceType": "Observation", "id": "q-na", "code": named("Sodium"), "subject": ref("Patient", "q")}
	link := chart.Link{From: fhir.Ref{Type: "Patient", ID: "q"}, Into: fhir.Ref{Type: "Patient", ID: "p"}}

	ch := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"), one(2, old, result))
	ch.Links = []chart.Link{link}
	v := p.View(provider(t), ch)
	got := said(v)
	for _, s := range []string{`"link":[{"other":{"reference":"Patient/q"},"type":"replaces"}]`, `"link":[{"other":{"reference":"Patient/p"},"type":"replaced-by"}]`} {
		if !strings.Contains(got, s) {
			t.Errorf("no %s in\n%s", s, got)
		}
	}
	r, _ := v.Get(fhir.Ref{Type: "Observation", ID: "q-na"})
	if !strings.Contains(string(r.Resource().JSON()), `"reference":"Patient/p"`) {
		t.Errorf("the subject is not the survivor: %s", r.Resource().JSON())
	}

	secretOnly := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"), one(2, old, obj{"resourceType": "Observation", "id": "q-hiv", "code": named("HIV"), "subject": ref("Patient", "q")}))
	secretOnly.Links = []chart.Link{link}
	if got := said(p.View(provider(t), secretOnly)); strings.Contains(got, "Patient/q") || strings.Contains(got, "link") {
		t.Errorf("a record known only from a secret is linked:\n%s", got)
	}
}

func TestDirectory(t *testing.T) {
	p := load(t, Default())
	ch := charted(t, one(1, obj{"resourceType": "Practitioner", "id": "d1", "name": arr{obj{"family": "Shiva"}}}, obj{"resourceType": "Organization", "id": "o1", "name": "Planned Parenthood"},
		obj{"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "aGVsbG8="}))
	if got := ids(p.View(provider(t), ch)); got != "Practitioner/d1" {
		t.Errorf("a source's directory shows %q", got)
	}
}

func TestLoad(t *testing.T) {
	for _, b := range [][]byte{Default(), Demo()} {
		if load(t, b).Version() == "" {
			t.Error("no version")
		}
	}
	if load(t, Default()).Version() == load(t, Demo()).Version() {
		t.Error("two policies, one version")
	}
	rows := []struct{ name, from, to, want string }{
		{"unknown key", `"roles": {}`, `"rolls": {}`, "line 26: unknown key /audiences/provider/rolls"},
		{"unknown label", `"withhold": ["part2", "psychotherapy"]`, `"withhold": ["part2",` + "\n" + `"hvi"]`, `line 43: /audiences/smart-app/withhold/1: no label is called "hvi"`},
		{"unknown role", `"roles": {}`, `"roles": {"operator": {"withhold": []}}`, "line 26: /audiences/provider/roles/operator: not a role that reads records"},
		{"missing audience", `"backend"`, `"backends"`, `the audience "backend" is missing`},
		{"missing label", `"masked": `, `"mask": `, `line 5: /labels: the label "masked" is missing`},
		{"missing list", `"enabled": false, "withhold": ["*"]},` + "\n" + `    "proxy-teen"`, `"enabled": false},` + "\n" + `    "proxy-teen"`, `line 53: /audiences/proxy-child: "withhold" is missing`},
		{"alias of nothing", `"as": "patient"`, `"as": "patients"`, "line 52: /audiences/proxy-adult/as: names no audience"},
		{"no such hold", `"unclassified": "hold",` + "\n" + `  "labels"`, `"unclassified": "maybe",` + "\n" + `  "labels"`, `line 4: /unclassified: must be "hold" or "release"`},
		{"not JSON", `"audiences": {`, `"audiences": {,`, "line 21: not JSON"},
		{"the same key twice", `"version": "2026-11",`, `"version": "2026-11", "version": "x",`, "line 3: not JSON"},
		{"an element that must stay", `"roles": {}`, `"redact": {"Patient": ["id"]}`, `line 26: /audiences/provider/redact/Patient: "id" cannot be taken out`},
	}
	for _, row := range rows {
		s := strings.Replace(string(Default()), row.from, row.to, 1)
		if s == string(Default()) {
			t.Fatalf("%s: nothing replaced", row.name)
		}
		_, err := Load([]byte(s))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
}

func BenchmarkView(b *testing.B) {
	p := load(b, Default())
	caller := provider(b)
	for _, n := range []int{500, 10000} {
		var all []message
		for i := 0; i*9 < n; i++ {
			all = append(all, report(i, fmt.Sprint(i), []string{"UREA AND ELECTROLYTES", "HIV SCREEN", "Lipids", "Full blood count"}[i%4], "Sodium=140", "Potassium=4"))
		}
		ch := charted(b, all...)
		b.Run(fmt.Sprint("build/", len(ch.Histories)), func(b *testing.B) {
			for b.Loop() {
				p.View(caller, ch)
			}
		})
		b.Run(fmt.Sprint("build and read all/", len(ch.Histories)), func(b *testing.B) {
			for b.Loop() {
				for _, r := range p.View(caller, ch).All() {
					r.Resource()
				}
			}
		})
		var flat []label.Labeled
		for _, h := range ch.Histories {
			for _, v := range h {
				flat = append(flat, theRules(b).Restore(v.Resource(), v.Labels(), v.Reasons(), v.RulesVersion()))
			}
		}
		b.Run(fmt.Sprint("settle/", len(flat)), func(b *testing.B) {
			for b.Loop() {
				label.Propagate(flat)
			}
		})
	}
}
