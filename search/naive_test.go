package search_test

import (
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
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
	case "Patient.phonetic":
		for _, part := range []string{"family", "given"} {
			for _, s := range get(o, "name", part) {
				v.strings = append(v.strings, s.(string))
			}
		}
		return "sound", v
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
	case "sound":
		return slices.ContainsFunc(v.strings, func(s string) bool { return slices.Contains(naiveSounds[want], s) })
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

const (
	interpretations = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
	genders         = "http://hl7.org/fhir/administrative-gender"
)

// naiveTerms are the codes that values of modifiers stand for, as R4's pages list them.
var naiveTerms = map[string][]naiveToken{
	"in http://hl7.org/fhir/ValueSet/administrative-gender":       {{genders, "male"}, {genders, "female"}, {genders, "other"}, {genders, "unknown"}},
	"in http://hl7.org/fhir/ValueSet/observation-vitalsignresult": {{"http://loinc.org", "85353-1"}, {"http://loinc.org", "9279-1"}, {"http://loinc.org", "8867-4"}, {"http://loinc.org", "2708-6"}, {"http://loinc.org", "8310-5"}, {"http://loinc.org", "8302-2"}, {"http://loinc.org", "9843-4"}, {"http://loinc.org", "29463-7"}, {"http://loinc.org", "39156-5"}, {"http://loinc.org", "85354-9"}, {"http://loinc.org", "8480-6"}, {"http://loinc.org", "8462-4"}, {"http://loinc.org", "8478-0"}},
	"below " + interpretations + "|A":                             {{interpretations, "A"}, {interpretations, "AA"}, {interpretations, "H"}, {interpretations, "HH"}, {interpretations, "HU"}, {interpretations, "H>"}, {interpretations, "L"}, {interpretations, "LL"}, {interpretations, "LU"}, {interpretations, "L<"}},
	"below " + interpretations + "|h":                             {{interpretations, "H"}, {interpretations, "H>"}, {interpretations, "HU"}, {interpretations, "HH"}},
	"above " + interpretations + "|HH":                            {{interpretations, "HH"}, {interpretations, "AA"}, {interpretations, "A"}, {interpretations, "H>"}, {interpretations, "HU"}, {interpretations, "H"}, {interpretations, "_ObservationInterpretationNormality"}},
	"above " + interpretations + "|b":                             {{interpretations, "B"}, {interpretations, "_ObservationInterpretationChange"}},
}

// naiveSounds are the names that sound as what is asked.
var naiveSounds = map[string][]string{"Emeel": {"Émile", "emil"}, "miller": {"Müller", "MULLER"}, "Anne": {"Ann"}, "Moo": {"Mu"}, "Maier": nil}

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
	case "not-in":
		return !n.matches(o, param+":in", value)
	case "in", "below", "above":
		_, v := n.values(o, param)
		return slices.ContainsFunc(strings.Split(value, ","), func(one string) bool {
			return slices.ContainsFunc(v.tokens, func(t naiveToken) bool {
				return slices.ContainsFunc(naiveTerms[modifier+" "+one], func(x naiveToken) bool {
					return t.system == x.system && strings.EqualFold(t.code, x.code)
				})
			})
		})
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
