package mapping

import (
	"fmt"
	"slices"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"
)

// Field is a field that a message fills, and what comes of it.
type Field struct {
	Place    string   // "OBX[2]-5[3]": the segment's and the repetition's number where they are not the first
	Elements []string // "Observation.valueQuantity.value", sorted; none: nobody reads the field
	Needed   string   // why the message would be held without it, "" when it would not
}

// Explain traces what a message becomes to its fields: for each, the elements that
// are not as they are when it is taken out. It maps the message once for each field
// it fills, which suits an analyst and not the way in.
//
// An element of an id means that the resource is called by the field. The error is
// Map's.
func Explain(k *Keys, m inbox.Message) ([]Field, error) {
	whole, err := Map(k, m)
	if err != nil {
		return nil, err
	}
	msg, err := parse(m)
	if err != nil {
		return nil, err
	}
	said := facts(whole)
	var all []Field
	for _, seg := range msg.Segments() {
		for n := 1; n <= seg.Fields(); n++ {
			if seg.Name() == "MSH" && n <= 2 {
				continue
			}
			i := 0
			for rep := range seg.Field(n).Reps() {
				i++
				if !rep.Present() {
					continue
				}
				f := Field{Place: placeOf(seg, n, i)}
				less, err := msg.WithRaw(fmt.Sprintf("%s[%d]-%d[%d]", seg.Name(), seg.Occurrence(), n, i), "")
				if err != nil {
					return nil, fault(err)
				}
				without := m
				without.Body = less.Bytes()
				if r, err := Map(k, without); err != nil {
					f.Needed = err.Error()
				} else {
					f.Elements = differ(said, facts(r))
				}
				all = append(all, f)
			}
		}
	}
	return all, nil
}

func placeOf(seg hl7.Segment, field, rep int) string {
	s := seg.Name()
	if seg.Occurrence() > 1 {
		s += fmt.Sprintf("[%d]", seg.Occurrence())
	}
	s += fmt.Sprintf("-%d", field)
	if rep > 1 {
		s += fmt.Sprintf("[%d]", rep)
	}
	return s
}

type fact struct{ element, value string }

// facts counts what a result says, references left out: they follow the ids.
func facts(r Result) map[fact]int {
	all := map[fact]int{}
	for _, res := range r.Resources {
		all[fact{res.Type() + ".id", res.ID()}]++
		walk(res.Root(), res.Type(), func(element, value string) { all[fact{element, value}]++ })
	}
	return all
}

func walk(n fhir.Node, path string, yield func(element, value string)) {
	switch n.Kind() {
	case '{':
		for name, v := range n.Members() {
			if name == "reference" || name == "resourceType" || name == "id" {
				continue
			}
			walk(v, path+"."+strings.TrimPrefix(name, "_"), yield)
		}
	case '[':
		for v := range n.Items() {
			walk(v, path, yield)
		}
	default:
		yield(path, string(n.Raw()))
	}
}

// differ names the elements that two results say otherwise.
func differ(a, b map[fact]int) []string {
	var all []string
	add := func(x, y map[fact]int) {
		for f, n := range x {
			if y[f] != n && !slices.Contains(all, f.element) {
				all = append(all, f.element)
			}
		}
	}
	add(a, b)
	add(b, a)
	slices.Sort(all)
	return all
}
