package search_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/search"
)

func query(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, typ, raw string, opts ...search.Option) search.Query {
	t.Helper()
	v, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	q, err := search.ParseQuery(typ, v, opts...)
	if err != nil {
		t.Fatalf("%s?%s: %v", typ, raw, err)
	}
	return q
}

func TestParseQueryRefuses(t *testing.T) {
	for _, tt := range []struct{ claim, typ, raw, names string }{
		{"an unknown parameter", "Observation", "colour=red", "colour"},
		{"a parameter of another type", "Observation", "family=x", "family"},
		{"an unknown modifier", "Observation", "code:fuzzy=x", "code:fuzzy"},
		{"a modifier of another kind", "Observation", "code:exact=x", "code:exact"},
		{"a value set that is not known", "Observation", "code:in=http://vs", "code:in: There is no value set http://vs here."},
		{"another version than is here", "Observation", "status:in=http://hl7.org/fhir/ValueSet/observation-status|3.0", "status:in: There is no value set"},
		{"one whose codes are not known", "Condition", "code:not-in=http://hl7.org/fhir/ValueSet/condition-code", "code:not-in: The value set http://hl7.org/fhir/ValueSet/condition-code cannot be expanded."},
		{"no value set at all", "Observation", "code:in=<script>", "code:in: There is no value set (no address) here."},
		{"a code below without its system", "Observation", "code:below=x", "code:below: It is written system|code."},
		{"a system above", "Observation", "code:above=http://loinc.org|", "code:above: It is written system|code."},
		{"a system whose hierarchy is not known", "Observation", "code:below=http://loinc.org|1-1", "code:below: The codes of http://loinc.org are not known here."},
		{"numbers in a value set", "Patient", "identifier:in=http://vs", "identifier:in: What it looks at are no codes of a system."},
		{"a value set at a chain's end", "Observation", "patient.gender:in=http://vs", "gender:in: There is no value set"},
		{"a value set at the end of a chain to several types", "Observation", "subject.gender:in=http://vs", "gender:in: There is no value set"},
		{"a value set behind _has", "Patient", "_has:Observation:patient:code:in=http://vs", "code:in: There is no value set"},
		{":of-type of what has no types", "Observation", "code:of-type=a|b|c", "code:of-type"},
		{":missing of words", "Observation", "_text:missing=true", "_text:missing"},
		{"a modifier that says nothing", "Observation", "code:=x", "code:"},
		{"an empty value", "Observation", "code=", "code"},
		{"an empty alternative", "Observation", "status=final,", "status"},
		{"a token of nothing", "Observation", "code=|", "code"},
		{"what is no date", "Observation", "date=yesterday", "date"},
		{"a day of no calendar", "Observation", "date=2026-02-30", "date"},
		{"a prefix alone", "Observation", "date=ge", "date"},
		{"an unknown prefix", "Observation", "date=xx2026", "date"},
		{"what is no number", "Observation", "value-quantity=much", "value-quantity"},
		{"a quantity of two parts", "Observation", "value-quantity=5|mg", "value-quantity"},
		{"a composite with a part missing", "Observation", "code-value-quantity=x", "code-value-quantity"},
		{"a composite with a broken part", "Observation", "code-value-quantity=x$y", "code-value-quantity"},
		{"missing what?", "Observation", "code:missing=maybe", "code:missing"},
		{"a reference to a type it cannot have", "Observation", "subject:Encounter=1", "subject:Encounter"},
		{"a type on what is no reference", "Observation", "code:Patient=1", "code:Patient"},
		{"a chain through what is no reference", "Observation", "code.name=1", "code.name"},
		{"a chain to nothing", "Observation", "patient.colour=1", "colour"},
		{"a chain to nothing of several types", "Observation", "subject.colour=1", "subject.colour"},
		{"a bad value at a chain's end", "Observation", "patient.birthdate=x", "birthdate"},
		{"a chain without end", "Encounter", "part-of.part-of.part-of.part-of.part-of.part-of.status=x", "status"},
		{"_has without parts", "Patient", "_has:Observation=x", "_has:Observation"},
		{"_has by what leads elsewhere", "Patient", "_has:Observation:encounter:code=x", "_has:Observation:encounter:code"},
		{"_has of an unknown type", "Patient", "_has:Foo:patient:code=x", "_has:Foo:patient:code"},
		{"_has with an unknown parameter", "Patient", "_has:Observation:patient:colour=x", "colour"},
		{"sorting by nothing known", "Observation", "_sort=colour", "_sort"},
		{"sorting by a composite", "Observation", "_sort=code-value-quantity", "_sort"},
		{"sorting twice", "Observation", "_sort=date&_sort=code", "_sort"},
		{"a negative count", "Observation", "_count=-1", "_count"},
		{"two counts", "Observation", "_count=1&_count=2", "_count"},
		{"an unknown summary", "Observation", "_summary=short", "_summary"},
		{"an unknown total", "Observation", "_total=some", "_total"},
		{"elements that are none", "Observation", "_elements=code,colour", "_elements"},
		{"an include without parameter", "Observation", "_include=Observation", "_include"},
		{"an include of no reference", "Observation", "_include=Observation:code", "_include"},
		{"an include of a type it cannot reach", "Observation", "_include=Observation:subject:Encounter", "_include"},
		{"an include modifier", "Observation", "_include:recurse=Observation:subject", "_include:recurse"},
		{"full text without words", "Observation", "_text=()", "_text"},
		{"a parenthesis that is not closed", "Observation", "_content=(a OR b", "_content"},
		{"an operator with nothing after it", "Observation", "_content=a AND", "_content"},
		{"sorting by words", "Observation", "_sort=_content", "_sort"},
		{"an identifier's type alone", "Patient", "identifier:of-type=MR|1", "identifier:of-type"},
		{"a name that is no URL", "Observation", "_profile:below=urn:oid:1.2", "_profile:below"},
		{"filters", "Observation", "_filter=x", "_filter"},
		{"lists that a server would know", "Observation", "_list=$current-problems", "_list"},
		{"contained resources", "Observation", "_contained=true", "_contained"},
		{"a sound of no letters", "Patient", "phonetic=--", "phonetic"},
		{"a sound that is exact", "Patient", "phonetic:exact=x", "phonetic:exact"},
		{"near without a place", "Location", "near=50", "near"},
		{"near beside the earth", "Location", "near=91|0|5|km", "near"},
		{"near, but no number", "Location", "near=NaN|0|5|km", "near"},
		{"near at a distance below nothing", "Location", "near=0|0|-5|km", "near"},
		{"near in a unit nobody knows", "Location", "near=0|0|5|parsec", "near"},
		{"sorting by distance", "Location", "_sort=near", "_sort"},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			v, err := url.ParseQuery(tt.raw)
			if err != nil {
				t.Fatal(err)
			}
			_, err = search.ParseQuery(tt.typ, v)
			e, ok := errors.AsType[*fhir.Error](err)
			if !ok || e.Status != 400 || !strings.Contains(e.Text, tt.names) {
				t.Errorf("got %v, want a 400 naming %s", err, tt.names)
			}
			q, err := search.ParseQuery(tt.typ, v, search.Lenient())
			if ok && (e.Text == "Parameter "+tt.names+": The modifier is not known." || strings.Contains(tt.names, ": ")) { // R4: refused however leniently
				if err == nil {
					t.Error("lenient: taken")
				}
				return
			}
			if err != nil || len(q.Ignored) != 1 || slices.ContainsFunc(q.Names(), func(n string) bool { return len(q.Values()[n]) == 0 }) {
				t.Errorf("lenient: %v, ignored %v", err, q.Ignored)
			}
		})
	}
	if _, err := search.ParseQuery("Foo", nil); err == nil {
		t.Error("an unknown type was taken")
	}
	many := url.Values{}
	for i := range 200 {
		many.Add("code", fmt.Sprint(i))
	}
	if _, err := search.ParseQuery("Observation", many); err == nil {
		t.Error("200 parameters were taken")
	}
	if _, err := search.ParseQuery("Observation", url.Values{"code": {strings.Repeat("a,", 2000) + "a"}}); err == nil {
		t.Error("2,001 values were taken")
	}
}

func TestParseQueryTakes(t *testing.T) {
	q := query(t, "Observation", "code=http://loinc.org|1&code=2&_count=20&_total=accurate&_summary=data&_sort=-date,code&_include=Observation:subject&_revinclude=Provenance:target&_elements=Observation.code,value,valueString&_format=json&_pretty=true")
	if q.Count != 20 || q.Total != search.TotalAccurate || q.Summary != search.SummaryData || fmt.Sprint(q.Elements) != "[code value]" {
		t.Errorf("%+v", q)
	}
	if got := fmt.Sprint(q.Names()); got != "[_count _elements _include _revinclude _sort _summary _total code]" {
		t.Errorf("Names: %s", got)
	}
	if got := q.Values().Encode(); strings.Contains(got, "_format") || !strings.Contains(got, "code=2") {
		t.Errorf("Values: %s", got)
	}
	if q := query(t, "Observation", ""); q.Count != -1 || q.Filtered() || q.Included() {
		t.Errorf("an empty query: %+v", q)
	}
	if q := query(t, "Observation", "_summary=false"); q.Summary != search.SummaryNone {
		t.Errorf("_summary=false: %q", q.Summary)
	}
}

func TestParseQueryQuotesNoValue(t *testing.T) {
	for _, raw := range []string{"date=SECRET", "value-quantity=SECRET", "_count=SECRET", "_sort=SECRET", "_include=SECRET", "_summary=SECRET", "_elements=SECRET", "code:missing=SECRET", "S%20ECRET=1", "code:S%2FECRET=1"} {
		v, _ := url.ParseQuery(raw)
		_, err := search.ParseQuery("Observation", v)
		if err == nil || strings.Contains(err.Error(), "ECRET") {
			t.Errorf("%s: %v", raw, err)
		}
		if q, err := search.ParseQuery("Observation", v, search.Lenient()); strings.Contains(fmt.Sprint(q.Ignored, err), "ECRET") {
			t.Errorf("%s: ignored %v", raw, q.Ignored)
		}
	}
}

func TestKey(t *testing.T) {
	key := func(raw string, opts ...search.Option) string { return query(t, "Observation", raw, opts...).Key() }
	if key("code=1&status=final&code=2") != key("code=2&code=1&status=final") {
		t.Error("order matters")
	}
	for _, pair := range [][2]string{{"code=1,2", "code=1&code=2"}, {"_sort=date,code", "_sort=code,date"}, {"code=1", "code:not=1"}, {"code=1", "combo-code=1"}, {"code=a%26code%3Db", "code=a&code=b"}} {
		if key(pair[0]) == key(pair[1]) {
			t.Errorf("%s and %s are alike", pair[0], pair[1])
		}
	}
	a, b := time.Unix(0, 0), time.Unix(1e9, 0)
	if key("date=ap2026", search.At(a)) == key("date=ap2026", search.At(b)) {
		t.Error("ap is asked of a time")
	}
	if key("date=2026", search.At(a)) != key("date=2026", search.At(b)) {
		t.Error("nothing else is")
	}
}

func TestBoundsForTheRecord(t *testing.T) {
	for _, tt := range []struct{ typ, raw, want string }{
		{"Observation", "patient=1", "[Patient/1] true"},
		{"Observation", "patient=Patient/2,Patient/1,1", "[Patient/1 Patient/2] true"},
		{"Observation", "subject=Patient/1&code=x", "[Patient/1] true"},
		{"Observation", "subject:Patient=1", "[Patient/1] true"},
		{"Observation", "subject=1", "[] false"},
		{"Observation", "subject=Patient/1,Group/1", "[] false"},
		{"Observation", "patient=1,2&subject=Patient/1", "[Patient/1] true"},
		{"Observation", "patient._id=1", "[Patient/1] true"},
		{"Observation", "subject:Patient._id=1", "[Patient/1] true"},
		{"Observation", "performer=Patient/1", "[] false"},
		{"Observation", "patient:missing=false", "[] false"},
		{"Observation", "patient:identifier=x|1", "[] false"},
		{"Observation", "patient.name=x", "[] false"},
		{"Observation", "patient=https://own.example/fhir/Patient/1", "[Patient/1] true"},
		{"Observation", "patient=https://other.example/fhir/Patient/1", "[] false"},
		{"Patient", "_id=1,2", "[Patient/1 Patient/2] true"},
		{"Patient", "_id:not=1", "[] false"},
		{"Patient", "link=Patient/1", "[] false"},
		{"Coverage", "beneficiary=Patient/1", "[Patient/1] true"},
		{"Coverage", "subscriber=Patient/1", "[] false"},
		{"Appointment", "actor=Patient/1", "[Patient/1] true"},
		{"Appointment", "actor=Practitioner/1", "[] false"},
	} {
		refs, ok := query(t, tt.typ, tt.raw, search.Base("https://own.example/fhir/")).Patient()
		if got := fmt.Sprint(refs, ok); got != tt.want {
			t.Errorf("Patient of %s?%s: got %s, want %s", tt.typ, tt.raw, got, tt.want)
		}
	}
	for _, tt := range []struct{ typ, raw, want string }{
		{"Patient", "identifier=urn:x|1,2", "[{urn:x 1 false false} { 2 true false}] true"},
		{"Patient", "identifier=urn:x|", "[] false"},
		{"Patient", "identifier:not=1", "[] false"},
		{"Observation", "patient.identifier=urn:x|1", "[{urn:x 1 false false}] true"},
		{"Observation", "subject:Patient.identifier=1", "[{ 1 true false}] true"},
		{"Observation", "subject.identifier=1", "[] false"},
		{"Observation", "identifier=1", "[] false"},
	} {
		tokens, ok := query(t, tt.typ, tt.raw).Identifier()
		if got := fmt.Sprint(tokens, ok); got != tt.want {
			t.Errorf("Identifier of %s?%s: got %s, want %s", tt.typ, tt.raw, got, tt.want)
		}
	}
	if tokens, ok := query(t, "Observation", "identifier=urn:x|1").OwnIdentifier(); !ok || fmt.Sprint(tokens) != "[{urn:x 1 false false}]" {
		t.Error("OwnIdentifier")
	}
	if ids, ok := query(t, "Observation", "_id=b,a,a").IDs(); !ok || fmt.Sprint(ids) != "[a b]" {
		t.Error("IDs")
	}
	day := "2006-01-02"
	for raw, want := range map[string]string{
		"family=LÉvy&birthdate=1970-02-03":                 "[levy] 1970-02-03 1970-02-04 true",
		"family:exact=Lévy&birthdate=1970":                 "[levy] 1970-01-01 1971-01-01 true",
		"family=a,b&family=c&birthdate=1970":               "[c] 1970-01-01 1971-01-01 true",
		"family=a&birthdate=sa1970&birthdate=lt1972-01-01": "[a] 1971-01-01 1972-01-01 true",
		"family=a&birthdate=ge1970-06-01":                  "[] 0001-01-01 0001-01-01 false",
		"family:contains=a&birthdate=1970":                 "[] 0001-01-01 0001-01-01 false",
		"family=a":                                         "[] 0001-01-01 0001-01-01 false",
		"family=a&birthdate:missing=true":                  "[] 0001-01-01 0001-01-01 false",
	} {
		names, from, until, ok := query(t, "Patient", raw).FamilyAndBirth()
		if got := fmt.Sprint(names, " ", from.Format(day), " ", until.Format(day), " ", ok); got != want {
			t.Errorf("FamilyAndBirth of %s: got %s, want %s", raw, got, want)
		}
	}
	from, until := query(t, "Patient", "_lastUpdated=ge2026-01-02T03:04:05Z&_lastUpdated=lt2026-02-01").LastUpdated()
	if got := from.Format(time.RFC3339) + " " + until.Format(time.RFC3339); got != "2026-01-02T03:04:04Z 2026-02-01T00:00:00Z" {
		t.Errorf("LastUpdated: %s", got)
	}
	if from, until := query(t, "Patient", "name=x").LastUpdated(); !from.IsZero() || !until.IsZero() {
		t.Error("LastUpdated of what has none")
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{
		"code=http://loinc.org|1,2&_sort=-date", "patient.name:exact=a\\,b&_has:Provenance:target:agent=1", "value-quantity=ap5.4e-3||mg",
		"date=ge2026-01-02T03:04:05.6-07:00&date:missing=true", "code-value-quantity=a$lt5&_include:iterate=*&_revinclude=Provenance:*", "subject:Patient.identifier=|x&_id=o", "_content=(a OR \"b c\") NOT d*&_list=l&identifier:of-type=a|b|c&_profile:below=http://x",
	} {
		f.Add("Observation", s)
	}
	index := search.NewIndex([]item{
		{parse(f, `{"resourceType":"Patient","id":"p","name":[{"family":"a,b"}],"identifier":[{"value":"x"}]}`)},
		{parse(f, `{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"},"code":{"coding":[{"code":"1"}]},"valueQuantity":{"value":1e99999},"effectivePeriod":{"start":"2026"}}`)},
		{parse(f, `{"resourceType":"Provenance","id":"v","target":[{"reference":"Observation/o"}]}`)},
	})
	f.Fuzz(func(t *testing.T, typ, raw string) {
		v, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		for _, focus := range []fhir.Ref{{}, {Type: "Patient", ID: "p"}} { // over several types, and in a compartment
			if q, err := search.ParseTypes(v, search.Within(focus), search.Lenient()); err == nil && index.Count(q) > len(index.Matches(q)) {
				t.Fatal("more matches than there are")
			}
		}
		q, err := search.ParseQuery(typ, v)
		if err != nil {
			if e, ok := errors.AsType[*fhir.Error](err); !ok || e.Status != 400 {
				t.Fatalf("not a 400: %v", err)
			}
			return
		}
		r := index.Run(q)
		if len(r.Matches) != index.Count(q) || len(r.Matches) > 1 {
			t.Fatal("more matches than there are")
		}
		for _, m := range r.Matches {
			if m.r.Type() != typ {
				t.Fatal("a match of another type")
			}
		}
		again, err := search.ParseQuery(typ, q.Values())
		if err != nil || again.Key() != q.Key() {
			t.Fatal("Values do not give the query again")
		}
		q.Patient()
		q.Identifier()
		q.FamilyAndBirth()
		q.LastUpdated()
	})
}
