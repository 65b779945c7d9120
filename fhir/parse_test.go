package fhir_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"firebreak/fhir"
	"firebreak/internal/corpus"
)

func TestParseTakes(t *testing.T) {
	for claim, in := range map[string]string{
		"the least there is":          `{"resourceType":"Patient"}`,
		"white space around and in":   "\n {\t\"resourceType\" :\r\n\"Patient\" , \"id\" : \"a-1.B\" } \n",
		"unknown elements":            `{"resourceType":"Patient","zzz":{"a":[1,null]}}`,
		"long and odd numbers":        `{"resourceType":"Observation","valueQuantity":{"value":1.00E+2},"x":123456789012345678901.0}`,
		"names spelt with escapes":    `{"resource\u0054ype":"Patient","\u0069d":"q"}`,
		"resourceType at the end":     `{"id":"a","resourceType":"Patient"}`,
		"the same name at two levels": `{"resourceType":"Patient","name":[{"id":"1"},{"id":"1"}]}`,
		"depth up to the limit":       `{"resourceType":"Patient","x":` + strings.Repeat("[", fhir.MaxDepth-1) + strings.Repeat("]", fhir.MaxDepth-1) + `}`,
	} {
		t.Run(claim, func(t *testing.T) {
			r, err := fhir.Parse([]byte(in))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSpace(in); string(r.JSON()) != want {
				t.Errorf("got %s, want %s", r.JSON(), want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for claim, in := range map[string]string{
		"nothing":                      ``,
		"an array":                     `[{"resourceType":"Patient"}]`,
		"no resourceType":              `{"id":"a"}`,
		"a resourceType of no release": `{"resourceType":"Patiens"}`,
		"an abstract resourceType":     `{"resourceType":"DomainResource"}`,
		"a resourceType that is null":  `{"resourceType":null}`,
		"a name twice":                 `{"resourceType":"Patient","id":"a","id":"b"}`,
		"a name twice, once escaped":   `{"resourceType":"Patient","id":"a","\u0069d":"b"}`,
		"a name twice far below":       `{"resourceType":"Patient","a":[{"b":{"c":1,"c":1}}]}`,
		"an id with a slash":           `{"resourceType":"Patient","id":"a/b"}`,
		"an empty id":                  `{"resourceType":"Patient","id":""}`,
		"an id of 65":                  `{"resourceType":"Patient","id":"` + strings.Repeat("a", 65) + `"}`,
		"an id that is a number":       `{"resourceType":"Patient","id":1}`,
		"an id that is null":           `{"resourceType":"Patient","id":null}`,
		"two resources":                `{"resourceType":"Patient"}{"resourceType":"Patient"}`,
		"text after it":                `{"resourceType":"Patient"} x`,
		"the first half":               `{"resourceType":"Patient","name":[`,
		"Latin-1":                      "{\"resourceType\":\"Patient\",\"x\":\"\xe9\"}",
		"half a surrogate":             `{"resourceType":"Patient","x":"\ud800"}`,
		"a control character":          "{\"resourceType\":\"Patient\",\"x\":\"\x01\"}",
		"a comment":                    `{"resourceType":"Patient"/**/}`,
		"a trailing comma":             `{"resourceType":"Patient",}`,
		"a number with leading zeroes": `{"resourceType":"Patient","x":007}`,
		"depth over the limit":         `{"resourceType":"Patient","x":` + strings.Repeat("[", fhir.MaxDepth) + strings.Repeat("]", fhir.MaxDepth) + `}`,
		"depth without end":            `{"resourceType":"Patient","x":` + strings.Repeat("[", 1_000_000),
		"a byte order mark":            "\ufeff" + `{"resourceType":"Patient"}`,
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := fhir.Parse([]byte(in))
			e, ok := errors.AsType[*fhir.Error](err)
			if !ok || e.Status != 400 {
				t.Fatalf("got %v, want a 400", err)
			}
		})
	}
	_, err := fhir.Parse(make([]byte, fhir.MaxBytes+1))
	if e, ok := errors.AsType[*fhir.Error](err); !ok || e.Status != 413 {
		t.Errorf("too large: got %v, want a 413", err)
	}
}

func TestParseErrorsQuoteNothing(t *testing.T) {
	for _, in := range []string{
		`{"resourceType":"SECRET"}`, `{"resourceType":"Patient","id":"SECRET/"}`,
		`{"resourceType":"Patient","SECRET":1,"SECRET":2}`, `{"resourceType":"Patient","x":SECRET}`,
		`{"resourceType":"Patient"} SECRET`,
	} {
		_, err := fhir.Parse([]byte(in))
		_, body := fhir.Outcome(err)
		if s := fmt.Sprint(err, string(body)); strings.Contains(s, "SECRET") {
			t.Errorf("%s leaks: %s", in, s)
		}
	}
	r := must(fhir.Parse([]byte(`{"resourceType":"Patient","id":"SECRET","birthDate":["SECRET"]}`)))
	_, err := fhir.View[r4.Patient](r)
	if s := fmt.Sprint(r, err, r.LogValue()); err == nil || strings.Contains(s, "SECRET") {
		t.Errorf("leaks: %s", s)
	}
}

func TestParseKeepsItsOwnBytes(t *testing.T) {
	in := []byte(`{"resourceType":"Patient","id":"a"}`)
	r := must(fhir.Parse(in))
	clear(in)
	if string(r.JSON()) != `{"resourceType":"Patient","id":"a"}` {
		t.Error("the caller could change the resource")
	}
}

func TestEveryCorpusResourceStaysAsItCame(t *testing.T) {
	n := 0
	for file, lines := range corpus.FHIR(t) {
		for i, line := range lines {
			r, err := fhir.Parse(line)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			if !bytes.Equal(r.JSON(), line) {
				t.Fatalf("%s:%d changed", file, i+1)
			}
			n++
		}
	}
	if n < 400 {
		t.Errorf("only %d resources", n)
	}
}

func TestNode(t *testing.T) {
	r := must(fhir.Parse([]byte(`{ "resourceType":"Patient", "a":{"b":[{"c":"1"},{"c":["2",null,"3"]},{"d":4}]}, "q":"a\"\\\u00e9\n", "\u0074":true, "e":[], "z":null }`)))
	var got []string
	for n := range r.All("a.b.c") {
		got = append(got, n.Text())
	}
	if fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("All: %v", got)
	}
	for claim, ok := range map[string]bool{
		"escapes are decoded":      r.Get("q").Text() == "a\"\\é\n",
		"escaped names are found":  r.Get("t").Is("true"),
		"Is decodes":               r.Get("q").Is("a\"\\é\n") && !r.Get("q").Is("x"),
		"paths lead on":            r.Root().At("a.b.d").Is("4"),
		"null is there, not text":  r.Get("z").Kind() == 'n' && r.Get("z").Text() == "",
		"absent leads nowhere":     r.Root().At("a.x.y").IsZero() && r.Get("x").Get("y").Len() == 0,
		"lengths":                  r.Get("a").Get("b").Len() == 3 && r.Get("e").Len() == 0 && r.Get("a").Len() == 1,
		"raw is as it stands":      string(r.Root().At("a.b").Raw()) == `{"c":"1"}`,
		"a value is its own items": count(r.Get("q").Items()) == 1 && count(r.Get("z").Items()) == 0,
	} {
		if !ok {
			t.Error(claim)
		}
	}
	var names []string
	for name := range r.Root().Members() {
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "resourceType a q t e z" {
		t.Error(got)
	}
	leaves := 0
	r.Root().Each(func(name string, v fhir.Node) bool {
		if name == "c" && v.Kind() == '"' {
			leaves++
		}
		return true
	})
	if leaves != 3 {
		t.Errorf("Each: %d", leaves)
	}
}

func count[T any](seq func(func(T) bool)) (n int) {
	for range seq {
		n++
	}
	return n
}

// Whatever Parse takes, encoding/json takes too, and both see the same tree.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","id":"a","name":[{"given":["\u00e9",null],"_given":[null,{"id":"x"}]}],"n":-1.0e5}`))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}],"t":true,"e":{},"f":[]}`))
	f.Add([]byte(`{"\u0072esourceType":"List"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhir.Parse(b)
		if err != nil {
			if _, ok := errors.AsType[*fhir.Error](err); !ok {
				t.Fatalf("not a *fhir.Error: %v", err)
			}
			return
		}
		var want any
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses: %v", err)
		}
		if got := tree(r.Root()); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
		for _, ref := range r.References() {
			if _, ok := fhir.ParseRef(ref.String()); !ok {
				t.Fatal("a reference that is none")
			}
		}
	})
}

// tree decodes a Node as encoding/json would.
func tree(n fhir.Node) any {
	switch n.Kind() {
	case '{':
		m := map[string]any{}
		for k, v := range n.Members() {
			m[k] = tree(v)
		}
		return m
	case '[':
		a := make([]any, 0)
		for v := range arrayItems(n) {
			a = append(a, tree(v))
		}
		return a
	case '"':
		return n.Text()
	case '0':
		return json.Number(n.Text())
	case 't', 'f':
		return n.Is("true")
	}
	return nil
}

// arrayItems are an array's items with its holes, which Items leaves out.
func arrayItems(n fhir.Node) func(func(fhir.Node) bool) {
	return func(yield func(fhir.Node) bool) {
		depth := 0
		n.Each(func(_ string, v fhir.Node) bool {
			if depth == 0 {
				depth++
				return true
			}
			yield(v)
			return false
		})
	}
}

func BenchmarkParse(b *testing.B) {
	in := must(fhir.New(typicalObservation())).JSON()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := fhir.Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}
