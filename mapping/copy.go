package mapping

import (
	"fmt"
	"strings"

	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/inbox"
)

// copied maps what a server that is asked had of one resource. Servers number
// their resources from 1, so ids are made anew, per source, from what the server
// calls them; but for ids and references every byte is kept.
//
// A resource of the Patient compartment lies in its one patient's chart, and its
// id tells that chart, as with HL7 v2. What it refers to of the compartment is
// taken to be of the same patient: the id of anything else would lead nowhere.
// One that names no patient, or several, lies in a chart of the source's that is
// nobody's; a Group in one of its own. What is not of the compartment (practitioners, places, drugs) lies in
// the source's directory.
//
// The version counts from the server's own time (meta.lastUpdated), so that
// copies may come in any order. The error is an *Error whose Segment is the
// FHIRPath of the place.
func copied(k *Keys, m inbox.Message) (Result, error) {
	c, err := rest.DecodeCopy(m.Body)
	if err != nil {
		return Result{}, misplaced("Copy", "not a copy of a resource")
	}
	u := upstream{k, m.Source, c.Base}
	if c.Gone() {
		return u.gone(c)
	}
	r, err := fhir.Parse(c.Resource)
	if err != nil || r.Type() != c.Type || r.ID() != c.ID {
		return Result{}, misplaced(c.Type, "not a valid resource")
	}
	for tag := range r.All("meta.tag") {
		if tag.Get("code").Is("SUBSETTED") {
			return Result{}, misplaced(c.Type+".meta.tag", "the server sent a part of the resource only")
		}
	}
	for _, p := range r4def.Check(r) {
		if !p.Slight {
			return Result{}, misplaced(p.Path, p.Text)
		}
	}
	owner, err := rest.Owner(c.Base, r)
	if err != nil {
		return Result{}, misplaced(c.Type, "not a valid resource")
	}
	chart := u.chart(c.Type, c.ID, owner)
	if err := overfull(r); err != nil && c.Type == "Group" {
		return Result{}, misplaced("Group.member", err.Error())
	}
	out := Result{Patient: fhir.Ref{Type: "Patient", ID: chart}, At: c.At}
	for n, f := range c.Files {
		b, err := fhir.Parse(f)
		if err != nil || b.Type() != "Binary" || !fhir.ValidID(b.ID()) {
			return Result{}, misplaced(fmt.Sprintf("%s.files[%d]", c.Type, n), "not a Binary")
		}
		if err := u.add(&out, chart, b); err != nil {
			return Result{}, err
		}
	}
	return out, u.add(&out, chart, r)
}

// upstream is a server that is asked.
type upstream struct {
	k            *Keys
	source, base string
}

// copySystem stands in the place of an assigning authority: a server's own ids.
const copySystem = "urn:ietf:rfc:3986#fhir-id"

func (u upstream) patient(id string) string { return u.k.Patient(u.source, copySystem, id) }
func (u upstream) roster(id string) string  { return u.k.roster(u.source, copySystem, id) }
func (u upstream) directory() string        { return u.k.digest(chartBytes, u.source, "directory") }
func (u upstream) nobody() string           { return u.k.digest(chartBytes, u.source, "nobody") }

// chart is where a resource lies that is about one patient, or with an empty
// owner about none or several.
func (u upstream) chart(typ, id, owner string) string {
	switch {
	case typ == "Group":
		return rosterMark + u.roster(id)
	case owner != "":
		return u.patient(owner)
	case fhir.IsPatientCompartment(typ):
		return u.nobody()
	}
	return u.directory()
}

// id is a resource's own, where it is named in chart. given: it does not tell
// the chart.
func (u upstream) id(chart string, ref fhir.Ref) (id string, given bool) {
	switch {
	case ref.Type == "Patient":
		return u.patient(ref.ID), false
	case ref.Type == "Group":
		return u.k.ID(u.roster(ref.ID), u.source, ref.Type, copySystem, ref.ID), false
	case ref.Type == "Binary", fhir.IsPatientCompartment(ref.Type): // a file lies with what names it
		if chart == u.directory() {
			chart = u.nobody()
		}
		return u.k.ID(chart, u.source, ref.Type, copySystem, ref.ID), false
	}
	return u.k.digest(resourceBytes, u.source, ref.Type, copySystem, ref.ID)[:resourceChars], true
}

// add adds a resource under its new id, with what it refers to under theirs. The
// address by which a resource itself is known is no reference.
func (u upstream) add(out *Result, chart string, r fhir.Resource) error {
	ref, own := r.Ref(), r.Get("url").Text()
	id, given := u.id(chart, ref)
	r, err := r.RewriteReferences(func(s string) string {
		if s == own {
			return s
		}
		head, fragment, _ := strings.Cut(s, "#")
		to, ok := fhir.ParseRef(rest.Local(u.base, head))
		if !ok {
			return s
		}
		now, _ := u.id(chart, to)
		if fragment != "" {
			fragment = "#" + fragment
		}
		return to.Type + "/" + now + fragment
	})
	if err == nil {
		r, err = r.WithID(id)
	}
	if err != nil {
		return misplaced(ref.Type, "not a valid resource")
	}
	out.Resources = append(out.Resources, Resource{Resource: r, At: out.At, Chart: chart, Given: given, Stays: given && chart == u.directory()})
	return nil
}

// gone is the deletion of a resource; of a given id the record knows the chart.
func (u upstream) gone(c rest.Copy) (Result, error) {
	chart := u.chart(c.Type, c.ID, c.Patient)
	id, given := u.id(chart, fhir.Ref{Type: c.Type, ID: c.ID})
	stub, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":%q,"id":%q}`, c.Type, id))
	if err != nil {
		return Result{}, misplaced(c.Type, "not a valid resource")
	}
	r := Resource{Resource: stub, At: c.At, Chart: chart, Deleted: true, Given: given}
	if given {
		r.Chart = ""
	}
	return Result{Patient: fhir.Ref{Type: "Patient", ID: chart}, At: c.At, Resources: []Resource{r}}, nil
}

// copyKey is the chart that orders a copy.
func copyKey(k *Keys, m inbox.Message) (string, error) {
	c, err := rest.DecodeCopy(m.Body)
	if err != nil {
		return "", misplaced("Copy", "not a copy of a resource")
	}
	u := upstream{k, m.Source, c.Base}
	owner := c.Patient
	if !c.Gone() {
		r, err := fhir.Parse(c.Resource)
		if err != nil {
			return "", misplaced(c.Type, "not a valid resource")
		}
		if owner, err = rest.Owner(c.Base, r); err != nil {
			return "", misplaced(c.Type, "not a valid resource")
		}
	}
	return u.chart(c.Type, c.ID, owner), nil
}
