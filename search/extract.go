package search

import (
	"strings"

	"firebreak/fhir"
)

// The functions here say what a value of an R4 type offers to each kind of
// parameter (http://hl7.org/fhir/R4/search.html, the tables of each kind).

const booleanSystem = "http://terminology.hl7.org/CodeSystem/special-values"

// eachToken gives systems and codes. The system is that of a code's required
// binding where the element is a plain code.
func eachToken(n fhir.Node, l *leaf, f func(system, code string)) {
	emit := func(system, code fhir.Node) {
		if s, c := system.Text(), code.Text(); s != "" || c != "" {
			f(s, c)
		}
	}
	switch l.typ {
	case "Coding":
		emit(n.Get("system"), n.Get("code"))
	case "CodeableConcept":
		for c := range n.Get("coding").Items() {
			emit(c.Get("system"), c.Get("code"))
		}
	case "Identifier":
		emit(n.Get("system"), n.Get("value"))
	case "ContactPoint":
		emit(fhir.Node{}, n.Get("value"))
	case "boolean":
		if l.exists == nil {
			f(booleanSystem, n.Text())
			return
		}
		yes := "false"
		for i := range l.exists {
			l.exists[i].each(n, func(v fhir.Node, _ *leaf) {
				if v.Kind() != 'f' {
					yes = "true"
				}
			})
		}
		f(booleanSystem, yes)
	case "code":
		code := n.Text()
		f(l.element.System(code), code)
	default:
		emit(fhir.Node{}, n)
	}
}

// eachText gives what :text looks at.
func eachText(n fhir.Node, l *leaf, f func(string)) {
	emit := func(n fhir.Node) {
		if s := Fold(n.Text()); s != "" {
			f(s)
		}
	}
	concept := func(n fhir.Node) {
		emit(n.Get("text"))
		for c := range n.Get("coding").Items() {
			emit(c.Get("display"))
		}
	}
	switch l.typ {
	case "Coding":
		emit(n.Get("display"))
	case "CodeableConcept":
		concept(n)
	case "Identifier":
		concept(n.Get("type"))
	case "ContactPoint":
		emit(n.Get("value"))
	case "code", "string", "id", "uri":
		emit(n)
	}
}

func eachString(n fhir.Node, l *leaf, f func(string)) {
	members := func(names ...string) {
		for _, name := range names {
			for v := range n.Get(name).Items() {
				if s := v.Text(); s != "" {
					f(s)
				}
			}
		}
	}
	switch l.typ {
	case "HumanName":
		members("family", "given", "prefix", "suffix", "text")
	case "Address":
		members("line", "city", "district", "state", "postalCode", "country", "text")
	default:
		if s := n.Text(); s != "" {
			f(s)
		}
	}
}

func eachSpan(n fhir.Node, l *leaf, f func(span)) {
	switch l.typ {
	case "Period":
		if s, ok := period(n); ok {
			f(s)
		}
	case "Timing": // only the outer limits count
		all, any := span{never, always}, false
		add := func(s span, ok bool) {
			if ok {
				all, any = span{min(all.from, s.from), max(all.until, s.until)}, true
			}
		}
		for e := range n.Get("event").Items() {
			add(parseDate(e.Text()))
		}
		add(period(n.Get("repeat").Get("boundsPeriod")))
		if any {
			f(all)
		}
	default:
		if s, ok := parseDate(n.Text()); ok {
			f(s)
		}
	}
}

func period(n fhir.Node) (span, bool) {
	s := span{always, never}
	start, ok1 := parseDate(n.Get("start").Text())
	if ok1 {
		s.from = start.from
	}
	end, ok2 := parseDate(n.Get("end").Text())
	if ok2 {
		s.until = end.until
	}
	return s, ok1 || ok2
}

// eachReference gives local references, other addresses, and logical references.
func eachReference(n fhir.Node, l *leaf, f func(ref fhir.Ref, url string), identifier func(system, value string)) {
	s := n.Text()
	if l.typ == "Reference" {
		s = n.Get("reference").Text()
		if id := n.Get("identifier"); !id.IsZero() && identifier != nil {
			identifier(id.Get("system").Text(), id.Get("value").Text())
		}
	}
	switch ref, ok := fhir.ParseRef(s); {
	case ok:
		f(ref, "")
	case s != "" && s[0] != '#':
		f(fhir.Ref{}, s)
	}
}

// eachURI gives addresses; a canonical also without its version.
func eachURI(n fhir.Node, l *leaf, f func(string)) {
	s := n.Text()
	if s == "" {
		return
	}
	f(s)
	if l.typ == "canonical" {
		if bare, _, ok := strings.Cut(s, "|"); ok {
			f(bare)
		}
	}
}

// amount is a number with what a quantity says of its unit.
type amount struct {
	numbers
	system, code, unit string
}

func eachAmount(n fhir.Node, l *leaf, f func(amount)) {
	switch l.typ {
	case "Range":
		low, high := n.Get("low"), n.Get("high")
		a := amount{numbers: numbers{lowest, highest}}
		d1, ok1 := parseDecimal(low.Get("value").Text())
		if ok1 {
			a.low = d1
		}
		d2, ok2 := parseDecimal(high.Get("value").Text())
		if ok2 {
			a.high = d2
		}
		if !ok1 && !ok2 {
			return
		}
		if !ok1 {
			low = high
		}
		a.system, a.code, a.unit = low.Get("system").Text(), low.Get("code").Text(), low.Get("unit").Text()
		f(a)
	case "Money":
		if d, ok := parseDecimal(n.Get("value").Text()); ok {
			f(amount{numbers{d, d}, "urn:iso:std:iso:4217", n.Get("currency").Text(), ""})
		}
	case "decimal", "integer", "positiveInt", "unsignedInt":
		if d, ok := parseDecimal(n.Text()); ok {
			f(amount{numbers: numbers{d, d}})
		}
	default:
		d, ok := parseDecimal(n.Get("value").Text())
		if !ok {
			return
		}
		a := amount{numbers{d, d}, n.Get("system").Text(), n.Get("code").Text(), n.Get("unit").Text()}
		switch n.Get("comparator").Text() { // "<5" may be anything below
		case "<", "<=":
			a.low = lowest
		case ">", ">=":
			a.high = highest
		}
		f(a)
	}
}

// fits tells whether the amount's unit is the one asked for: with a system by
// code, without one by code or unit.
func (a *amount) fits(t Token) bool {
	switch {
	case t.AnyCode:
		return t.AnySystem || a.system == t.System
	case t.AnySystem:
		return a.code == t.Code || a.unit == t.Code
	}
	return a.system == t.System && a.code == t.Code
}
