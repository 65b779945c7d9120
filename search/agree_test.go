package search_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firebreak/fhir"
	"firebreak/search"
)

type item struct{ r fhir.Resource }

func (i item) Resource() fhir.Resource { return i.r }

func parse(t interface{ Fatal(...any) }, s string) fhir.Resource {
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	someDates   = []string{"2026", "2026-01", "2026-02-28", "2026-03-01", "2026-03-01T00:00:00Z", "2026-02-28T23:30:00-02:00", "2026-03-01T10:00:00.500+01:00", "2025-12-31"}
	askedDates  = append([]string{"2026-03-01T09:00Z", "2026-03-01T01:30:00Z"}, someDates...)
	someNumbers = []string{"5.4", "5.40", "5.35", "5.45", "100", "99.5", "100.5", "-3", "0", "5.449999999999999999999"}
	someSystems = []string{"", "http://loinc.org", "urn:b", interpretations}
	someCodes   = []string{"1-1", "A", "a", "b", "HH", "8480-6"}
	someNames   = []string{"Émile", "emil", "Müller", "Mu", "MULLER", "Ann"}
)

func TestRunAgreesWithTheNaiveEvaluator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, list []string) string { return rapid.SampledFrom(list).Draw(t, name) }
		maybe := func(o object, name string, v any) {
			if rapid.IntRange(0, 3).Draw(t, "has "+name) > 0 {
				o[name] = v
			}
		}
		coded := func() object {
			c := object{"code": pick("code", someCodes)}
			if s := pick("system", someSystems); s != "" {
				c["system"] = s
			}
			return object{"coding": []any{c}, "text": "t"}
		}
		var n naive
		for i := range rapid.IntRange(0, 5).Draw(t, "patients") {
			o := object{"resourceType": "Patient", "id": fmt.Sprint(i)}
			maybe(o, "gender", pick("gender", []string{"male", "female"}))
			maybe(o, "birthDate", pick("birth", someDates[:4]))
			maybe(o, "name", []any{object{"family": pick("family", someNames), "given": []any{pick("given", someNames)}}})
			maybe(o, "identifier", []any{object{"system": "urn:b", "value": pick("identifier", someCodes)}, object{"value": pick("other", someCodes)}})
			maybe(o, "meta", object{"lastUpdated": "2026-03-01T10:00:00.500+01:00"})
			n.all = append(n.all, o)
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "observations") {
			o := object{"resourceType": "Observation", "id": fmt.Sprintf("o%d", i)}
			maybe(o, "status", pick("status", []string{"final", "amended"}))
			maybe(o, "code", coded())
			maybe(o, "category", []any{coded(), coded()})
			maybe(o, "subject", object{"reference": pick("subject", []string{"Patient/0", "Patient/1", "Patient/2", "Patient/9", "Group/1"})})
			switch rapid.IntRange(0, 3).Draw(t, "effective") {
			case 0:
				o["effectiveDateTime"] = pick("when", someDates)
			case 1:
				p := object{}
				maybe(p, "start", pick("start", someDates))
				maybe(p, "end", pick("end", someDates))
				if len(p) > 0 {
					o["effectivePeriod"] = p
				}
			}
			maybe(o, "valueQuantity", object{"value": json.Number(pick("value", someNumbers)), "unit": "mg", "system": "urn:u", "code": pick("unit", []string{"mg", "g"})})
			n.all = append(n.all, o)
		}
		items := make([]item, 0, len(n.all))
		for _, o := range rapid.Permutation(n.all).Draw(t, "order") {
			b, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, item{parse(t, string(b))})
		}
		index := search.NewIndex(items)

		dates := func() string {
			return pick("prefix", []string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"}) + pick("date", askedDates)
		}
		token := func() string {
			return pick("bar", []string{"", "|", "urn:b|", "http://loinc.org|"}) + pick("code", someCodes)
		}
		quantity := func() string {
			return pick("prefix", []string{"", "ne", "gt", "lt", "ge", "le", "sa", "eb"}) + pick("number", someNumbers) + pick("unit", []string{"", "|urn:u|mg", "||g", "||mg"})
		}
		filters := map[string][]func() (string, string){
			"Observation": {
				func() (string, string) {
					return pick("m", []string{"code", "category", "code:not", "category:not"}), token()
				},
				func() (string, string) {
					asked := pick("terms", slices.Sorted(maps.Keys(naiveTerms)))
					modifier, value, _ := strings.Cut(asked, " ")
					if modifier == "in" {
						modifier = pick("in", []string{"in", "not-in"})
					}
					return pick("m", []string{"code:", "category:"}) + modifier, value
				},
				func() (string, string) {
					return "patient.gender" + pick("g", []string{":in", ":not-in"}), "http://hl7.org/fhir/ValueSet/administrative-gender"
				},
				func() (string, string) {
					return "status", pick("s", []string{"final", "http://hl7.org/fhir/observation-status|amended", "amended,final", "urn:x|final"})
				},
				func() (string, string) { return "date", dates() },
				func() (string, string) { return "value-quantity", quantity() },
				func() (string, string) { return "code-value-quantity", pick("c", someCodes) + "$" + quantity() },
				func() (string, string) {
					return "subject", pick("r", []string{"Patient/1", "1", "Group/1", "Patient/0,Patient/2"})
				},
				func() (string, string) { return "patient", pick("r", []string{"Patient/1", "1", "0,2", "Group/1"}) },
				func() (string, string) { return "subject:Patient", pick("r", []string{"1", "Patient/2"}) },
				func() (string, string) { return "patient.family", pick("n", []string{"mu", "EMI", "ann"}) },
				func() (string, string) { return "subject:Patient.identifier", token() },
				func() (string, string) {
					return pick("m", []string{"date:missing", "code:missing", "value-quantity:missing", "subject:missing"}), pick("b", []string{"true", "false"})
				},
				func() (string, string) { return "_id", pick("id", []string{"o1", "o1,o3", "zz"}) },
			},
			"Patient": {
				func() (string, string) {
					return pick("m", []string{"name", "family", "name:contains", "family:exact"}), pick("n", []string{"mu", "EMI", "Müller", "ann", "l"})
				},
				func() (string, string) { return "identifier", token() },
				func() (string, string) {
					return "phonetic", pick("s", slices.Sorted(maps.Keys(naiveSounds)))
				},
				func() (string, string) { return "birthdate", dates() },
				func() (string, string) { return "gender:not", "male" },
				func() (string, string) {
					return "_has:Observation:patient:code:below", interpretations + pick("b", []string{"|A", "|h"})
				},
				func() (string, string) { return "_lastUpdated", dates() },
				func() (string, string) { return "_has:Observation:patient:code", token() },
				func() (string, string) { return "_has:Observation:patient:date", dates() },
				func() (string, string) { return "_id:not", "1" },
			},
		}
		for range 10 {
			typ := pick("type", []string{"Observation", "Patient"})
			v := url.Values{}
			for range rapid.IntRange(0, 3).Draw(t, "filters") {
				name, value := filters[typ][rapid.IntRange(0, len(filters[typ])-1).Draw(t, "which")]()
				v.Add(name, value)
			}
			sorts := map[string][]string{"Observation": {"", "date", "-date", "status,-date", "-code,_id", "-_id"}, "Patient": {"", "family", "-name,birthdate", "-birthdate", "gender,-_id"}}
			if s := pick("sort", sorts[typ]); s != "" {
				v.Set("_sort", s)
			}
			q, err := search.ParseQuery(typ, v)
			if err != nil {
				t.Fatalf("%s?%s: %v", typ, v.Encode(), err)
			}
			var got []string
			for _, m := range index.Run(q).Matches {
				got = append(got, m.r.ID())
			}
			if want := n.run(typ, v); !slices.Equal(got, want) {
				raw, _ := json.MarshalIndent(n.all, "", " ")
				t.Fatalf("%s?%v\ngot  %v\nwant %v\nin %s", typ, v, got, want, raw)
			}
			if index.Count(q) != len(got) {
				t.Fatalf("Count is %d, not %d", index.Count(q), len(got))
			}
		}
	})
}

func TestRunIsSafeForManyAndTheSameForAll(t *testing.T) {
	var items []item
	for i := range 300 {
		items = append(items, item{parse(t, fmt.Sprintf(`{"resourceType":"Observation","id":"%03d","subject":{"reference":"Patient/%d"},"effectiveDateTime":"2026-01-%02d","code":{"coding":[{"code":"%d"}]}}`, i, i%3, i%28+1, i%7))})
	}
	index := search.NewIndex(items)
	want := ""
	done := make(chan string)
	for range 8 {
		go func() {
			var got []string
			for _, s := range []string{"patient=1&_sort=-date", "code=3", "code:text=x", "date=ge2026-01-15&_sort=code", "_has:Provenance:target:_id=1", "code-value-quantity=1$2"} {
				v, _ := url.ParseQuery(s)
				q, err := search.ParseQuery("Observation", v)
				if err != nil {
					got = append(got, err.Error())
				}
				for _, m := range index.Run(q).Matches {
					got = append(got, m.r.ID())
				}
			}
			done <- strings.Join(got, " ")
		}()
	}
	for i := range 8 {
		got := <-done
		if i == 0 {
			want = got
		}
		if got != want || !strings.HasPrefix(got, "027 055") && len(got) < 500 {
			t.Errorf("got %s", got)
		}
	}
}

// Whatever comes, goes and changes between two pages, what stays as it was is on
// one page and no more.
func TestPagesWhileThingsChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		made := func(id, name string) item {
			return item{parse(t, fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":%q,"effectiveDateTime":%q,"valueQuantity":{"value":%s}}`, id,
				rapid.SampledFrom([]string{"final", "amended"}).Draw(t, name), rapid.SampledFrom(someDates).Draw(t, name), rapid.SampledFrom(someNumbers).Draw(t, name)))}
		}
		things := map[string]item{}
		for i := range 12 {
			id := fmt.Sprintf("o%d", i)
			things[id] = made(id, "first")
		}
		changed, shown := map[string]bool{}, map[string]int{}
		q := query(t, "Observation", rapid.SampledFrom([]string{"", "_sort=date", "_sort=-date,status", "_sort=value-quantity", "_sort=-status,-_id"}).Draw(t, "order"))
		for place := ""; ; {
			index := search.NewIndex(slices.Collect(maps.Values(things)))
			rest := index.Matches(q)
			if place != "" {
				rest = search.After(q, rest, place)
			}
			if len(rest) == 0 {
				break
			}
			page := rest[:min(3, len(rest))]
			for _, m := range page {
				shown[m.r.ID()]++
			}
			place = q.Place(page[len(page)-1].r)
			for range rapid.IntRange(0, 2).Draw(t, "changes") {
				id := fmt.Sprintf("o%d", rapid.IntRange(0, 11).Draw(t, "what"))
				changed[id] = true
				if delete(things, id); rapid.Bool().Draw(t, "again") && shown[id] < 2 {
					things[id] = made(id, "again")
				}
			}
		}
		for i := range 12 {
			if id := fmt.Sprintf("o%d", i); !changed[id] && shown[id] != 1 {
				t.Fatalf("%s is on %d pages", id, shown[id])
			}
		}
	})
}
