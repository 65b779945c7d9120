package fhirapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/inbox"
)

const (
	rosterOf = `{"resourceType":"Group","id":%q,"identifier":[{"system":"urn:rosters","value":%q}],"type":"person","actual":true,"name":%q,"code":{"text":"Panel"}%s,"member":[%s]}`
	hivOf    = `{"resourceType":"Condition","id":"hiv-%[1]s","subject":{"reference":"Patient/%[1]s"},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"B20"}]}}`
)

func roster(id, name, more string, members ...string) string {
	r := fmt.Sprintf(rosterOf, id, id, name, more, strings.Join(members, ","))
	return strings.NewReplacer(`"id":"","identifier":[{"system":"urn:rosters","value":""}],`, "", `,"member":[]`, "").Replace(r)
}

func in(patient string) string { return `{"entity":{"reference":"Patient/` + patient + `"}}` }

func patient(id string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":%[1]q,"identifier":[{"system":"urn:mrn","value":%[1]q}],"name":[{"family":"Ash","given":[%[1]q]}],"birthDate":"1980-01-02"}`, id)
}

func weight(of string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":"w-%[1]s","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/%[1]s"},"valueQuantity":{"value":70}}`, of)
}

// secretly is somebody who is known from a diagnosis of HIV alone.
func secretly(id string) string {
	return bundle("transaction", "PUT Patient/"+id+"||"+patient(id), "PUT Condition/hiv-"+id+"||"+fmt.Sprintf(hivOf, id))
}

// members are who is in a Group, in order.
func members(t testing.TB, r fhir.Resource) (all []string) {
	t.Helper()
	for m := range r.All("member") {
		all = append(all, strings.TrimPrefix(m.At("entity.reference").Text(), "Patient/"))
	}
	return all
}

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A roster is pushed as anything is, lies once, and is for systems that look across
// records, with those of its members who are known to them.
func TestGroups(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open func(testing.TB) *world) {
		w := open(t)
		ehr, token, source := w.backend(), reader(t), client(t, "ehr/source", "system/*.cruds")
		w.hospital(1)
		elsewhere := slices.Sorted(maps.Keys(w.all(token, "/Patient")))[0][len("Patient/"):]
		for _, id := range []string{"a", "b", "c", "d"} {
			w.put(ehr, patient(id))
			w.put(ehr, weight(id))
		}
		w.do(post(ehr, "", secretly("h"))).want(t, 200)
		sent := roster("g", "Diabetes panel", `,"quantity":5,"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a, b, h</div>"}`,
			`{"id":"1","entity":{"reference":"Patient/a","display":"Ann Ash"},"period":{"start":"2020-01-01"}}`, `{"entity":{"reference":"Patient/b"},"inactive":true}`,
			`{"entity":{"reference":"Patient/c"},"period":{"end":"2021"}}`, in("h"), in("nobody"), in(elsewhere), `{"entity":{"reference":"Patient/d"},"extension":[{"url":"urn:why","valueString":"HIV positive"}]}`)
		w.put(ehr, sent)

		for name, from := range map[string]string{"who sent it": ehr, "the source": source} {
			if got := string(w.get(from, "/Group/g").want(t, 200).resource(t).JSON()); !strings.Contains(got, `"display":"Ann Ash"`) || !strings.Contains(got, "Patient/nobody") || !strings.Contains(got, `"quantity":5`) {
				t.Errorf("%s reads %s", name, got)
			}
		}
		got := w.get(token, "/Group/g").want(t, 200)
		want := `"member":[{"entity":{"reference":"Patient/a"},"period":{"start":"2020-01-01"}},{"entity":{"reference":"Patient/b"},"inactive":true},` +
			`{"entity":{"reference":"Patient/c"},"period":{"end":"2021"}},{"entity":{"reference":"Patient/` + elsewhere + `"}}]`
		if text := string(got.body); !strings.Contains(text, want) || strings.Contains(text, "quantity") || strings.Contains(text, "div") || !strings.Contains(text, `"name":"Diabetes panel"`) {
			t.Errorf("others read %s\nwant %s", text, want)
		}
		for path, n := range map[string]int{
			"_id=g": 1, "_id=g,x": 1, "_id=x": 0, "identifier=urn:rosters|g": 1, "identifier=x": 0, "member=Patient/a": 1, "member=a": 1, "member=Patient/h": 0, "member=Patient/d": 0, "member=Patient/nobody": 0,
			"type=person": 1, "type=device": 0, "code:text=Panel": 1, "actual=true": 1, "_lastUpdated=gt2020-01-01": 1, "_lastUpdated=lt2020-01-01": 0, "": 1, "_sort=_lastUpdated": 1, "_count=0": 0, "exclude:missing=true": 1,
		} {
			if ids := w.get(token, "/Group?"+path).want(t, 200).ids(t, "match"); len(ids) != n {
				t.Errorf("Group?%s: %v", path, ids)
			}
		}
		if n := w.get(token, "/Group?_total=accurate").want(t, 200).total(t); n != "1" {
			t.Errorf("%s Groups", n)
		}
		same(t, "a member's Groups", w.get(token, "/Patient/a/Group").want(t, 200).ids(t, "match"), "Group/g")
		same(t, "the Groups of who is no member", w.get(token, "/Patient/h/Group").want(t, 200).ids(t, "match"))
		if ids := w.get(token, "/?_type=Group,Location").want(t, 200).ids(t, "match"); !slices.Contains(ids, "Group/g") {
			t.Errorf("among several types: %v", ids)
		}
		for scope, status := range map[string]int{"system/Group.rs?type=person": 200, "system/Group.rs?type=device": 404, "system/Patient.rs": 403, "system/Group.rs": 200} {
			w.get(client(t, "narrow/reader", scope), "/Group/g").want(t, status)
		}
		for _, path := range []string{"/Patient?_has:Group:member:_id=g", "/Group?_include=Group:member", "/Patient?_id=a&_revinclude=Group:member", "/Group?member:Patient.name=Ash"} {
			w.get(token, path, "Prefer: handling=lenient").want(t, 400)
		}
		for name, token := range map[string]string{"a person": w.physician(), "a patient's app": person(t, "physician", "patient/*.rs", "a"), "another source": client(t, "lab/source", "system/*.cruds")} {
			if got := w.get(token, "/Group/g"); got.Code != http.StatusNotFound {
				t.Errorf("%s: %d", name, got.Code)
			}
			if got := w.get(token, "/Group?_id=g"); got.Code == http.StatusOK && len(got.ids(t, "match")) > 0 {
				t.Errorf("%s finds it", name)
			}
		}
		_, all := w.export(ask{method: "GET", path: "/Group/g/$export", token: token})
		if all["Patient/a"] == "" || all["Observation/w-a"] == "" || all["Patient/"+elsewhere] == "" || all["Patient/b"]+all["Patient/c"]+all["Patient/d"]+all["Patient/h"] != "" {
			t.Errorf("exported: %v", slices.Sorted(maps.Keys(all)))
		}
		body := `{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"Patient/a"}},{"name":"_type","valueString":"Patient"}]}`
		_, all = w.export(ask{method: "POST", path: "/Group/g/$export", token: token, body: body})
		same(t, "of one member", slices.Sorted(maps.Keys(all)), "Patient/a")
		_, all = w.export(ask{method: "GET", path: "/$export?_type=Group", token: token})
		same(t, "Groups of everyone", slices.Sorted(maps.Keys(all)), "Group/g")

		// Whoever is known from now on is in it, merged records as they are now.
		w.put(ehr, patient("nobody"))
		if got := members(t, w.get(token, "/Group/g").want(t, 200).resource(t)); !slices.Contains(got, "nobody") {
			t.Errorf("who became known is not in it: %v", got)
		}
		w.do(ask{method: "DELETE", path: "/Patient/nobody", token: ehr}).want(t, 204)
		if got := members(t, w.get(token, "/Group/g").want(t, 200).resource(t)); slices.Contains(got, "nobody") {
			t.Errorf("who is deleted is in it: %v", got)
		}

		// It is changed, found by its identifier, and ended, alone and in Bundles.
		w.do(ask{method: "PUT", path: "/Group?identifier=urn:rosters|g", token: ehr, body: roster("g", "Diabetes panel", "", in("b"))}).want(t, 200)
		same(t, "of the one who is left", members(t, w.get(token, "/Group/g").want(t, 200).resource(t)), "b")
		w.do(post(ehr, "", bundle("batch", "PUT Group/g||"+roster("g", "Diabetes panel", "", in("b"), in("a"), in("c"))))).want(t, 200)
		w.do(post(ehr, "", bundle("transaction", "PUT Patient/e||"+patient("e"), "POST Group||"+roster("", "All", "", in("e"), in("a"))))).want(t, 200)
		if ids := w.get(token, "/Group?member=Patient/e").want(t, 200).ids(t, "match"); len(ids) != 1 {
			t.Errorf("created in a transaction: %v", ids)
		}
		w.do(post(ehr, "/Group", roster("", "One", "", in("a")), "If-None-Exist: identifier=urn:rosters|g")).want(t, 200)
		w.do(ask{method: "DELETE", path: "/Group?identifier=urn:rosters|g", token: ehr}).want(t, 204)
		w.get(token, "/Group/g").want(t, 404)
		w.get(token, "/Group/g/$export", async).want(t, 404)
	})
}

// Members are shown as they are now: merged, masked by a directive, deleted; and a
// source reads what its Group was before, of which others see the present alone.
func TestGroupsFollowTheirMembers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open func(testing.TB) *world) {
		w := open(t)
		ehr, token := w.backend(), reader(t)
		w.hospital(2)
		number := func(n int) string {
			ids := w.get(token, fmt.Sprintf("/Patient?identifier=GH%d", 1000000+n)).want(t, 200).ids(t, "match")
			return strings.TrimPrefix(ids[0], "Patient/")
		}
		old, now := number(1), number(0)
		w.put(ehr, patient("a"))
		w.put(ehr, weight("a"))
		w.later(time.Minute)
		w.put(ehr, roster("g", "Panel", "", in(old), in("a")))
		w.later(time.Minute)
		w.put(ehr, roster("g", "Panel", "", in("a"), in(old)))
		read := func() []string { return members(t, w.get(token, "/Group/g").want(t, 200).resource(t)) }
		same(t, "before the merge", read(), "a", old)
		w.message("hospital", []byte("MSH|^~\\&|EHR|GENERAL|FB|FB|20260401120000+0000||ADT^A40^ADT_A39|M1|P|2.5.1\rEVN|A40|20260401120000+0000\rPID|1||GH1000000^^^GENERAL^MR\rMRG|GH1000001^^^GENERAL^MR\r"))
		w.idle()
		same(t, "after the merge", read(), "a", now)
		for _, id := range []string{old, now} {
			same(t, "by either record", w.get(token, "/Group?member=Patient/"+id+"&_sort=_id").want(t, 200).ids(t, "match"), "Group/g")
		}
		same(t, "by what its source said", w.get(ehr, "/Group?member=Patient/"+old).want(t, 200).ids(t, "match"), "Group/g")
		if _, all := w.export(ask2("/Group/g/$export?_type=Patient", token)); all["Patient/"+now] == "" || all["Patient/"+old] == "" || all["Patient/a"] == "" {
			t.Errorf("exported: %v", slices.Sorted(maps.Keys(all)))
		}
		w.put(ehr, `{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},"category":[{"text":"x"}],"patient":{"reference":"Patient/a"},"provision":{"type":"deny"}}`)
		same(t, "masked", read(), now)
		w.do(ask{method: "DELETE", path: "/Consent/c", token: ehr}).want(t, 204)
		same(t, "no longer masked", read(), "a", now)
		for who, n := range map[string]int{ehr: 2, token: 1} {
			if got := w.get(who, "/Group/g/_history").want(t, 200).total(t); got != fmt.Sprint(n) {
				t.Errorf("%s versions, want %d", got, n)
			}
			if got := w.get(who, "/Group/_history").want(t, 200).total(t); got != fmt.Sprint(n) {
				t.Errorf("%s versions of the type, want %d", got, n)
			}
		}
		past := w.get(ehr, "/Group/g/_history").resource(t).All("entry")
		for e := range past {
			version := "/Group/g/_history/" + e.At("resource.meta.versionId").Text()
			w.get(ehr, version).want(t, 200)
			w.get(token, version).want(t, 404)
		}
	})
}

// A roster that a server is asked for is one as well.
func TestGroupsOfServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	take := func(c rest.Copy) {
		c.Base, c.At = "https://up.test/fhir", w.clock()
		w.later(time.Second)
		_, err := w.pipe.Put(t.Context(), inbox.Message{Source: "west", Kind: inbox.Copy, Received: w.clock(), Body: c.Encode()})
		must(t, err)
		w.idle()
	}
	take(rest.Copy{Type: "Patient", ID: "1", Resource: []byte(patient("1"))})
	take(rest.Copy{Type: "Patient", ID: "2", Resource: []byte(patient("2"))})
	take(rest.Copy{Type: "Group", ID: "7", Resource: []byte(roster("7", "Panel", "", in("1")))})
	token := reader(t)
	ids := w.get(token, "/Group?identifier=7").want(t, 200).ids(t, "match")
	if len(ids) != 1 {
		t.Fatalf("found %v", ids)
	}
	one := members(t, w.get(token, "/"+ids[0]).want(t, 200).resource(t))
	same(t, "its member", one, strings.TrimPrefix(w.get(token, "/Patient?identifier=urn:mrn|1").ids(t, "match")[0], "Patient/"))
	take(rest.Copy{Type: "Group", ID: "7", Resource: []byte(roster("7", "Panel", "", in("1"), in("2")))})
	if got := members(t, w.get(token, "/"+ids[0]).want(t, 200).resource(t)); len(got) != 2 {
		t.Errorf("members: %v", got)
	}
	if _, all := w.export(ask2("/"+ids[0]+"/$export?_type=Patient", token)); len(all) != 2 {
		t.Errorf("exported: %d", len(all))
	}
	take(rest.Copy{Type: "Group", ID: "7"})
	w.get(token, "/"+ids[0]).want(t, 404)
}

// A roster of as many as are taken is read, found and exported.
func TestGroupOfTenThousand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr, token := w.backend(), reader(t)
	for _, id := range []string{"p0", "p5000", "p9999"} {
		w.put(ehr, patient(id))
	}
	var all []string
	for i := range 10_000 {
		all = append(all, in(fmt.Sprint("p", i)))
	}
	w.put(ehr, roster("g", "Panel", "", all...))
	for range 2 {
		same(t, "known members", members(t, w.get(token, "/Group/g").want(t, 200).resource(t)), "p0", "p5000", "p9999")
	}
	if _, got := w.export(ask2("/Group/g/$export", token)); len(got) != 3 {
		t.Errorf("exported: %d", len(got))
	}
	w.do(ask{method: "PUT", path: "/Group/z", token: ehr, body: roster("z", "Many", "", append(all, in("a"))...)}).want(t, 422)
}

// rosterWorld is told the same rosters, with secrets or without.
func rosterWorld(w *world, secrets bool) {
	t, ehr := w.t, w.backend()
	tick := func() { w.later(time.Minute) }
	put := func(r string) { tick(); w.put(ehr, r) }
	either := func(with, without string) {
		tick()
		if secrets {
			w.put(ehr, with)
		} else if without != "" {
			w.put(ehr, without)
		}
	}
	for _, id := range []string{"a", "b"} {
		put(patient(id))
		put(weight(id))
	}
	tick()
	if secrets {
		w.do(post(ehr, "", secretly("h"))).want(t, 200)
	}
	either(roster("r", "Panel", `,"quantity":2`, in("h"), in("a")), roster("r", "Panel", `,"quantity":1`, in("a")))
	either(roster("r", "Panel", `,"quantity":3`, in("h"), in("a"), in("h2")), "") // one more, whom nobody knows
	either(roster("only", "Panel", "", in("h")), roster("only", "Panel", ""))
	either(roster("hiv", "HIV clinic cohort", "", in("a"), in("b")), "")
	tick()
	if secrets { // a sensitive roster makes nobody known who comes with it
		w.do(post(ehr, "", bundle("transaction", "PUT Patient/h3||"+patient("h3"), "PUT Group/hiv3||"+roster("hiv3", "HIV clinic cohort", "", in("h3"))))).want(t, 200)
	}
	tick()
	part := []string{"PUT Group/t||" + roster("t", "Panel", "", in("b")), "PUT Organization/o||" + `{"resourceType":"Organization","id":"o","name":"Oak Street Clinic"}`}
	if secrets {
		part = []string{"PUT Patient/h2||" + patient("h2"), "PUT Condition/hiv-h2||" + fmt.Sprintf(hivOf, "h2"), "PUT Group/t||" + roster("t", "Panel", "", in("h2"), in("b"))}
	} else {
		part = part[:1]
	}
	w.do(post(ehr, "", bundle("transaction", part...))).want(t, 200)
	either(roster("m", "Panel", "", `{"entity":{"reference":"Patient/a"},"extension":[{"url":"urn:why","valueString":"HIV positive"}]}`, in("b")), roster("m", "Panel", "", in("b")))
	put(`{"resourceType":"Organization","id":"oak","name":"Oak Street Clinic"}`)
	put(roster("managed", "Panel", `,"managingEntity":{"reference":"Organization/oak"}`, in("a")))
	if tick(); secrets {
		w.put(ehr, `{"resourceType":"Organization","id":"care","name":"HIV Care"}`)
		w.put(ehr, roster("cared", "Panel", `,"managingEntity":{"reference":"Organization/care"}`, in("a")))
	}
	put(patient("c"))
	tick()
	w.put(ehr, roster("last", "Panel", "", in("c")))
}

// A roster is answered as if those had never been in it who are not known to whoever
// asks, and one that is sensitive itself as if it had never been.
func TestGroupsTellNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open func(testing.TB) *world) {
		without, with := open(t), open(t)
		rosterWorld(without, false)
		rosterWorld(with, true)
		seen := 0
		ask := func(token, path string, headers ...string) {
			a, b := without.get(token, path, headers...), with.get(token, path, headers...)
			a.Header().Del("X-Request-Id")
			b.Header().Del("X-Request-Id")
			if a.Code != b.Code || string(a.body) != string(b.body) || !maps.EqualFunc(a.Header(), b.Header(), slices.Equal) {
				t.Errorf("%s\nwithout %d %v\n%s\nwith    %d %v\n%s", path, a.Code, a.Header(), a.body, b.Code, b.Header(), b.body)
			}
			if a.Code == 200 {
				seen++
			}
		}
		token := reader(t)
		for _, token := range []string{token, without.physician(), client(t, "lab/source", "system/*.cruds"), client(t, "lab", "system/*.cruds"), ""} {
			for _, id := range []string{"r", "only", "hiv", "t", "m", "managed", "cared", "last", "none"} {
				for _, path := range []string{"/Group/" + id, "/Group/" + id + "/_history", "/Group/" + id + "?_summary=true", "/Group?_id=" + id, "/Group?identifier=" + id, "/Group?identifier=" + id + "&_sort=-_lastUpdated&_total=accurate"} {
					ask(token, path)
				}
			}
			for _, path := range []string{"/Group", "/Group?_count=1", "/Group?_include=Group:managing-entity", "/Organization?_revinclude=Group:managing-entity", "/Group?managing-entity:Organization.name=HIV", "/Organization", "/?_type=Organization,Group", "/Group?_sort=name,_id", "/Group?_total=accurate", "/Group/_history", "/_history", "/Group?name=HIV", "/Group?_text=HIV", "/Group?_content=hiv", "/?_type=Group,Patient",
				"/Group?member=Patient/h", "/Group?member=h2", "/Group?member=Patient/a", "/Group?member:missing=true", "/Patient/h/Group", "/Patient/a/Group", "/Patient", "/Patient/h", "/Patient/h2", "/Patient/h3", "/Patient?identifier=h3", "/Group/hiv3", "/Group?quantity=3", "/Group?_lastUpdated=gt2026-01-01"} {
				ask(token, path)
			}
			for minute := range 22 { // nothing came when something hidden did
				since := accesstest.Now.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339)
				ask(token, "/Group?_lastUpdated=ge"+since)
				ask(token, "/Group/_history?_since="+since)
			}
		}
		for _, id := range []string{"r", "only", "t", "last"} {
			_, a := without.export(ask2("/Group/"+id+"/$export", token))
			_, b := with.export(ask2("/Group/"+id+"/$export", token))
			if !maps.Equal(a, b) {
				t.Errorf("export of %s: %v, with secrets %v", id, a, b)
			}
		}
		etag := without.get(token, "/Group/r").Header().Get("ETag")
		ask(token, "/Group/r", "If-None-Match: "+etag)
		if got := members(t, with.get(token, "/Group/r").want(t, 200).resource(t)); !slices.Equal(got, []string{"a"}) {
			t.Errorf("what is harmless is not shown: %v", got)
		}
		if seen < 40 {
			t.Errorf("%d answers", seen)
		}
	})
}

func ask2(path, token string) ask { return ask{method: "GET", path: path, token: token} }
