package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/chart"
	"firebreak/fhir"
)

// consent is a privacy Consent in force with this provision.
func consent(provision obj) obj {
	return obj{"resourceType": "Consent", "id": "p-consent", "status": "active", "patient": ref("Patient", "p"),
		"scope":     obj{"coding": arr{obj{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}}},
		"policy":    arr{obj{"uri": "http://example.org/policy"}},
		"provision": provision}
}

func against(system, value string) obj {
	return obj{"role": obj{"coding": arr{obj{"code": "IRCP"}}}, "reference": obj{"identifier": obj{"system": system, "value": value}}}
}

func of(source string) obj {
	return obj{"role": obj{"coding": arr{obj{"code": "CST"}}}, "reference": obj{"identifier": obj{"system": SourceSystem, "value": source}}}
}

// governed is a chart with one of each kind of thing and a directive.
func governed(t testing.TB, c obj) chart.Chart {
	p := ref("Patient", "p")
	return charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"),
		message{source: "clinic", at: day(2), resources: []obj{
			{"resourceType": "Condition", "id": "p-bp", "subject": p, "onsetDateTime": "2025-03-04", "code": obj{"coding": arr{obj{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}}}},
			{"resourceType": "Condition", "id": "p-low", "subject": p, "code": obj{"text": "Depression"}},
		}},
		message{source: "ehr", at: day(3), resources: []obj{c}})
}

// TestDirectives: who is denied what, by each condition and by what cannot be
// understood.
func TestDirectives(t *testing.T) {
	physician, nurse, backend := accesstest.Person(t, access.Physician), accesstest.Person(t, access.Nurse), accesstest.Client(t, "", "system/*.rs")
	assistant := accesstest.AssistantTo(t, access.Physician)
	with := func(o obj, more obj) obj {
		for k, v := range more {
			o[k] = v
		}
		return o
	}
	deny := func(more obj) obj { return consent(with(obj{"type": "deny"}, more)) }
	type see struct{ patient, sodium, bp, low bool }
	all, none := see{true, true, true, true}, see{}
	rows := []struct {
		name   string
		c      obj
		caller access.Caller
		want   see
	}{
		{"everything, everyone", deny(nil), physician, none},
		{"everything, a system", deny(nil), backend, none},
		{"a person", deny(obj{"actor": arr{against(PersonSystem, "p-physician")}}), physician, none},
		{"another person", deny(obj{"actor": arr{against(PersonSystem, "p-physician")}}), nurse, all},
		{"whom the caller acts for", deny(obj{"actor": arr{against(PersonSystem, "p-physician")}}), assistant, none},
		{"who acts for another", deny(obj{"actor": arr{against(PersonSystem, "p-assistant")}}), assistant, none},
		{"a worksite", deny(obj{"actor": arr{against(WorksiteSystem, "clinic")}}), nurse, none},
		{"another worksite", deny(obj{"actor": arr{against(WorksiteSystem, "elsewhere")}}), nurse, all},
		{"a role", deny(obj{"actor": arr{against(RoleSystem, "nurse")}}), nurse, none},
		{"another role", deny(obj{"actor": arr{against(RoleSystem, "nurse")}}), physician, all},
		{"one of two", deny(obj{"actor": arr{against(RoleSystem, "nurse"), against(PersonSystem, "p-physician")}}), physician, none},
		{"nobody that is known", deny(obj{"actor": arr{against("urn:oid:1.2.3", "7")}}), physician, none},
		{"an actor by name alone", deny(obj{"actor": arr{obj{"reference": obj{"display": "Dr Doe"}}}}), nurse, none},
		{"a type", deny(obj{"class": arr{obj{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}}}), physician, see{true, true, false, false}},
		{"a type that is none", deny(obj{"class": arr{obj{"code": "Sorrow"}}}), physician, none},
		{"a type and one that is none", deny(obj{"class": arr{obj{"code": "Condition"}, obj{"system": "urn:ietf:bcp:13", "code": "application/pdf"}}}), physician, none},
		{"a source", deny(obj{"actor": arr{of("clinic")}}), physician, see{true, true, false, false}},
		{"a source, from a role", deny(obj{"actor": arr{of("clinic"), against(RoleSystem, "nurse")}}), physician, all},
		{"a label", deny(obj{"securityLabel": arr{obj{"code": "MH"}}}), physician, see{true, true, true, false}},
		{"a label by our name", deny(obj{"securityLabel": arr{obj{"system": LabelSystem, "code": "mental-health"}}}), physician, see{true, true, true, false}},
		{"what is restricted", deny(obj{"securityLabel": arr{obj{"code": "R"}}}), physician, see{true, true, true, false}},
		{"a label that is none", deny(obj{"securityLabel": arr{obj{"code": "TABOO"}}}), physician, see{patient: true}},
		{"a code", deny(obj{"code": arr{obj{"coding": arr{obj{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}}}}}), physician, see{true, true, false, true}},
		{"a code in words", deny(obj{"code": arr{obj{"text": "blood pressure"}}}), physician, see{patient: true}},
		{"one resource", deny(obj{"data": arr{obj{"meaning": "instance", "reference": ref("Condition", "p-bp")}}}), physician, see{true, true, false, true}},
		{"one resource, by a meaning that is none", deny(obj{"data": arr{obj{"meaning": "like", "reference": ref("Condition", "p-bp")}}}), physician, none},
		{"a time", deny(obj{"dataPeriod": obj{"start": "2025", "end": "2025"}}), physician, see{true, false, false, false}}, // without a date: unsure
		{"another time", deny(obj{"dataPeriod": obj{"end": "2024-12"}, "class": arr{obj{"code": "Condition"}}, "code": arr{obj{"coding": arr{obj{"code": "I10"}}}}}), physician, all},
		{"a time that cannot be read", deny(obj{"dataPeriod": obj{"start": "spring"}}), physician, see{patient: true}},
		{"in force", deny(obj{"period": obj{"start": "2026-01-01", "end": "2026-12-31"}}), physician, none},
		{"over", deny(obj{"period": obj{"end": "2026-11-20"}}), physician, all},
		{"not yet", deny(obj{"period": obj{"start": "2026-11-24"}}), physician, all},
		{"today in some zone", deny(obj{"period": obj{"start": "2026-11-23"}}), physician, none},
		{"for direct care", deny(obj{"purpose": arr{obj{"code": "TREAT"}}}), physician, none},
		{"for research", deny(obj{"purpose": arr{obj{"code": "HRESCH"}}}), physician, all},
		{"for who knows what", deny(obj{"purpose": arr{obj{"code": "X"}}}), physician, none},
		{"to collect", deny(obj{"action": arr{obj{"coding": arr{obj{"code": "collect"}}}}}), physician, all},
		{"to access", deny(obj{"action": arr{obj{"coding": arr{obj{"code": "access"}}}}}), physician, none},
		{"an element that R4 has not", deny(obj{"weather": "fair", "actor": arr{against(RoleSystem, "nurse")}}), physician, all},
		{"an element that R4 has not, and it concerns", deny(obj{"weather": "fair", "actor": arr{against(RoleSystem, "nurse")}}), nurse, none},
		{"a modifier", deny(obj{"modifierExtension": arr{obj{"url": "http://example.org/not"}}}), physician, none},
		{"an effect that is none", consent(obj{"type": "maybe"}), physician, none},

		{"everyone but one", deny(obj{"provision": arr{obj{"type": "permit", "actor": arr{against(PersonSystem, "p-physician")}}}}), physician, all},
		{"everyone but another", deny(obj{"provision": arr{obj{"type": "permit", "actor": arr{against(PersonSystem, "p-physician")}}}}), nurse, none},
		{"who acts for the one", deny(obj{"provision": arr{obj{"type": "permit", "actor": arr{against(PersonSystem, "p-physician")}}}}), assistant, none},
		{"an exception not understood", deny(obj{"provision": arr{obj{"type": "permit", "actor": arr{obj{"reference": obj{"display": "Dr Doe"}}}}}}), physician, none},
		{"an exception from the exception", deny(obj{"provision": arr{obj{"type": "permit", "actor": arr{against(PersonSystem, "p-physician")},
			"provision": arr{obj{"type": "deny", "class": arr{obj{"code": "Condition"}}}}}}}), physician, see{true, true, false, false}},
		{"no base, one denied", consent(obj{"provision": arr{obj{"type": "deny", "actor": arr{against(RoleSystem, "nurse")}}}}), nurse, none},
		{"no base, another denied", consent(obj{"provision": arr{obj{"type": "deny", "actor": arr{against(RoleSystem, "nurse")}}}}), physician, all},
		{"permitted", consent(obj{"type": "permit"}), physician, all},
		{"opted out", with(consent(nil), obj{"policyRule": obj{"coding": arr{obj{"code": "OPTOUT"}}}}), physician, none},
		{"opted out but for one", with(consent(obj{"type": "permit", "actor": arr{against(RoleSystem, "nurse")}}), obj{"policyRule": obj{"coding": arr{obj{"code": "OPTOUT"}}}}), nurse, all},
		{"opted in", with(deny(nil), obj{"policyRule": obj{"coding": arr{obj{"code": "OPTIN"}}}, "provision": nil}), physician, all},
		{"a Consent that says nothing", with(consent(nil), obj{"provision": nil}), physician, none},
		{"a rule that nobody knows", with(consent(nil), obj{"provision": nil, "policyRule": obj{"text": "as agreed"}}), physician, none},
		{"not active", with(deny(nil), obj{"status": "inactive"}), physician, all},
		{"about research", with(deny(nil), obj{"scope": obj{"coding": arr{obj{"code": "research"}}}}), physician, all},
		{"about who knows what", with(deny(nil), obj{"scope": obj{"text": "?"}}), physician, none},
	}
	p := load(t, strings2(t, `"smart-app": {
      "about": "An app sees what the person who uses it sees, less this.",
      "withhold": ["part2", "psychotherapy"],
      "unclassified": "hold"`, `"smart-app": {"withhold": []`))
	for _, row := range rows {
		ch := governed(t, row.c)
		v := p.View(row.caller, ch)
		has := func(typ, id string) bool { _, ok := v.Get(fhir.Ref{Type: typ, ID: id}); return ok }
		got := see{has("Patient", "p"), has("Observation", "p-obaa"), has("Condition", "p-bp"), has("Condition", "p-low")}
		if got != row.want {
			t.Errorf("%s: sees %+v, want %+v; unread %v", row.name, got, row.want, p.Unread(ch))
		}
		if research := strings.HasPrefix(row.name, "about research"); has("Consent", "p-consent") != research {
			t.Errorf("%s: the Consent is shown: %v", row.name, !research)
		}
		for _, verdict := range p.Explain(PositionOf(row.caller), row.caller.Admitted(), ch) {
			if _, acting := row.caller.OnBehalfOf(); !acting && verdict.Kept != has(verdict.Ref.Type, verdict.Ref.ID) {
				t.Errorf("%s: %s is explained otherwise than it is shown: %s", row.name, verdict.Ref, verdict.Why)
			}
		}
	}
}

func strings2(t testing.TB, from, to string) []byte {
	t.Helper()
	s := strings.Replace(string(Default()), from, to, 1)
	if s == string(Default()) {
		t.Fatal("nothing replaced")
	}
	return []byte(s)
}

// TestDirectiveByTime: what happened in the time, or may have, is denied; what is
// said in words, by an age or without an end may have.
func TestDirectiveByTime(t *testing.T) {
	p := load(t, Default())
	nurse := accesstest.Person(t, access.Nurse)
	for _, row := range []struct {
		said   obj
		denied bool
	}{
		{obj{"onsetDateTime": "1995"}, true},
		{obj{"onsetDateTime": "2005", "recordedDate": "1995-01-01"}, false},
		{obj{"onsetAge": obj{"value": 30, "unit": "a"}, "recordedDate": "2020-01-01"}, true},
		{obj{"onsetString": "as a child", "recordedDate": "2020-01-01"}, true},
		{obj{"recordedDate": "2020-01-01"}, false},
		{obj{"onsetPeriod": obj{"start": "1985", "end": "1986"}}, false},
		{obj{"onsetPeriod": obj{"start": "1985", "end": "1995"}}, true},
		{obj{"onsetPeriod": obj{"start": "1985"}}, true},
		{obj{"onsetPeriod": obj{"start": "2005"}}, false},
		{obj{"onsetPeriod": obj{"end": "1985"}}, true},
	} {
		what := obj{"resourceType": "Condition", "id": "p-bp", "subject": ref("Patient", "p"), "code": obj{"text": "Hypertension"}}
		for name, x := range row.said {
			what[name] = x
		}
		ch := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"), message{source: "clinic", at: day(2), resources: []obj{what}},
			message{source: "ehr", at: day(3), resources: []obj{consent(obj{"type": "deny", "class": arr{obj{"code": "Condition"}}, "dataPeriod": obj{"start": "1990", "end": "2000"}})}})
		if _, shown := p.View(nurse, ch).Get(fhir.Ref{Type: "Condition", ID: "p-bp"}); shown == row.denied {
			t.Errorf("%v: it is shown: %v", row.said, shown)
		}
	}
}

// TestDirectiveIsSilent: to whom it denies, a chart with a directive and what it
// masks is the chart without either; to others, the chart without the directive.
func TestDirectiveIsSilent(t *testing.T) {
	p := load(t, Default())
	nurse, physician := accesstest.Person(t, access.Nurse), accesstest.Person(t, access.Physician)
	shown := []message{report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"), report(4, "b", "Full blood count", "Haemoglobin=13.2")}
	masked := message{source: "clinic", at: day(2), resources: []obj{
		{"resourceType": "Condition", "id": "p-bp", "subject": ref("Patient", "p"), "code": obj{"text": "Hypertension"}, "asserter": ref("Practitioner", "p-x")},
		{"resourceType": "Practitioner", "id": "p-x", "name": arr{obj{"family": "Cushing"}}},
		{"resourceType": "Task", "id": "p-t", "status": "requested", "intent": "order", "for": ref("Patient", "p"), "focus": ref("Condition", "p-bp")},
	}}
	rule := consent(obj{"type": "deny", "actor": arr{against(RoleSystem, "nurse")}, "class": arr{obj{"code": "Condition"}}})
	rule["sourceReference"] = ref("DocumentReference", "p-form")
	directive := message{source: "ehr", at: day(3), resources: []obj{rule,
		{"resourceType": "DocumentReference", "id": "p-form", "status": "current", "subject": ref("Patient", "p"), "type": obj{"text": "Form"}, "content": arr{obj{"attachment": obj{"url": "Binary/p-scan"}}}},
		{"resourceType": "Binary", "id": "p-scan", "contentType": "text/plain", "data": "aGVsbG8="},
		{"resourceType": "Task", "id": "p-t2", "status": "requested", "intent": "order", "for": ref("Patient", "p"), "focus": ref("Consent", "p-consent")},
		{"resourceType": "Provenance", "id": "p-prc", "target": arr{ref("Consent", "p-consent")}, "agent": arr{obj{"who": ref("Organization", "p-lab")}}},
	}}
	view := func(c access.Caller, m ...message) string { return said(p.View(c, charted(t, m...))) }
	if got, want := view(nurse, append([]message{masked, directive}, shown...)...), view(nurse, shown...); got != want {
		t.Errorf("denied:\n%s", differ(want, got))
	}
	if got, want := view(physician, append([]message{masked, directive}, shown...)...), view(physician, append([]message{masked}, shown...)...); got != want {
		t.Errorf("not denied:\n%s", differ(want, got))
	}
	// Its own source reads it back, and where nothing is masked it is a resource like others.
	if !strings.Contains(ids(p.View(accesstest.Client(t, "ehr", "system/*.rs"), charted(t, directive))), "Consent/p-consent") {
		t.Error("its source does not see it")
	}
	if open := withholding(t); !strings.Contains(ids(open.View(nurse, charted(t, append(shown, masked, directive)...))), "Condition/p-bp") {
		t.Error("an audience that withholds nothing is denied something")
	}
}

// TestConcern: who has equal concerns sees the same; a view fits whom it was
// made for, until the clock passes a bound of a directive.
func TestConcern(t *testing.T) {
	p := load(t, Default())
	ch := governed(t, consent(obj{"type": "deny", "actor": arr{against(RoleSystem, "nurse"), against(PersonSystem, "p-lpn")}, "period": obj{"end": "2026-11-22T13:00:00Z"}}))
	keys := map[string]string{}
	for _, role := range []access.Role{access.Physician, access.Nurse, access.LPN, access.Pharmacist, access.Assistant} {
		c := accesstest.Person(t, role)
		v := p.View(c, ch)
		if !v.Fits(c) {
			t.Errorf("%s: the view does not fit whom it was made for", role)
		}
		key := p.Key(c) + v.Concern(c)
		if other, ok := keys[key]; ok && other != said(v) {
			t.Errorf("%s: another view under the same key", role)
		}
		keys[key] = said(v)
	}
	if len(keys) != 2 {
		t.Errorf("%d keys, want 2", len(keys))
	}
	who := subjectsOf(accesstest.Person(t, access.Nurse))
	before := p.view(p.sight(accesstest.Person(t, access.Nurse)), who, time.Date(2026, 11, 22, 12, 59, 59, 0, time.UTC), ch)
	after := p.view(p.sight(accesstest.Person(t, access.Nurse)), who, time.Date(2026, 11, 22, 13, 0, 2, 0, time.UTC), ch)
	if len(before.All()) != 0 || len(after.All()) == 0 || before.concern == after.concern {
		t.Errorf("%d are seen before it ends, %d after", len(before.All()), len(after.All()))
	}
}

// TestUnread: what was not understood is named, with its place.
func TestUnread(t *testing.T) {
	p := load(t, Default())
	ch := governed(t, consent(obj{"type": "deny", "actor": arr{against(RoleSystem, "nurse"), obj{"reference": obj{"display": "Dr Doe"}}}, "class": arr{obj{"code": "Sorrow"}},
		"provision": arr{obj{"type": "permit", "purpose": arr{obj{"code": "X"}}}}}))
	var got []string
	for _, u := range p.Unread(ch) {
		got = append(got, u.Path)
	}
	if s := fmt.Sprint(got); s != "[provision.actor[1] provision.class[0] provision.provision[0].purpose[0]]" {
		t.Errorf("unread: %s", s)
	}
}

func FuzzConsent(f *testing.F) {
	f.Add(`{"type":"deny","actor":[{"reference":{"display":"x"}}],"provision":[{"type":"permit"}]}`)
	f.Add(`{"period":{"start":"2026"},"data":[{"meaning":"related","reference":{"reference":"Condition/p-bp"}}]}`)
	p := load(f, Default())
	f.Fuzz(func(t *testing.T, provision string) {
		res, err := fhir.Parse([]byte(`{"resourceType":"Consent","id":"p-consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"provision":` + provision + `}`))
		if err != nil {
			return
		}
		var v chart.Version
		v.Labeled = theRules(t).Restore(res, nil, nil, theRules(t).Version())
		d := p.directives(chart.Chart{Histories: []chart.History{{v}}})
		m, _ := d.of([]subject{{"a", "b", "nurse"}}, day0)
		m.hides(&v)
	})
}
