package fhirapi_test

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/search"
)

// oracle answers searches by reading every resource, one by one, for every
// question: the official expression of a parameter as FHIRPath, and what R4's
// search page says of the values it comes to. It shares nothing with package
// search.
type oracle struct {
	all    []fhir.Resource
	byType map[string][]fhir.Resource
	byRef  map[string]fhir.Resource
	read   map[string][]fhirpath.Value // by resource and parameter
}

func newOracle(all []fhir.Resource) *oracle {
	o := &oracle{all: all, byType: map[string][]fhir.Resource{}, byRef: map[string]fhir.Resource{}, read: map[string][]fhirpath.Value{}}
	for _, r := range all {
		o.byRef[r.Ref().String()] = r
		o.byType[r.Type()] = append(o.byType[r.Type()], r)
	}
	return o
}

// expressions are the official ones by type and parameter, as far as FHIRPath
// reads them here; what a reference resolves to is told by how it is written.
var expressions = func() map[string]*fhirpath.Expr {
	all := map[string]*fhirpath.Expr{}
	for _, p := range search.Definitions() {
		if p.Expression == "" {
			continue
		}
		text := p.Expression
		for _, typ := range fhir.Types() {
			text = strings.ReplaceAll(text, "resolve() is "+typ, "reference.contains('"+typ+"/') or type = '"+typ+"'")
		}
		e, err := fhirpath.Compile(text)
		for _, base := range p.Base {
			types := []string{base}
			if base == "Resource" || base == "DomainResource" {
				types = fhir.Types()
			}
			for _, typ := range types {
				if err == nil {
					all[typ+"?"+p.Code] = e
				}
			}
		}
	}
	return all
}()

// values are what a parameter looks at in a resource.
func (o *oracle) values(r fhir.Resource, param string) []fhirpath.Value {
	key := r.Ref().String() + "?" + param
	if all, ok := o.read[key]; ok {
		return all
	}
	e := expressions[r.Type()+"?"+param]
	if e == nil {
		panic(r.Type() + "?" + param + " has no expression")
	}
	v := fhirpath.Of(r)
	all, err := e.Eval(v, v, v)
	if err != nil {
		panic(err)
	}
	o.read[key] = all
	return all
}

func decoded(n fhir.Node) (m map[string]any) {
	_ = json.Unmarshal(n.Raw(), &m)
	return m
}

func text(m map[string]any, name string) string { s, _ := m[name].(string); return s }

// tokens are systems and codes; a system that a plain code has by its binding
// is not told.
func tokens(v fhirpath.Value) (all [][2]string) {
	m := decoded(v.Node())
	switch v.Type() {
	case "CodeableConcept":
		codings, _ := m["coding"].([]any)
		for _, c := range codings {
			c := c.(map[string]any)
			all = append(all, [2]string{text(c, "system"), text(c, "code")})
		}
	case "Coding":
		all = append(all, [2]string{text(m, "system"), text(m, "code")})
	case "Identifier":
		all = append(all, [2]string{text(m, "system"), text(m, "value")})
	case "ContactPoint":
		all = append(all, [2]string{"", text(m, "value")})
	default:
		all = append(all, [2]string{"?", v.Text()})
	}
	return slices.DeleteFunc(all, func(t [2]string) bool { return t[1] == "" && (t[0] == "" || t[0] == "?") })
}

func stringsOf(v fhirpath.Value) (all []string) {
	names := map[string][]string{"HumanName": {"family", "given", "prefix", "suffix", "text"}, "Address": {"line", "city", "district", "state", "postalCode", "country", "text"}}[v.Type()]
	if names == nil {
		return []string{v.Text()}
	}
	m := decoded(v.Node())
	for _, name := range names {
		switch x := m[name].(type) {
		case string:
			all = append(all, x)
		case []any:
			for _, s := range x {
				if s, ok := s.(string); ok {
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// plainly is a string without case, accents and repeated space.
func plainly(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
	return strings.Join(strings.Fields(s), " ")
}

// moments are when a date begins and ends.
func moments(s string) (from, until time.Time, ok bool) {
	for _, f := range []struct {
		layout string
		end    func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04:05Z07:00", func(t time.Time) time.Time { return t.Add(time.Second) }},
	} {
		if t, err := time.Parse(f.layout, s); err == nil {
			end := f.end(t)
			if at := strings.IndexByte(s, '.'); at >= 0 { // as wide as its last digit
				digits := strings.IndexFunc(s[at+1:], func(r rune) bool { return r < '0' || r > '9' })
				width := time.Second
				for range min(digits, 6) {
					width /= 10
				}
				t = t.Truncate(time.Microsecond)
				end = t.Add(width)
			}
			return t, end, true
		}
	}
	return from, until, false
}

var distant = [2]time.Time{time.Date(-9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}

func timesOf(v fhirpath.Value) (all [][2]time.Time) {
	span := func(start, end string) {
		a, _, ok1 := moments(start)
		_, b, ok2 := moments(end)
		if !ok1 {
			a = distant[0]
		}
		if !ok2 {
			b = distant[1]
		}
		if ok1 || ok2 {
			all = append(all, [2]time.Time{a, b})
		}
	}
	switch v.Type() {
	case "Period":
		m := decoded(v.Node())
		span(text(m, "start"), text(m, "end"))
	case "Timing": // its outer limits
		m := decoded(v.Node())
		events, _ := m["event"].([]any)
		repeat, _ := m["repeat"].(map[string]any)
		bounds, _ := repeat["boundsPeriod"].(map[string]any)
		span(text(bounds, "start"), text(bounds, "end"))
		for _, e := range events {
			span(e.(string), e.(string))
		}
		for _, x := range all[min(1, len(all)):] {
			if x[0].Before(all[0][0]) {
				all[0][0] = x[0]
			}
			if x[1].After(all[0][1]) {
				all[0][1] = x[1]
			}
		}
		all = all[:min(1, len(all))]
	case "string":
	default:
		span(v.Text(), v.Text())
	}
	return all
}

func within(prefix string, have, want [2]time.Time) bool {
	inside := !have[0].Before(want[0]) && !have[1].After(want[1])
	switch prefix {
	case "ne":
		return !inside
	case "gt":
		return have[1].After(want[1])
	case "lt":
		return have[0].Before(want[0])
	case "ge":
		return have[1].After(want[1]) || inside
	case "le":
		return have[0].Before(want[0]) || inside
	case "sa":
		return !have[0].Before(want[1])
	case "eb":
		return !have[1].After(want[0])
	}
	return inside
}

// amounts are a number and its unit.
func amounts(v fhirpath.Value) (n *big.Rat, system, code, unit string) {
	s := v.Text()
	switch v.Type() {
	case "Quantity", "Age", "Duration", "Count", "Distance", "Money":
		s = v.Node().Get("value").Text()
		system, code, unit = v.Node().Get("system").Text(), v.Node().Get("code").Text(), v.Node().Get("unit").Text()
		if !v.Node().Get("comparator").IsZero() {
			return nil, "", "", ""
		}
	case "Range":
		return nil, "", "", ""
	}
	n, _ = new(big.Rat).SetString(s)
	return n, system, code, unit
}

// numbered compares with a number as precise as it is written.
func numbered(prefix string, have *big.Rat, want string) bool {
	x, ok := new(big.Rat).SetString(want)
	if !ok {
		return false
	}
	decimals := 0
	if at := strings.IndexByte(want, '.'); at >= 0 {
		decimals = len(want) - at - 1
	}
	half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)))
	inside := have.Cmp(new(big.Rat).Sub(x, half)) >= 0 && have.Cmp(new(big.Rat).Add(x, half)) < 0
	switch c := have.Cmp(x); prefix {
	case "ne":
		return !inside
	case "gt", "sa":
		return c > 0
	case "lt", "eb":
		return c < 0
	case "ge":
		return c >= 0
	case "le":
		return c <= 0
	}
	return inside
}

// degrees are where a position lies.
func degrees(v fhirpath.Value) (latitude, longitude float64, ok bool) {
	m := decoded(v.Node())
	latitude, ok = m["latitude"].(float64)
	longitude, _ = m["longitude"].(float64)
	return latitude, longitude, ok
}

// apart are kilometres between two positions, by the angle between them as vectors.
func apart(lat, lon, otherLat, otherLon float64) float64 {
	vector := func(lat, lon float64) [3]float64 {
		lat, lon = lat*math.Pi/180, lon*math.Pi/180
		return [3]float64{math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)}
	}
	a, b := vector(lat, lon), vector(otherLat, otherLon)
	across := [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
	return 6371.0088 * math.Atan2(math.Sqrt(across[0]*across[0]+across[1]*across[1]+across[2]*across[2]), a[0]*b[0]+a[1]*b[1]+a[2]*b[2])
}

func addresses(v fhirpath.Value) []string {
	if v.Type() == "Reference" {
		s := v.Node().Get("reference").Text()
		s, _, _ = strings.Cut(s, "/_history/")
		return []string{s}
	}
	if bare, _, ok := strings.Cut(v.Text(), "|"); ok && v.Type() == "canonical" {
		return []string{v.Text(), bare}
	}
	return []string{v.Text()}
}
