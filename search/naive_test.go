package search_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firebreak/fhir"
	"firebreak/search"
)

// The naive evaluator reads R4's search page as plainly as it can: decoded
// JSON, times and big fractions, a loop over everything for every query. It
// shares no code with the package and knows a handful of parameters.

type object = map[string]any

type naive struct {
	all []object
}

func get(v any, path ...string) []any {
	if len(path) == 0 {
		switch v := v.(type) {
		case nil:
			return nil
		case []any:
			return v
		}
		return []any{v}
	}
	var out []any
	for _, item := range get(v) {
		if o, ok := item.(object); ok {
			out = append(out, get(o[path[0]], path[1:]...)...)
		}
	}
	return out
}

func str(v any, path ...string) string {
	for _, x := range get(v, path...) {
		return fmt.Sprint(x)
	}
	return ""
}

type naiveToken struct{ system, code string }

type naiveValues struct {
	tokens  []naiveToken
	strings []string
	times   [][2]time.Time
	refs    []string
	amounts []naiveAmount
}

type naiveAmount struct {
	value              *big.Rat
	system, code, unit string
}

func concept(v any) (out []naiveToken) {
	for _, c := range get(v, "coding") {
		out = append(out, naiveToken{str(c, "system"), str(c, "code")})
	}
	return out
}

func (n *naive) values(o object, param string) (kind string, v naiveValues) {
	switch typ := str(o, "resourceType"); typ + "." + param {
	case "Observation._id", "Patient._id":
		v.tokens = []naiveToken{{"", str(o, "id")}}
		return "token", v
	case "Observation.status":
		for _, s := range get(o, "status") {
			v.tokens = append(v.tokens, naiveToken{"http://hl7.org/fhir/observation-status", s.(string)})
		}
		return "token", v
	case "Patient.gender":
		for _, s := range get(o, "gender") {
			v.tokens = append(v.tokens, naiveToken{"http://hl7.org/fhir/administrative-gender", s.(string)})
		}
		return "token", v
	case "Observation.code":
		v.tokens = concept(o["code"])
		return "token", v
	case "Observation.category":
		for _, c := range get(o, "category") {
			v.tokens = append(v.tokens, concept(c)...)
		}
		return "token", v
	case "Patient.identifier":
		for _, c := range get(o, "identifier") {
			v.tokens = append(v.tokens, naiveToken{str(c, "system"), str(c, "value")})
		}
		return "token", v
	case "Patient.family":
		for _, s := range get(o, "name", "family") {
			v.strings = append(v.strings, s.(string))
		}
		return "string", v
	case "Patient.name":
		for _, part := range []string{"family", "given", "text"} {
			for _, s := range get(o, "name", part) {
				v.strings = append(v.strings, s.(string))
			}
		}
		return "string", v
	case "Patient.birthdate":
		for _, s := range get(o, "birthDate") {
			v.times = append(v.times, naiveSpan(s.(string)))
		}
		return "date", v
	case "Observation.date":
		for _, s := range get(o, "effectiveDateTime") {
			v.times = append(v.times, naiveSpan(s.(string)))
		}
		for _, p := range get(o, "effectivePeriod") {
			span := [2]time.Time{{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
			if s := str(p, "start"); s != "" {
				span[0] = naiveSpan(s)[0]
			}
			if s := str(p, "end"); s != "" {
				span[1] = naiveSpan(s)[1]
			}
			v.times = append(v.times, span)
		}
		return "date", v
	case "Observation._lastUpdated", "Patient._lastUpdated":
		for _, s := range get(o, "meta", "lastUpdated") {
			v.times = append(v.times, naiveSpan(s.(string)))
		}
		return "date", v
	case "Observation.subject":
		for _, s := range get(o, "subject", "reference") {
			v.refs = append(v.refs, s.(string))
		}
		return "reference", v
	case "Observation.patient":
		if s := str(o, "subject", "reference"); strings.HasPrefix(s, "Patient/") {
			v.refs = []string{s}
		}
		return "reference", v
	case "Observation.value-quantity":
		for _, q := range get(o, "valueQuantity") {
			if a, ok := amountOf(q); ok {
				v.amounts = append(v.amounts, a)
			}
		}
		return "quantity", v
	}
	panic("the naive evaluator does not know " + param)
}

func amountOf(q any) (naiveAmount, bool) {
	r, ok := new(big.Rat).SetString(str(q, "value"))
	return naiveAmount{r, str(q, "system"), str(q, "code"), str(q, "unit")}, ok
}

func naiveSpan(s string) [2]time.Time {
	for _, f := range []struct {
		layout string
		end    func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04:05Z07:00", func(t time.Time) time.Time { return t.Add(time.Second) }},
	} {
		if len(s) > 19 && strings.Contains(s, ".") {
			t, err := time.Parse("2006-01-02T15:04:05.000Z07:00", s)
			if err != nil {
				panic(err)
			}
			return [2]time.Time{t, t.Add(time.Millisecond)}
		}
		if t, err := time.Parse(f.layout, s); err == nil {
			return [2]time.Time{t, f.end(t)}
		}
	}
	panic("not a date: " + s)
}

func prefixed(s string) (string, string) {
	for _, p := range []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"} {
		if rest, ok := strings.CutPrefix(s, p); ok {
			return p, rest
		}
	}
	return "eq", s
}

func (n *naive) one(o object, param, modifier, want string) bool {
	kind, v := n.values(o, param)
	switch kind {
	case "token":
		system, code, barred := strings.Cut(want, "|")
		if !barred {
			system, code = "", want
		}
		return slices.ContainsFunc(v.tokens, func(t naiveToken) bool {
			if barred && t.system != system {
				return false
			}
			return barred && code == "" || strings.EqualFold(t.code, code)
		})
	case "string":
		return slices.ContainsFunc(v.strings, func(s string) bool {
			switch modifier {
			case "exact":
				return s == want
			case "contains":
				return strings.Contains(unaccented(s), unaccented(want))
			}
			return strings.HasPrefix(unaccented(s), unaccented(want))
		})
	case "date":
		prefix, text := prefixed(want)
		w := naiveSpan(text)
		return slices.ContainsFunc(v.times, func(h [2]time.Time) bool {
			within := !h[0].Before(w[0]) && !h[1].After(w[1])
			switch prefix {
			case "eq":
				return within
			case "ne":
				return !within
			case "gt":
				return h[1].After(w[1])
			case "lt":
				return h[0].Before(w[0])
			case "ge":
				return h[1].After(w[1]) || within
			case "le":
				return h[0].Before(w[0]) || within
			case "sa":
				return !h[0].Before(w[1])
			}
			return !h[1].After(w[0])
		})
	case "reference":
		return slices.ContainsFunc(v.refs, func(s string) bool {
			return s == want || !strings.Contains(want, "/") && strings.HasSuffix(s, "/"+want)
		})
	case "quantity":
		parts := strings.Split(want, "|")
		return slices.ContainsFunc(v.amounts, func(a naiveAmount) bool { return a.fits(parts) })
	}
	return false
}

func (a naiveAmount) fits(parts []string) bool {
	if len(parts) == 3 {
		system, code := parts[1], parts[2]
		if system != "" && (a.system != system || a.code != code) || system == "" && a.code != code && a.unit != code {
			return false
		}
	}
	prefix, text := prefixed(parts[0])
	x, _ := new(big.Rat).SetString(text)
	decimals := 0
	if _, fraction, ok := strings.Cut(text, "."); ok {
		decimals = len(fraction)
	}
	half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)))
	low, high := new(big.Rat).Sub(x, half), new(big.Rat).Add(x, half)
	within := a.value.Cmp(low) >= 0 && a.value.Cmp(high) < 0
	switch c := a.value.Cmp(x); prefix {
	case "eq":
		return within
	case "ne":
		return !within
	case "gt", "sa":
		return c > 0
	case "lt", "eb":
		return c < 0
	case "ge":
		return c >= 0
	}
	return a.value.Cmp(x) <= 0
}

func unaccented(s string) string {
	return strings.NewReplacer("é", "e", "É", "e", "Ü", "u", "ü", "u").Replace(strings.ToLower(s))
}

func (n *naive) matches(o object, name, value string) bool {
	if rest, ok := strings.CutPrefix(name, "_has:Observation:patient:"); ok {
		return slices.ContainsFunc(n.all, func(x object) bool {
			return str(x, "resourceType") == "Observation" && str(x, "subject", "reference") == "Patient/"+str(o, "id") && n.matches(x, rest, value)
		})
	}
	for _, link := range []string{"patient.", "subject:Patient."} {
		if rest, ok := strings.CutPrefix(name, link); ok {
			return slices.ContainsFunc(n.all, func(x object) bool {
				return str(x, "resourceType") == "Patient" && str(o, "subject", "reference") == "Patient/"+str(x, "id") && n.matches(x, rest, value)
			})
		}
	}
	if name == "code-value-quantity" {
		return slices.ContainsFunc(strings.Split(value, ","), func(v string) bool {
			code, quantity, _ := strings.Cut(v, "$")
			return n.one(o, "code", "", code) && n.one(o, "value-quantity", "", quantity)
		})
	}
	param, modifier, _ := strings.Cut(name, ":")
	switch modifier {
	case "missing":
		_, v := n.values(o, param)
		there := len(v.tokens)+len(v.strings)+len(v.times)+len(v.refs)+len(v.amounts) > 0
		return there == (value == "false")
	case "not":
		return !n.matches(o, param, value)
	case "Patient":
		if !strings.Contains(value, "/") {
			value = "Patient/" + value
		}
		modifier = ""
	}
	return slices.ContainsFunc(strings.Split(value, ","), func(v string) bool { return n.one(o, param, modifier, v) })
}

func (n *naive) run(typ string, v url.Values) (ids []string) {
	var found []object
	for _, o := range n.all {
		keep := str(o, "resourceType") == typ
		for name, list := range v {
			for _, value := range list {
				keep = keep && (name == "_sort" || n.matches(o, name, value))
			}
		}
		if keep {
			found = append(found, o)
		}
	}
	sort.SliceStable(found, func(i, j int) bool {
		a, b := found[i], found[j]
		for p := range strings.SplitSeq(v.Get("_sort"), ",") {
			if p == "" {
				continue
			}
			p, falling := strings.CutPrefix(p, "-")
			x, okx := n.sortKey(a, p, falling)
			y, oky := n.sortKey(b, p, falling)
			switch {
			case okx != oky:
				return okx
			case okx && x != y:
				return (x < y) != falling
			}
		}
		return str(a, "id") < str(b, "id")
	})
	for _, o := range found {
		ids = append(ids, str(o, "id"))
	}
	return ids
}

func (n *naive) sortKey(o object, param string, falling bool) (best string, ok bool) {
	_, v := n.values(o, param)
	var keys []string
	for _, t := range v.tokens {
		keys = append(keys, strings.ToLower(t.code))
	}
	for _, s := range v.strings {
		keys = append(keys, unaccented(s))
	}
	for _, t := range v.times {
		at := t[0]
		if at.IsZero() {
			at = t[1]
		}
		keys = append(keys, at.UTC().Format("2006-01-02T15:04:05.000"))
	}
	sort.Strings(keys)
	switch {
	case len(keys) == 0:
		return "", false
	case falling:
		return keys[len(keys)-1], true
	}
	return keys[0], true
}

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
	someSystems = []string{"", "http://loinc.org", "urn:b"}
	someCodes   = []string{"1-1", "A", "a", "b"}
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
				func() (string, string) { return "birthdate", dates() },
				func() (string, string) { return "gender:not", "male" },
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
