package search

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"

	"firebreak/fhir"
)

// The methods here tell a record where q's matches can be, so that it need not
// look at every chart. Each gives a superset: what it leaves out cannot match,
// what it names may. ok is false when q sets no such bound.

// owning are the parameters that name the patient whose chart a resource is in
// (the elements that fhir.PatientOf reads first).
var owning = []string{"patient", "subject", "beneficiary", "individual", "actor"}

// Patient gives the patients whose charts q is limited to.
func (q Query) Patient() (patients []fhir.Ref, ok bool) {
	if q.within.Type == "Patient" { // looked for in that patient's record and nowhere else
		return []fhir.Ref{q.within}, true
	}
	if q.record != (fhir.Ref{}) {
		return []fhir.Ref{q.record}, true
	}
	if len(q.each) > 0 {
		for _, one := range q.each {
			some, ok := one.Patient()
			if !ok {
				return nil, false
			}
			patients = append(patients, some...)
		}
		return distinct(patients), true
	}
	for i := range q.filters {
		f := &q.filters[i]
		if f.param == nil || f.missing != 0 || f.modifier != "" {
			continue
		}
		var refs []fhir.Ref
		all := true
		switch {
		case q.Type == "Patient" && f.param.code == "_id":
			for _, v := range f.values {
				if fhir.ValidID(v.token.Code) {
					refs = append(refs, fhir.Ref{Type: "Patient", ID: v.token.Code})
				}
			}
		case f.chain != nil && slices.Contains(owning, f.param.code):
			sub, onlyID := f.chain["Patient"]
			if onlyID = onlyID && len(f.chain) == 1 && sub.param != nil && sub.param.code == "_id" && sub.modifier == "" && sub.missing == 0 && sub.chain == nil; !onlyID {
				continue
			}
			for _, v := range sub.values {
				if fhir.ValidID(v.token.Code) {
					refs = append(refs, fhir.Ref{Type: "Patient", ID: v.token.Code})
				}
			}
		case f.chain == nil && slices.Contains(owning, f.param.code) && fhir.IsPatientCompartment(q.Type):
			for _, v := range f.values {
				switch {
				case v.ref.typ == "Patient", v.ref.typ == "" && v.ref.id != "" && slices.Contains(f.param.targets, "Patient"):
					refs = append(refs, fhir.Ref{Type: "Patient", ID: v.ref.id})
					all = all && v.ref.typ != ""
				default:
					all = false
				}
			}
		default:
			continue
		}
		if !all {
			continue // a group, an address elsewhere: not in a patient's chart by this
		}
		if !ok || len(refs) < len(patients) {
			patients, ok = distinct(refs), true
		}
	}
	return patients, ok
}

func distinct(refs []fhir.Ref) []fhir.Ref {
	sort.Slice(refs, func(i, j int) bool { return refs[i].ID < refs[j].ID })
	return slices.Compact(refs)
}

// IDs gives the logical ids (of q.Type) that q is limited to.
func (q Query) IDs() (ids []string, ok bool) {
	for i := range q.filters {
		f := &q.filters[i]
		if f.param == nil || f.param.code != "_id" || f.chain != nil || f.missing != 0 || f.modifier != "" {
			continue
		}
		var list []string
		for _, v := range f.values {
			if v.token.System == "" && fhir.ValidID(v.token.Code) {
				list = append(list, v.token.Code)
			}
		}
		if !ok || len(list) < len(ids) {
			sort.Strings(list)
			ids, ok = slices.Compact(list), true
		}
	}
	return ids, ok
}

// Identifier gives the identifiers, one of which the patient must have whose
// chart a match is in: Patient?identifier=, or patient.identifier= and
// subject:Patient.identifier= on other types.
func (q Query) Identifier() (tokens []Token, ok bool) {
	for i := range q.filters {
		f := &q.filters[i]
		if q.Type != "Patient" {
			if f.param == nil || f.chain == nil || !slices.Contains(owning, f.param.code) || len(f.chain) != 1 {
				continue
			}
			sub, toPatient := f.chain["Patient"]
			if !toPatient {
				continue
			}
			f = &sub
		}
		if found, is := identifiers(f); is && (!ok || len(found) < len(tokens)) {
			tokens, ok = found, true
		}
	}
	return tokens, ok
}

// OwnIdentifier gives the identifiers, one of which the match itself must have.
func (q Query) OwnIdentifier() (tokens []Token, ok bool) {
	for i := range q.filters {
		if found, is := identifiers(&q.filters[i]); is && (!ok || len(found) < len(tokens)) {
			tokens, ok = found, true
		}
	}
	return tokens, ok
}

func identifiers(f *filter) (tokens []Token, ok bool) {
	if f.param == nil || f.param.code != "identifier" || f.param.kind != kindToken || f.chain != nil || f.missing != 0 || f.modifier != "" && f.modifier != "of-type" {
		return nil, false
	}
	for _, v := range f.values {
		if f.modifier == "of-type" { // the type is not known to an index of numbers
			v.token = Token{Code: v.token.Code, AnySystem: true}
		}
		if v.token.AnyCode { // a whole system is no bound
			return nil, false
		}
		tokens = append(tokens, v.token)
	}
	return tokens, true
}

// FamilyAndBirth gives family names, folded by [Fold], one of which a
// patient's family name must begin with, and the time [from, until) in which
// the birth date lies, when q limits both.
func (q Query) FamilyAndBirth() (families []string, from, until time.Time, ok bool) {
	if q.Type != "Patient" {
		return nil, from, until, false
	}
	born := span{always, never}
	for i := range q.filters {
		f := &q.filters[i]
		if f.param == nil || f.chain != nil || f.missing != 0 {
			continue
		}
		switch {
		case f.param.code == "family" && f.modifier != "contains":
			var names []string
			for _, v := range f.values {
				names = append(names, Fold(v.text))
			}
			if families == nil || len(names) < len(families) {
				families = names
			}
		case f.param.code == "birthdate":
			born = born.and(f.bounds(widest))
		}
	}
	if len(families) == 0 || born.from == always || born.until == never {
		return nil, from, until, false
	}
	sort.Strings(families)
	return slices.Compact(families), born.start(), born.end(), true
}

// Time gives the time [from, until) in which what a date parameter looks at can
// be, if that has no span of its own; a zero end is open.
func (q Query) Time(code string) (from, until time.Time) {
	all := span{always, never}
	for i := range q.filters {
		f := &q.filters[i]
		if f.param != nil && f.param.code == code && f.param.kind == kindDate && f.chain == nil && f.missing == 0 {
			all = all.and(f.bounds(1_000_000))
		}
	}
	return all.start(), all.end()
}

// LastUpdated gives the time [from, until) in which a match was last updated;
// a zero end is open.
func (q Query) LastUpdated() (from, until time.Time) {
	if len(q.each) > 0 { // asked of all alike
		return q.each[0].LastUpdated()
	}
	return q.Time("_lastUpdated")
}

// bounds is the least span in which values that a date filter matches can
// begin, if none of them is wider than width microseconds.
func (f *filter) bounds(width int64) span {
	out := span{never, always}
	for _, v := range f.values {
		s := span{always, never}
		switch v.prefix {
		case "eq":
			s = v.span
		case "ge", "gt": // compares the end
			s.from = v.span.from - width
		case "le":
			s.until = v.span.until
		case "lt", "eb":
			s.until = v.span.from
		case "sa":
			s.from = v.span.until
		case "ap":
			s = span{v.span.from - width, v.span.until}
		}
		out = span{min(out.from, s.from), max(out.until, s.until)}
	}
	return out
}

// widest is the widest literal, a leap year.
const widest = 366 * 24 * 60 * 60 * 1_000_000

func (a span) and(b span) span { return span{max(a.from, b.from), min(a.until, b.until)} }

func (a span) start() time.Time {
	if a.from == always {
		return time.Time{}
	}
	return time.UnixMicro(a.from).UTC()
}

func (a span) end() time.Time {
	if a.until == never {
		return time.Time{}
	}
	return time.UnixMicro(a.until).UTC()
}

// Filtered tells whether anything narrows q down at all.
func (q Query) Filtered() bool {
	return len(q.filters) > 0 || len(q.each) > 0 && len(q.each[0].filters) > 0
}

// Included tells whether q asks for resources beside the matches.
func (q Query) Included() bool { return len(q.includes)+len(q.revincludes) > 0 }

// Unfiltered is q for what is known to match already.
func (q Query) Unfiltered() Query {
	q.filters = nil
	return q
}

// Sorted tells whether q asks for an order.
func (q Query) Sorted() bool { return q.values.Has("_sort") }

// Values are the parameters that were understood, for Bundle.link self. The
// caller may change them.
func (q Query) Values() url.Values {
	out := url.Values{}
	for name, list := range q.values {
		out[name] = slices.Clone(list)
	}
	return out
}

// Names are the names of q's parameters with their modifiers, sorted, for the
// audit; no values.
func (q Query) Names() []string { return slices.Sorted(maps.Keys(q.values)) }

// Key is the same for queries that ask for the same, whatever the order of
// their parameters, and differs for others. It holds values: not for logs.
func (q Query) Key() string {
	var b strings.Builder
	b.WriteString(q.within.String() + "/" + q.own + "/" + strings.Join(q.Types(), ","))
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		list := slices.Clone(q.values[name])
		slices.Sort(list)
		for _, v := range list {
			b.WriteString("&" + url.QueryEscape(name) + "=" + url.QueryEscape(v))
		}
	}
	// ap depends on the time it was asked, addresses on the base they were
	// read with: what they came to is part of the question.
	var read []string
	for i := range q.filters {
		read = q.filters[i].key(read)
	}
	for _, one := range q.each {
		for i := range one.filters {
			read = one.filters[i].key(read)
		}
	}
	sort.Strings(read)
	b.WriteString(strings.Join(read, ""))
	return b.String()
}

func (f *filter) key(read []string) []string {
	for _, v := range f.values {
		if v.prefix == "ap" {
			read = append(read, fmt.Sprintf("&%s=ap%d,%d", f.name, v.span.from, v.span.until))
		}
		if v.ref != (reference{}) {
			read = append(read, fmt.Sprintf("&%s=%s", f.name, url.QueryEscape(v.ref.typ+"/"+v.ref.id+" "+v.ref.url)))
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(f.chain)) {
		sub := f.chain[typ]
		read = sub.key(read)
	}
	if f.has != nil {
		read = f.has.then.key(read)
	}
	return read
}
