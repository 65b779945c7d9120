// Package out makes of a resource that was addressed to another system what
// that system is sent. It is pure, and knows the resource and nothing else of
// the record: so nothing leaves but what somebody addressed.
package out

import (
	"bytes"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
)

// NumberSystem is of the identifier by which a request is known to both sides.
const NumberSystem = "urn:firebreak:request"

// Who is a patient as the receiver knows the person.
type Who struct {
	System, Value string // of an identifier
	Display       string // may be empty
	local         string // reference that stands for the person here; may be empty
}

var (
	errNobody  = errors.New("no reference to the patient has an identifier that the receiver knows")
	errSeveral = errors.New("more than one patient is named")
)

// Patient is the one patient whom a resource names with an identifier: its own
// first one, if it is a Patient, else that of its references to one. The error
// holds no value.
func Patient(r fhir.Resource) (w Who, err error) {
	if r.Type() == "Patient" {
		for id := range r.All("identifier") {
			if w.Value = id.Get("value").Text(); w.Value != "" {
				w.System = id.Get("system").Text()
				return w, nil
			}
		}
		return w, errNobody
	}
	bare := map[string]bool{}
	r.Root().Each(func(_ string, n fhir.Node) bool {
		if !isPatient(n) {
			return true
		}
		local := n.Get("reference").Text()
		x := Who{n.At("identifier.system").Text(), n.At("identifier.value").Text(), n.Get("display").Text(), local}
		switch {
		case x.Value == "":
			bare[local] = true
		case w.Value == "":
			w = x
		case w.System != x.System || w.Value != x.Value:
			err = errSeveral
		default:
			w.Display, w.local = max(w.Display, x.Display), max(w.local, x.local)
		}
		return true
	})
	for local := range bare {
		if local != w.local {
			err = errSeveral
		}
	}
	if w.Value == "" {
		err = errNobody
	}
	return w, err
}

// isPatient tells whether n is a Reference to a Patient.
func isPatient(n fhir.Node) bool {
	if n.Kind() != '{' {
		return false
	}
	ref, ok := fhir.ParseRef(n.Get("reference").Text())
	return ok && ref.Type == "Patient" || n.Get("type").Is("Patient") && (!n.Get("identifier").IsZero() || !n.Get("reference").IsZero())
}

// FHIR is the resource as a FHIR server is sent it: with number as an identifier
// and, where id is not empty, as id; without what meta says but for profiles and
// security labels. References to the patient become patient, if that is not
// empty; every other reference to what lies here keeps its identifier and its
// display only.
func FHIR(r fhir.Resource, number, id, patient string) []byte {
	b := []byte(`{"resourceType":"` + r.Type() + `"`)
	member := func(name string, value []byte) {
		if len(value) > 0 {
			b = append(append(append(append(b, ','), quote(name)...), ':'), value...)
		}
	}
	if id != "" {
		member("id", quote(id))
	}
	var meta []byte
	for _, name := range []string{"profile", "security"} {
		if v := r.Get("meta").Get(name); !v.IsZero() {
			meta = append(append(append(append(meta, ','), quote(name)...), ':'), v.Raw()...)
		}
	}
	if len(meta) > 0 {
		meta[0] = '{'
		member("meta", append(meta, '}'))
	}
	ours := []byte(`{"system":"` + NumberSystem + `","value":"` + number + `"}`)
	all := [][]byte{ours}
	for one := range r.All("identifier") {
		if !one.Get("system").Is(NumberSystem) {
			all = append(all, one.Raw())
		}
	}
	member("identifier", slices.Concat([]byte("["), bytes.Join(all, []byte(",")), []byte("]")))
	for name, v := range r.Root().Members() {
		if !slices.Contains([]string{"resourceType", "id", "meta", "identifier"}, name) {
			member(name, abroad(v, patient))
		}
	}
	return append(b, '}')
}

// abroad is a value without references to what lies here; nil when nothing is left.
func abroad(n fhir.Node, patient string) []byte {
	var b []byte
	switch n.Kind() {
	case '[':
		for v := range n.Slots() {
			if x := abroad(v, patient); x != nil {
				b = append(append(b, ','), x...)
			}
		}
		if b == nil {
			return nil
		}
		b[0] = '['
		return append(b, ']')
	case '{':
		add := func(name string, value []byte) {
			if value != nil {
				b = append(append(append(append(b, ','), quote(name)...), ':'), value...)
			}
		}
		theirs := isPatient(n) && patient != ""
		if theirs {
			add("reference", quote(patient))
		}
		for name, v := range n.Members() {
			if name == "reference" && v.Kind() == '"' {
				if _, local := fhir.ParseRef(v.Text()); local || theirs {
					continue
				}
			}
			add(name, abroad(v, patient))
		}
		if b == nil {
			return nil
		}
		b[0] = '{'
		return append(b, '}')
	}
	return n.Raw()
}

func quote(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s)
	return b
}
