package search

import (
	"slices"
	"strings"

	"firebreak/fhir"
)

// RecordOf asks for all of one patient's record: for what was done between two
// dates of care, either of which may be empty, and what has no such date.
func RecordOf(patient fhir.Ref, start, end string) Option {
	return func(o *options) { o.record, o.start, o.end = patient, start, end }
}

// Latest keeps of what is found the newest of each kind, most of them: as their
// parameter date has it, what has none last. Two are of one kind when the token
// parameter by has a code, or without codes a text, in common for them. It does
// nothing when most is 0.
func Latest(by string, most int) Option {
	return func(o *options) { o.by, o.most = by, most }
}

// careDates are the parameters that tell when something was done for the patient,
// the first that a type has being its own.
var careDates = strings.Fields("date effective effective-time occurrence service-period onset-date period authored authoredon authored-on collected started created sent issued recorded-date")

// careDate is the parameter of a type's date of care; "" when it has none.
func careDate(typ string) string {
	i := slices.IndexFunc(careDates, func(code string) bool {
		p := params().params[typ][code]
		return p != nil && p.kind == kindDate
	})
	if i < 0 || typ == "Patient" {
		return ""
	}
	return careDates[i]
}

// inTime are the filters of RecordOf for one type.
func (r *reader) inTime(typ string) (all []filter, err error) {
	for _, limit := range []struct{ name, prefix, at string }{{"start", "ge", r.options.start}, {"end", "le", r.options.end}} {
		if limit.at == "" {
			continue
		}
		if _, ok := parseDate(limit.at); !ok {
			return nil, refuse("value", limit.name, "It is not a date.")
		}
		if code := careDate(typ); code != "" {
			f, err := r.filter(typ, code, limit.prefix+limit.at, 0)
			if err != nil {
				return nil, err
			}
			all = append(all, filter{name: limit.name, either: []filter{f, {name: code, param: f.param, missing: 1}}})
		}
	}
	return all, nil
}

// latest is what [Latest] asks for.
type latest struct {
	by, date *param
	most     int
}

// keep leaves the newest rows of each kind, in the order of their dates, newest first.
func (l *latest) keep(t *table, rows []int32) (kept []int32) {
	rows = slices.Clone(rows)
	ranks := t.column(l.date, useFalling).ranks
	slices.SortStableFunc(rows, func(a, b int32) int { return int(ranks[a] - ranks[b]) })
	kinds, counts := map[string]int{}, []int{}
	for _, row := range rows {
		kind := -1
		names := l.names(t.nodes[row])
		for _, name := range names {
			if k, known := kinds[name]; known && kind < 0 {
				kind = k
			}
		}
		if kind < 0 {
			kind = len(counts)
			counts = append(counts, 0)
		}
		for _, name := range names {
			if _, known := kinds[name]; !known {
				kinds[name] = kind
			}
		}
		if counts[kind]++; counts[kind] <= l.most {
			kept = append(kept, row)
		}
	}
	return kept
}

// names are what a resource may be known to be of one kind with others by.
func (l *latest) names(n fhir.Node) (all []string) {
	for i := range l.by.paths {
		l.by.paths[i].each(n, func(v fhir.Node, of *leaf) {
			eachToken(v, of, func(system, code string) {
				if code != "" {
					all = append(all, system+"|"+strings.ToLower(code))
				}
			})
		})
	}
	for i := range l.by.paths {
		if len(all) == 0 {
			l.by.paths[i].each(n, func(v fhir.Node, of *leaf) { eachText(v, of, func(s string) { all = append(all, s) }) })
		}
	}
	return all
}
