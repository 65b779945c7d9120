package mapping

import (
	"slices"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"
)

// Traced is a resource that a message becomes, each of its values with where it
// stands in the message.
type Traced struct {
	Ref    fhir.Ref
	Called []string // the fields whose change would make it another resource, or none
	Values []Value  // in the order of the resource; references and the id are left out
}

// Value is one value of an element.
type Value struct {
	Element string // "Observation.valueQuantity.value"
	Text    string
	From    []string // the fields without which it is not said; none: it is the mapping's own, or two fields say it
	raw     string   // as JSON
}

// Trace is what a message becomes, value by value.
type Trace struct {
	Dialect   string // of the message's feed, as Dialect.ID gives it; empty: the standard's
	Resources []Traced
	Fields    []Field // as Explain gives them; of HL7 v2 only
	Part      bool    // the message is too long for all its fields to be tried, and Fields are the first
}

// TraceOf is Explain turned over, for a page: from each value to the fields that it
// comes from. At most work bytes of messages are mapped for it, for a message is
// mapped once for each of its fields. The error is Map's.
func TraceOf(k *Keys, m inbox.Message, work int) (Trace, error) {
	whole, err := Map(k, m)
	if err != nil {
		return Trace{}, err
	}
	t := Trace{Dialect: k.feed(m.Source).Dialect.ID()}
	for _, r := range whole.Resources {
		x := Traced{Ref: r.Ref()}
		walkNodes(r.Root(), r.Type(), func(element string, n fhir.Node) {
			x.Values = append(x.Values, Value{Element: element, Text: n.Text(), raw: string(n.Raw())})
		})
		t.Resources = append(t.Resources, x)
	}
	if m.Kind != inbox.HL7v2 {
		return t, nil
	}
	msg, err := parse(m)
	if err != nil {
		return Trace{}, err
	}
	said := facts(whole)
	err = without(k, m, msg, func(f Field, less Result) bool {
		if t.Part = work <= 0; t.Part {
			return false
		}
		work -= len(m.Body)
		if f.Needed != "" {
			less = instead(k, m, msg, f.Place)
		}
		if less.Resources != nil {
			f.Elements = differ(said, facts(less))
		}
		if !t.note(f.Place, whole, less) {
			t.note(f.Place, whole, instead(k, m, msg, f.Place))
		}
		t.Fields = append(t.Fields, f)
		return true
	})
	return t, err
}

// instead is what a message becomes when a field that it, or one of its resources,
// cannot be without says something else; nothing when it is held then too.
func instead(k *Keys, m inbox.Message, msg *hl7.Message, place string) Result {
	other, err := msg.WithRaw(place, "1")
	if err != nil {
		return Result{}
	}
	m.Body = other.Bytes()
	r, err := Map(k, m)
	if err != nil {
		return Result{}
	}
	return r
}

// note adds a field to what is otherwise in less. Resources are held against those
// of the same id; the others in their order, unless some are missing: of those
// nothing is told, and it is false.
func (t *Trace) note(place string, whole, less Result) bool {
	if less.Resources == nil {
		return true // held
	}
	is := map[fhir.Ref]Resource{}
	for _, r := range less.Resources {
		is[r.Ref()] = r
	}
	var lost, found []Resource
	was := map[fhir.Ref]bool{}
	for i, r := range whole.Resources {
		was[r.Ref()] = true
		if other, same := is[r.Ref()]; same {
			t.Resources[i].note(place, other)
		} else {
			lost = append(lost, r)
			t.Resources[i].Called = with(t.Resources[i].Called, place)
		}
	}
	for _, r := range less.Resources {
		if !was[r.Ref()] {
			found = append(found, r)
		}
	}
	if len(lost) != len(found) {
		return false
	}
	for n, r := range lost {
		for i := range t.Resources {
			if t.Resources[i].Ref == r.Ref() && r.Type() == found[n].Type() {
				t.Resources[i].note(place, found[n])
			}
		}
	}
	return true
}

func with(all []string, place string) []string {
	if slices.Contains(all, place) {
		return all
	}
	return append(all, place)
}

// note adds a field to the values that a resource does not have without it.
func (x *Traced) note(place string, less Resource) {
	left := map[fact]int{}
	walk(less.Root(), less.Type(), func(element, value string) { left[fact{element, value}]++ })
	for i, v := range x.Values {
		if f := (fact{v.Element, v.raw}); left[f] > 0 {
			left[f]--
		} else {
			x.Values[i].From = with(x.Values[i].From, place)
		}
	}
}
