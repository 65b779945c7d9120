package fhir_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firebreak/fhir"
	"firebreak/internal/corpus"
)

var noon = time.Date(2026, 1, 2, 13, 4, 5, 678_900_000, time.FixedZone("", 3600))

func TestWithSplices(t *testing.T) {
	for _, tt := range []struct{ claim, in, want string }{
		{"both are added after the type",
			`{ "active":true, "resourceType" : "Patient" , "x":1.00}`,
			`{ "active":true, "resourceType" : "Patient","id":"n","meta":{"versionId":"v","lastUpdated":"2026-01-02T12:04:05.678Z"} , "x":1.00}`},
		{"an id is replaced in its place",
			`{"id":"o","resourceType":"Patient"}`,
			`{"id":"n","resourceType":"Patient","meta":{"versionId":"v","lastUpdated":"2026-01-02T12:04:05.678Z"}}`},
		{"the rest of meta stays",
			`{"resourceType":"Patient","id":"n","meta":{ "profile":["p"], "lastUpdated":"1999" , "tag":[] }}`,
			`{"resourceType":"Patient","id":"n","meta":{"versionId":"v", "profile":["p"], "lastUpdated":"2026-01-02T12:04:05.678Z" , "tag":[] }}`},
		{"an empty meta is filled",
			`{"resourceType":"Patient","id":"n","meta":{}}`,
			`{"resourceType":"Patient","id":"n","meta":{"versionId":"v","lastUpdated":"2026-01-02T12:04:05.678Z"}}`},
		{"ids below are not the resource's",
			`{"resourceType":"Patient","name":[{"id":"o"}],"contained":[{"resourceType":"Patient","id":"o","meta":{"versionId":"o"}}]}`,
			`{"resourceType":"Patient","id":"n","meta":{"versionId":"v","lastUpdated":"2026-01-02T12:04:05.678Z"},"name":[{"id":"o"}],"contained":[{"resourceType":"Patient","id":"o","meta":{"versionId":"o"}}]}`},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			r, err := must(fhir.Parse([]byte(tt.in))).With("n", "v", noon)
			if err != nil {
				t.Fatal(err)
			}
			if string(r.JSON()) != tt.want {
				t.Errorf("got  %s\nwant %s", r.JSON(), tt.want)
			}
			if again := must(fhir.Parse(r.JSON())); again.ID() != "n" || r.ID() != "n" || r.Type() != "Patient" {
				t.Errorf("id %q, read again %q", r.ID(), again.ID())
			}
			if same := must(r.With("n", "v", noon)); string(same.JSON()) != string(r.JSON()) {
				t.Error("twice is not once")
			}
		})
	}
	r := must(fhir.Parse([]byte(`{"resourceType":"Patient","meta":"x"}`)))
	if _, err := r.With("", "v", time.Time{}); err == nil {
		t.Error("a meta that is no object was taken")
	}
	if got := must(r.WithID("a")); string(got.JSON()) != `{"resourceType":"Patient","id":"a","meta":"x"}` {
		t.Errorf("%s", got.JSON())
	}
	if _, err := r.WithID("a b"); err == nil {
		t.Error("a malformed id was taken")
	}
	if _, err := r.WithID(""); err == nil {
		t.Error("an empty id was taken")
	}
	if _, err := (fhir.Resource{}).WithID("a"); err == nil {
		t.Error("the zero resource took an id")
	}
}

func TestWithout(t *testing.T) {
	for _, tt := range []struct {
		claim, in string
		paths     []string
		want      string
	}{
		{"a member and its comma", `{"resourceType":"Patient", "a":1, "b":2 }`, []string{"a"}, `{"resourceType":"Patient", "b":2 }`},
		{"the last one", `{"resourceType":"Patient", "a":1, "b":2 }`, []string{"b"}, `{"resourceType":"Patient", "a":1 }`},
		{"the first ones", `{"a":1,"b":2, "resourceType":"Patient"}`, []string{"a", "b"}, `{"resourceType":"Patient"}`},
		{"a primitive goes with its extension", `{"resourceType":"Patient","birthDate":"1","_birthDate":{"id":"x"},"c":3}`, []string{"birthDate"}, `{"resourceType":"Patient","c":3}`},
		{"through arrays", `{"resourceType":"Patient","n":[{"x":1,"y":[{"z":2,"k":0}]},{"y":[{"z":3,"k":1}]}]}`, []string{"n.y.z"}, `{"resourceType":"Patient","n":[{"x":1,"y":[{"k":0}]},{"y":[{"k":1}]}]}`},
		{"what is left empty goes too", `{"resourceType":"Patient","meta":{"security":[{"code":"R"}]},"n":[{"y":[{"z":2}]},{"q":1}]}`, []string{"meta.security", "n.y.z"}, `{"resourceType":"Patient","n":[{"q":1}]}`},
		{"what was empty stays", `{"resourceType":"Patient","e":{},"f":[],"g":[{}],"a":1}`, []string{"a"}, `{"resourceType":"Patient","e":{},"f":[],"g":[{}]}`},
		{"paths may name the type", `{"resourceType":"Patient","a":1}`, []string{"Observation.a"}, `{"resourceType":"Patient","a":1}`},
		{"their own type", `{"resourceType":"Patient","a":1}`, []string{"Patient.a"}, `{"resourceType":"Patient"}`},
		{"a whole and its part", `{"resourceType":"Patient","a":{"b":1},"c":1}`, []string{"a.b", "a", "a.b"}, `{"resourceType":"Patient","c":1}`},
		{"names spelt with escapes", `{"resourceType":"Patient","te\u0078t":1,"c":1}`, []string{"text"}, `{"resourceType":"Patient","c":1}`},
		{"the type stays", `{"resourceType":"Patient"}`, []string{"resourceType"}, `{"resourceType":"Patient"}`},
		{"nothing to remove", `{ "resourceType":"Patient" }`, []string{"text"}, `{ "resourceType":"Patient" }`},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			r, err := must(fhir.Parse([]byte(tt.in))).Without(tt.paths...)
			if err != nil || string(r.JSON()) != tt.want {
				t.Errorf("got  %s, %v\nwant %s", r.JSON(), err, tt.want)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	r := must(fhir.Parse([]byte(`{"resourceType":"DiagnosticReport","subject":{"reference":"Patient/1"},
		"result":[{"reference":"Observation/a","display":"A"},{"reference":"Observation/b/_history/2"},{"reference":"#c"},{"reference":"urn:uuid:1"},{"reference":"http://x/Patient/1"},{"reference":"Foo/1"},{"reference":"Patient?x=1"}],
		"presentedForm":[{"url":"Binary/p","title":"T"}],
		"extension":[{"url":"Patient/2","valueReference":{"reference":"Patient/3"}},{"url":"x","valueUri":"Patient/4"}],
		"contained":[{"resourceType":"Observation","subject":{"reference":"Patient/1"},"specimen":{"refer\u0065nce":"Specimen/1"}}]}`)))
	want := "[Patient/1 Observation/a Observation/b Binary/p Patient/3 Patient/4 Specimen/1]"
	if got := fmt.Sprint(r.References()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWithoutReferences(t *testing.T) {
	drop := func(r fhir.Ref) bool { return r.ID == "x" }
	for _, tt := range []struct{ claim, in, want string }{
		{"the display goes too, the array closes up",
			`{"resourceType":"DiagnosticReport","result":[ {"reference":"Observation/x","display":"HIV"}, {"reference":"Observation/b"} ],"id":"1"}`,
			`{"resourceType":"DiagnosticReport","result":[ {"reference":"Observation/b"} ],"id":"1"}`},
		{"an array left empty goes",
			`{"resourceType":"DiagnosticReport","result":[{"reference":"Observation/x"},{"reference":"Observation/x"}],"id":"1"}`,
			`{"resourceType":"DiagnosticReport","id":"1"}`},
		{"so do parents left empty",
			`{"resourceType":"Encounter","diagnosis":[{"condition":{"reference":"Condition/x"}},{"condition":{"reference":"Condition/b"},"rank":1}]}`,
			`{"resourceType":"Encounter","diagnosis":[{"condition":{"reference":"Condition/b"},"rank":1}]}`},
		{"versions of it are it", `{"resourceType":"Encounter","subject":{"reference":"Patient/x/_history/3"}}`, `{"resourceType":"Encounter"}`},
		{"attachments go with their titles",
			`{"resourceType":"DocumentReference","content":[{"attachment":{"url":"Binary/x","title":"HIV","size":3}}],"id":"1"}`,
			`{"resourceType":"DocumentReference","id":"1"}`},
		{"extensions that name it",
			`{"resourceType":"Patient","extension":[{"url":"u","valueUri":"Patient/x"},{"url":"v","valueReference":{"reference":"Patient/x"}}],"id":"1"}`,
			`{"resourceType":"Patient","extension":[{"url":"v"}],"id":"1"}`},
		{"an item's extension leaves its hole",
			`{"resourceType":"Patient","name":[{"given":["A","B"],"_given":[{"extension":[{"url":"u","valueUri":"Patient/x"}]},{"id":"b"}]}]}`,
			`{"resourceType":"Patient","name":[{"given":["A","B"],"_given":[null,{"id":"b"}]}]}`},
		{"in contained resources",
			`{"resourceType":"List","contained":[{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/x"}}]}`,
			`{"resourceType":"List","contained":[{"resourceType":"Observation","id":"c"}]}`},
		{"the resource itself stays", `{"resourceType":"ValueSet","url":"Patient/x","id":"1"}`, `{"resourceType":"ValueSet","id":"1"}`},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			r, err := must(fhir.Parse([]byte(tt.in))).WithoutReferences(drop)
			if err != nil || string(r.JSON()) != tt.want {
				t.Errorf("got  %s, %v\nwant %s", r.JSON(), err, tt.want)
			}
		})
	}
}

func TestRewriteReferences(t *testing.T) {
	in := `{"resourceType":"Observation","subject":{ "reference" : "urn:uuid:1", "display":"urn:uuid:1"},"valueString":"urn:uuid:1","extension":[{"url":"urn:uuid:1","valueUri":"urn:uuid:1"}]}`
	want := `{"resourceType":"Observation","subject":{ "reference" : "Patient/\"9", "display":"urn:uuid:1"},"valueString":"urn:uuid:1","extension":[{"url":"urn:uuid:1","valueUri":"Patient/\"9"}]}`
	r, err := must(fhir.Parse([]byte(in))).RewriteReferences(func(s string) string {
		if s == "urn:uuid:1" {
			return `Patient/"9`
		}
		return s
	})
	if err != nil || string(r.JSON()) != want {
		t.Errorf("got  %s, %v\nwant %s", r.JSON(), err, want)
	}
}

// Every literal of the corpus outlives every edit: what an edit does not name
// keeps its bytes and its place.
func TestEditsKeepTheCorpus(t *testing.T) {
	for file, lines := range corpus.FHIR(t) {
		for i, line := range lines {
			r := must(fhir.Parse(line))
			edited := must(r.With("other-id", "v1", noon))
			if got, want := outside(edited), outside(r); !slices.Equal(got, want) {
				t.Fatalf("%s:%d: With changed more than it should", file, i+1)
			}
			if same := must(r.RewriteReferences(func(s string) string { return s })); string(same.JSON()) != string(line) {
				t.Fatalf("%s:%d: RewriteReferences changed what it should not", file, i+1)
			}
			for _, ref := range r.References() {
				less := must(r.WithoutReferences(func(x fhir.Ref) bool { return x == ref }))
				if _, err := fhir.Parse(less.JSON()); err != nil || slices.Contains(less.References(), ref) {
					t.Fatalf("%s:%d: %v stayed: %v", file, i+1, ref, err)
				}
				if len(line) > 20_000 {
					break // one reference of each Bundle, all of the rest
				}
			}
		}
	}
}

// outside lists the members that With must leave alone, as they stand.
func outside(r fhir.Resource) (all []string) {
	for name, v := range r.Root().Members() {
		switch name {
		case "id":
		case "meta":
			for name, v := range v.Members() {
				if name != "versionId" && name != "lastUpdated" {
					all = append(all, "meta."+name, string(v.Raw()))
				}
			}
		default:
			all = append(all, name, string(v.Raw()))
		}
	}
	return all
}

// Pruning bytes and pruning a decoded tree come to the same.
func TestPruningAgreesWithATree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		member := func(b *strings.Builder, name, value string) {
			pad := rapid.SampledFrom([]string{"", " ", "\n\t"})
			fmt.Fprintf(b, "%s,%s\"%s\"%s:%s%s", pad.Draw(t, "pad"), pad.Draw(t, "pad"), name, pad.Draw(t, "pad"), pad.Draw(t, "pad"), value)
		}
		var value func(depth int) string
		object := func(depth int, start string) string {
			var b strings.Builder
			b.WriteString(start)
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "url", "display"}), 0, 4, rapid.ID[string]).Draw(t, "names") {
				member(&b, name, value(depth+1))
			}
			if rapid.IntRange(0, 2).Draw(t, "refers") == 0 {
				member(&b, "reference", `"Patient/`+rapid.SampledFrom([]string{"x", "y"}).Draw(t, "to")+`"`)
			}
			s := b.String()
			if start == "{" {
				s = "{" + strings.TrimPrefix(strings.TrimLeft(s[1:], " \n\t"), ",")
			}
			return s + rapid.SampledFrom([]string{"", " "}).Draw(t, "pad") + "}"
		}
		value = func(depth int) string {
			kind := rapid.IntRange(0, 4).Draw(t, "kind")
			if depth > 4 {
				kind %= 2
			}
			switch kind {
			case 0:
				return rapid.SampledFrom([]string{"1.50", "true", `"Patient/x"`, `"q\"]}"`, "-0"}).Draw(t, "leaf")
			case 1:
				return `""`
			case 2:
				items := rapid.SliceOfN(rapid.Custom(func(*rapid.T) string { return value(depth + 1) }), 0, 3).Draw(t, "items")
				return "[" + strings.Join(items, " , ") + "]"
			}
			return object(depth, "{")
		}
		r, err := fhir.Parse([]byte(object(0, `{"resourceType":"Patient"`)))
		if err != nil {
			t.Fatal(err)
		}
		paths := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b.a", "c.b", "a.b.c", "reference", "a.reference"}), 0, 3).Draw(t, "paths")
		got, err := r.Without(paths...)
		if err != nil {
			t.Fatal(err)
		}
		want := any(tree(r.Root()))
		var split [][]string
		for _, p := range paths {
			split = append(split, strings.Split(p, "."))
		}
		want, _ = naiveWithout(want, split)
		if g, w := canonical(tree(got.Root())), canonical(want); g != w {
			t.Fatalf("Without(%v) of %s\ngot  %s\nwant %s", paths, r.JSON(), g, w)
		}
		got, err = r.WithoutReferences(func(ref fhir.Ref) bool { return ref.ID == "x" })
		if err != nil {
			t.Fatal(err)
		}
		root := tree(r.Root()).(map[string]any)
		if naiveRefers(root) { // the resource itself stays, without its addresses
			delete(root, "url")
			delete(root, "reference")
		}
		want, _ = naiveWithoutReferences(root)
		if g, w := canonical(tree(got.Root())), canonical(want); g != w {
			t.Fatalf("WithoutReferences of %s\ngot  %s\nwant %s", r.JSON(), g, w)
		}
	})
}

func canonical(v any) string { b, _ := json.Marshal(v); return string(b) }

func naiveWithout(v any, paths [][]string) (out any, gone bool) {
	switch v := v.(type) {
	case map[string]any:
		before := len(v)
		for name, child := range v {
			var below [][]string
			drop := false
			for _, p := range paths {
				if p[0] == name {
					if len(p) == 1 {
						drop = true
					} else {
						below = append(below, p[1:])
					}
				}
			}
			if !drop && len(below) > 0 {
				v[name], drop = naiveWithout(child, below)
			}
			if drop {
				delete(v, name)
			}
		}
		return v, before > 0 && len(v) == 0
	case []any:
		kept := []any{}
		for _, item := range v {
			if item, gone := naiveWithout(item, paths); !gone {
				kept = append(kept, item)
			}
		}
		return kept, len(v) > 0 && len(kept) == 0
	}
	return v, false
}

func naiveRefers(v map[string]any) bool {
	return v["reference"] == "Patient/x" || v["url"] == "Patient/x"
}

func naiveWithoutReferences(v any) (out any, gone bool) {
	switch v := v.(type) {
	case map[string]any:
		if naiveRefers(v) {
			return nil, true
		}
		before := len(v)
		for name, child := range v {
			if now, gone := naiveWithoutReferences(child); gone {
				delete(v, name)
			} else {
				v[name] = now
			}
		}
		return v, before > 0 && len(v) == 0
	case []any:
		kept := []any{}
		for _, item := range v {
			if item, gone := naiveWithoutReferences(item); !gone {
				kept = append(kept, item)
			}
		}
		return kept, len(v) > 0 && len(kept) == 0
	}
	return v, false
}

func BenchmarkWith(b *testing.B) {
	r := must(fhir.New(typicalObservation()))
	for b.Loop() {
		if _, err := r.With("abcdefghijklmnop-abcdefghijklmnopqrst", "0123456789abcdef", noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReferences(b *testing.B) {
	r := must(fhir.New(typicalObservation()))
	for b.Loop() {
		r.References()
	}
}

func BenchmarkWithoutReferences(b *testing.B) {
	r := must(fhir.New(typicalObservation()))
	for b.Loop() {
		if _, err := r.WithoutReferences(func(r fhir.Ref) bool { return r.Type == "Organization" }); err != nil {
			b.Fatal(err)
		}
	}
}
