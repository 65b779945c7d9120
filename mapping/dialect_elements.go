package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/fhir/r4def"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// elementRule is a rule that says in FHIR what the standard has no field for: an
// extension of a resource that the message makes, or an Observation of its own.
type elementRule struct {
	line   int
	source fieldPath
	when   []condition

	resource string
	urls     []string   // of the extension and those in it, outermost first
	code     *r4.Coding // of the Observation
	member   string     // "valueString"
	kind     string     // its R4 type
	unit     string     // UCUM, of a Quantity
}

// fieldTypes are the R4 types that a field can be made into.
var fieldTypes = map[string]bool{
	"string": true, "markdown": true, "code": true, "uri": true, "boolean": true, "integer": true, "decimal": true,
	"date": true, "dateTime": true, "instant": true, "CodeableConcept": true, "Coding": true, "Identifier": true, "Quantity": true,
}

// target reads what stands behind the arrow:
// "Encounter.extension(URL).valueCode", "Observation(SYSTEM|CODE|NAME).valueQuantity(wk)".
func (e *elementRule) target(s string) error {
	form := errors.New("an element is TYPE.extension(URL).valueTYPE or Observation(SYSTEM|CODE|NAME).valueTYPE")
	steps := stepsOf(s)
	if len(steps) < 2 {
		return form
	}
	e.resource = steps[0].name
	def := r4def.Lookup(e.resource)
	if def == nil || !def.Resource {
		return fmt.Errorf("R4 has no resource %s", e.resource)
	}
	last := steps[len(steps)-1]
	in := def
	switch {
	case e.resource == "Observation" && steps[0].inside != "" && len(steps) == 2:
		if err := e.observed(steps[0].inside); err != nil {
			return err
		}
	case steps[0].inside != "" || len(steps) < 3:
		return form
	default:
		if _, ok := def.Member("extension"); !ok {
			return fmt.Errorf("a %s has no extensions", e.resource)
		}
		in = r4def.Lookup("Extension")
		for i, x := range steps[1 : len(steps)-1] {
			switch {
			case x.name != "extension" || x.inside == "":
				return form
			case i == 0 && !isURI(x.inside):
				return fmt.Errorf("the extension %s is no URI", x.inside)
			case strings.ContainsAny(x.inside, " \t\"<>"):
				return fmt.Errorf("the extension %s has blanks or marks in its name", x.inside)
			}
			e.urls = append(e.urls, x.inside)
		}
		if len(e.urls) > 2 {
			return errors.New("extensions in extensions in extensions are not made")
		}
	}
	member, ok := in.Member(last.name)
	if !ok || !strings.HasPrefix(last.name, "value") {
		return fmt.Errorf("R4 has no %s here", last.name)
	}
	if !fieldTypes[member.Type] {
		return fmt.Errorf("a field cannot be made a %s", member.Type)
	}
	e.member, e.kind, e.unit = last.name, member.Type, last.inside
	if e.unit != "" && e.kind != "Quantity" {
		return errors.New("only a Quantity has a unit")
	}
	return nil
}

// observed reads the code of an Observation of its own.
func (e *elementRule) observed(s string) error {
	cells := strings.SplitN(s, "|", 3)
	if len(cells) < 2 || !isURI(strings.TrimSpace(cells[0])) || !isCode(strings.TrimSpace(cells[1])) {
		return errors.New("an Observation has a code: Observation(SYSTEM|CODE|NAME), the system as a URI")
	}
	e.code = &r4.Coding{System: p(strings.TrimSpace(cells[0])), Code: p(strings.TrimSpace(cells[1]))}
	if len(cells) == 3 {
		e.code.Display = p(clean(cells[2]))
	}
	return nil
}

type step struct{ name, inside string }

// stepsOf cuts at dots outside parentheses.
func stepsOf(s string) (all []step) {
	for s != "" {
		end := strings.IndexAny(s, ".(")
		if end < 0 {
			return append(all, step{name: s})
		}
		x := step{name: s[:end]}
		if s[end] == '(' {
			depth, closed := 0, -1
			for i := end; i < len(s) && closed < 0; i++ {
				switch s[i] {
				case '(':
					depth++
				case ')':
					if depth--; depth == 0 {
						closed = i
					}
				}
			}
			if closed < 0 {
				return nil
			}
			x.inside, end = strings.TrimSpace(s[end+1:closed]), closed+1
			if end < len(s) && s[end] != '.' {
				return nil
			}
		}
		all = append(all, x)
		if end == len(s) {
			return all
		}
		if s = s[end+1:]; s == "" {
			return nil
		}
	}
	return all
}

// isURI tells whether s is an absolute URI.
func isURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "") && !strings.ContainsAny(s, " \t\"<>|")
}

// elements says in FHIR what the dialect has for it.
func (b *build) elements() {
	d := b.feed.Dialect
	if d == nil || len(d.elements) == 0 || b.fault != nil {
		return
	}
	w := rewriting{all: b.msg.Segments()}
	extended := map[int][]extension{}
	var order []int
	for i := range d.elements {
		e := &d.elements[i]
		for _, at := range w.named(e.source.Segment) {
			s := w.all[at]
			if e.source.nth && s.Occurrence() != e.source.Occurrence {
				continue
			}
			if e.code != nil {
				if w.hold(e.when, s, e.source.Field, 0) && b.observation(e, s) {
					break
				}
				continue
			}
			for rep := range min(s.Field(e.source.Field).Len(), maxRepetitions) {
				if e.source.rep && rep != e.source.Repetition-1 || !w.hold(e.when, s, e.source.Field, rep) {
					continue
				}
				v := b.element(e, s, rep)
				if v == nil {
					continue
				}
				at, ok := b.made(e.resource)
				if !ok {
					b.note(s, e.source.Field, "the message makes no "+e.resource+", or more than one, for the dialect's line")
					continue
				}
				if extended[at] == nil {
					order = append(order, at)
				}
				extended[at] = add(extended[at], e, v)
			}
		}
	}
	for _, at := range order {
		res, err := extend(b.out.Resources[at].Resource, extended[at])
		if err != nil {
			b.fault = err
			return
		}
		b.out.Resources[at].Resource = res
	}
}

// made is the resource of a type that a message is about: its patient, its
// visit, or the only one there is.
func (b *build) made(typ string) (at int, ok bool) {
	if typ == "Patient" {
		at, ok = b.find(b.out.Patient)
		return at, ok
	}
	for i, r := range b.out.Resources {
		if r.Type() != typ {
			continue
		}
		if ok && typ != "Encounter" {
			return 0, false
		}
		if !ok {
			at, ok = i, true
		}
	}
	return at, ok
}

// extension is one that a dialect asks for, whole or made of parts.
type extension struct {
	url   string
	value fhir.Object // its value[x], or its extensions
	parts []any
}

// add puts values of parts of one extension together, unless it has that part.
func add(all []extension, e *elementRule, value any) []extension {
	member := fhir.Object{{Name: e.member, Value: value}}
	if len(e.urls) == 1 {
		return append(all, extension{url: e.urls[0], value: member})
	}
	part := append(fhir.Object{{Name: "url", Value: e.urls[1]}}, member...)
	if last := len(all) - 1; last >= 0 && all[last].url == e.urls[0] && all[last].parts != nil {
		for _, x := range all[last].parts {
			if x.(fhir.Object)[0].Value == e.urls[1] {
				return append(all, extension{url: e.urls[0], parts: []any{part}})
			}
		}
		all[last].parts = append(all[last].parts, part)
		return all
	}
	return append(all, extension{url: e.urls[0], parts: []any{part}})
}

// extend gives a resource more extensions.
func extend(res fhir.Resource, more []extension) (fhir.Resource, error) {
	var all []json.RawMessage
	var out fhir.Object
	for name, v := range res.Root().Members() {
		if name != "extension" {
			out = append(out, fhir.Member{Name: name, Value: json.RawMessage(v.Raw())})
			continue
		}
		for x := range v.Items() {
			all = append(all, json.RawMessage(x.Raw()))
		}
	}
	values := make([]any, 0, len(all)+len(more))
	for _, x := range all {
		values = append(values, x)
	}
	for _, x := range more {
		o := append(fhir.Object{{Name: "url", Value: x.url}}, x.value...)
		if x.parts != nil {
			o = fhir.Object{{Name: "extension", Value: x.parts}, {Name: "url", Value: x.url}}
		}
		values = append(values, o)
	}
	return fhir.New(append(out, fhir.Member{Name: "extension", Value: values}))
}

// observation adds an Observation of its own, of the patient and the visit. It is
// called by its code and the visit, so that a later message says it anew.
func (b *build) observation(e *elementRule, s hl7.Segment) bool {
	rep := 0
	if e.source.rep {
		rep = e.source.Repetition - 1
	}
	v := b.element(e, s, rep)
	if v == nil {
		return false
	}
	visit := b.encounter()
	key := []string{"dialect", *e.code.System, *e.code.Code}
	if visit != nil && visit.Reference != nil {
		key = append(key, *visit.Reference)
	}
	id := b.id("Observation", key...)
	when := b.instant(b.at)
	repeat := b.repeat
	b.repeat = false
	b.add(r4.Observation{
		Id: &id, Code: *one(*e.code), Subject: ptr(b.subject()), Encounter: visit, EffectiveDateTime: &when,
	}, fhir.Set{Path: "status", Value: "final"}, fhir.Set{Path: e.member, Value: v})
	b.repeat = repeat
	return true
}

// element is a field as an element's value; nil when it was not sent, and with a
// note when it is not of the type.
func (b *build) element(e *elementRule, s hl7.Segment, rep int) any {
	sent := partOf(s, e.source, rep)
	if !sent.Present() {
		return nil
	}
	text := clean(sent.String())
	unfit := func() any {
		b.note(s, e.source.Field, "not a "+e.kind)
		return nil
	}
	switch e.kind {
	case "string", "markdown":
		return clean(sent.(interface{ Text() string }).Text())
	case "code":
		if isCode(text) {
			return text
		}
	case "uri":
		if isURI(text) {
			return text
		}
	case "boolean":
		switch strings.ToUpper(text) {
		case "Y", "1", "TRUE":
			return true
		case "N", "0", "FALSE":
			return false
		}
	case "integer":
		if n, _, ok := number32(text); ok {
			return n
		}
	case "decimal":
		if n, _, ok := number(text); ok {
			return n
		}
	case "date", "dateTime", "instant":
		m, ok := b.feed.moment(text)
		switch {
		case !ok:
		case e.kind == "date":
			return m.date()
		case e.kind == "dateTime":
			return m.text
		case m.sent.Instant(b.feed.zone()) != "":
			return m.sent.Instant(b.feed.zone())
		}
	case "Quantity":
		if q := b.quantity(text, data{}); q != nil {
			if e.unit != "" {
				q.Unit, q.Code, q.System = p(e.unit), p(e.unit), p(ucum)
			}
			return *q
		}
	case "CodeableConcept":
		if c := b.concept(dataOf(s, e.source, rep), ""); c != nil {
			return *c
		}
	case "Coding":
		if c := b.coding(dataOf(s, e.source, rep), ""); c != nil {
			return *c
		}
	case "Identifier":
		if id := b.identifier(dataOf(s, e.source, rep)); id != nil {
			return *id
		}
	}
	return unfit()
}

// dataOf is what a path names as a composite.
func dataOf(s hl7.Segment, p fieldPath, rep int) data {
	d := of(s.Field(p.Field).Rep(rep))
	if p.Component > 0 {
		d = d.in(p.Component)
	}
	if p.Subcomponent > 0 {
		d = d.in(p.Subcomponent)
	}
	return d
}
