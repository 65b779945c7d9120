package mapping

import (
	"cmp"
	"fmt"
	"maps"
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
	whole, msg, err := traceable(k, m)
	if err != nil {
		return nil, err
	}
	said := facts(whole)
	var all []Field
	err = without(k, m, msg, func(f Field, less Result) bool {
		if f.Needed == "" {
			f.Elements = differ(said, facts(less))
		}
		all = append(all, f)
		return true
	})
	return all, err
}

func traceable(k *Keys, m inbox.Message) (whole Result, msg *hl7.Message, err error) {
	if whole, err = Map(k, m); err == nil {
		msg, err = parse(m)
	}
	return whole, msg, err
}

// without calls each for the fields that a message fills, as long as it is true,
// with what the message becomes when the field is taken out, unless it is needed.
func without(k *Keys, m inbox.Message, msg *hl7.Message, each func(Field, Result) bool) error {
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
					return fault(err)
				}
				taken := m
				taken.Body = less.Bytes()
				result, err := Map(k, taken)
				if err != nil {
					f.Needed = err.Error()
				}
				if !each(f, result) {
					return nil
				}
			}
		}
	}
	return nil
}

// numbered are the segments whose first field counts them: type SI.
const numbered = "PID PV1 NK1 AL1 IAM DG1 PR1 IN1 GT1 OBR OBX NTE SPM TXA FT1 TQ1 RGS AIS AIG AIL AIP PRB GOL PTH"

// Unread are the fields, "PV1-44", that the message fills and nobody reads, without
// the numbers of segments and repetitions; a field that one segment of the name
// has in vain and another not is not among them, nor is what is about the message
// itself: MSH, and the numbers that segments have in it.
func Unread(all []Field) (fields []string) {
	read := map[string]bool{}
	plain := func(place string) string {
		segment, field, _ := strings.Cut(place, "-")
		segment, _, _ = strings.Cut(segment, "[")
		field, _, _ = strings.Cut(field, "[")
		return segment + "-" + field
	}
	for _, f := range all {
		name := plain(f.Place)
		read[name] = read[name] || len(f.Elements) > 0 || f.Needed != ""
	}
	for _, f := range all {
		segment, field, _ := strings.Cut(plain(f.Place), "-")
		if segment == "MSH" || field == "1" && strings.Contains(numbered, segment) {
			continue
		}
		if name := plain(f.Place); !read[name] && !slices.Contains(fields, name) {
			fields = append(fields, name)
		}
	}
	return fields
}

// Change is an element that two mappings of one message say otherwise.
type Change struct {
	Resource fhir.Ref
	Element  string   // "Encounter.period.start"
	Was, Is  []string // its values that only the one or the other has, as JSON
}

// Compare tells what is says otherwise than was, resource by resource. References
// are left out, for they follow the ids; so is which dialect it was.
func Compare(was, is Result) (all []Change) {
	before, after := factsByResource(was), factsByResource(is)
	compare := func(r Resource) {
		ref := r.Ref()
		a, b := before[ref], after[ref]
		seen := map[string]int{}
		add := func(x, y map[fact]int, into func(*Change, string)) {
			for _, f := range sortedFacts(x) {
				for range x[f] - y[f] {
					at, ok := seen[f.element]
					if !ok {
						at = len(all)
						seen[f.element], all = at, append(all, Change{Resource: ref, Element: f.element})
					}
					into(&all[at], f.value)
				}
			}
		}
		add(a, b, func(c *Change, v string) { c.Was = append(c.Was, v) })
		add(b, a, func(c *Change, v string) { c.Is = append(c.Is, v) })
		delete(before, ref)
		delete(after, ref)
	}
	for _, r := range is.Resources {
		compare(r)
	}
	for _, r := range was.Resources {
		if before[r.Ref()] != nil {
			compare(r)
		}
	}
	return all
}

func factsByResource(r Result) map[fhir.Ref]map[fact]int {
	all := make(map[fhir.Ref]map[fact]int, len(r.Resources))
	for _, res := range r.Resources {
		facts := map[fact]int{}
		walk(res.Root(), res.Type(), func(element, value string) {
			if element != "Provenance.policy" {
				facts[fact{element, value}]++
			}
		})
		all[res.Ref()] = facts
	}
	return all
}

func sortedFacts(m map[fact]int) []fact {
	return slices.SortedFunc(maps.Keys(m), func(a, b fact) int {
		return cmp.Or(strings.Compare(a.element, b.element), strings.Compare(a.value, b.value))
	})
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
	walkNodes(n, path, func(element string, n fhir.Node) { yield(element, string(n.Raw())) })
}

func walkNodes(n fhir.Node, path string, yield func(element string, n fhir.Node)) {
	switch n.Kind() {
	case '{':
		for name, v := range n.Members() {
			if name == "reference" || name == "resourceType" || name == "id" {
				continue
			}
			walkNodes(v, path+"."+strings.TrimPrefix(name, "_"), yield)
		}
	case '[':
		for v := range n.Items() {
			walkNodes(v, path, yield)
		}
	default:
		yield(path, n)
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
