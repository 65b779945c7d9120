package mapping

import (
	"fmt"
	"net/http"
	"strings"

	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/inbox"
)

// push maps a FHIR interaction. Its resources keep their bytes and, but for
// what is created, their ids; they belong to the chart of the patient they name.
// What names none goes with the one patient of its Bundle, or else into the
// source's directory, which is a chart without a Patient.
//
// Inside a transaction, references to an entry's fullUrl become references to
// that entry (R4 http.html#trules); nothing else of a resource changes. The
// error is an *Error whose Segment is the FHIRPath of the place.
func push(k *Keys, m inbox.Message) (Result, error) {
	i, err := rest.Decode(m.Body)
	if err != nil {
		return Result{}, misplaced("Interaction", "not a FHIR interaction")
	}
	p := pushed{Result{At: m.Received}}
	if i.Method == http.MethodPost && i.Path == "" {
		err = p.transaction(i)
	} else {
		err = p.single(i)
	}
	if err != nil {
		return Result{}, err
	}
	p.settle(k.directory(m.Source))
	return p.out, nil
}

// directory is the chart of what a source pushes that belongs to no patient.
func (k *Keys) directory(source string) string { return k.digest(chartBytes, source, "directory") }

func misplaced(path, reason string) *Error { return &Error{Segment: path, Reason: reason} }

type pushed struct{ out Result }

func (p *pushed) single(i rest.Interaction) error {
	typ, id, _ := strings.Cut(i.Path, "/")
	if i.Method == http.MethodPost {
		if len(i.Assigned) != 1 {
			return misplaced("Interaction.assigned", "there is no id for what is created")
		}
		id = i.Assigned[0]
	}
	return p.take(i.Method, fhir.Ref{Type: typ, ID: id}, i.Resource, typ, nil)
}

// take adds one created, updated or deleted resource.
func (p *pushed) take(method string, ref fhir.Ref, body []byte, at string, resolve func(string) string) error {
	if !fhir.IsType(ref.Type) || !fhir.ValidID(ref.ID) {
		return misplaced(at, "the address is not Type/id")
	}
	if method == http.MethodDelete {
		stub, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":%q,"id":%q}`, ref.Type, ref.ID))
		if err != nil {
			return misplaced(at, "the address is not Type/id")
		}
		p.out.Resources = append(p.out.Resources, Resource{Resource: stub, At: p.out.At, Deleted: true, Given: true})
		return nil
	}
	res, err := fhir.Parse(body)
	if err == nil && res.ID() != ref.ID {
		res, err = res.WithID(ref.ID)
	}
	if err == nil && resolve != nil {
		res, err = res.RewriteReferences(resolve)
	}
	if err != nil {
		return misplaced(at, "not a valid resource")
	}
	if res.Type() != ref.Type {
		return misplaced(at+".resourceType", "not the type of the address")
	}
	p.out.Resources = append(p.out.Resources, Resource{Resource: res, At: p.out.At, Given: true})
	return nil
}

// transaction takes a Bundle's entries. All references among them are resolved
// before any is taken; the order of entries means nothing (R4 http.html#trules).
func (p *pushed) transaction(i rest.Interaction) error {
	b, err := fhir.Parse(i.Resource)
	if err != nil || b.Type() != "Bundle" {
		return misplaced("Bundle", "not a Bundle")
	}
	type entry struct {
		method string
		ref    fhir.Ref
		body   []byte
		at     string
	}
	var entries []entry
	became := map[string]string{}
	for e := range b.All("entry") {
		n := len(entries)
		x := entry{method: e.At("request.method").Text(), body: e.Get("resource").Raw(), at: fmt.Sprintf("Bundle.entry[%d]", n)}
		x.ref.Type, x.ref.ID, _ = strings.Cut(e.At("request.url").Text(), "/")
		if x.method == http.MethodPost {
			if n >= len(i.Assigned) || i.Assigned[n] == "" {
				return misplaced(x.at, "there is no id for what is created")
			}
			x.ref.ID = i.Assigned[n]
		}
		if full := e.Get("fullUrl").Text(); full != "" {
			became[full] = x.ref.String()
			if old := e.At("resource.id").Text(); old != "" && x.method == http.MethodPost {
				became[x.ref.Type+"/"+old] = x.ref.String()
			}
		}
		entries = append(entries, x)
	}
	for _, x := range entries {
		var conditional bool
		resolve := func(s string) string {
			if now, ok := became[s]; ok {
				return now
			}
			if full, fragment, ok := strings.Cut(s, "#"); ok && full != "" && became[full] != "" {
				return became[full] + "#" + fragment
			}
			conditional = conditional || strings.Contains(s, "?") && !strings.Contains(s, "://") || strings.HasPrefix(s, "urn:uuid:")
			return s
		}
		if err := p.take(x.method, x.ref, x.body, x.at, resolve); err != nil {
			return err
		}
		if conditional {
			return misplaced(x.at+".resource", "a reference names nothing in this Bundle; conditional references are not supported")
		}
	}
	return nil
}

// settle gives each resource its chart. A deletion keeps none: the record
// knows where the resource lies.
func (p *pushed) settle(directory string) {
	var patients []string
	for n := range p.out.Resources {
		r := &p.out.Resources[n]
		if r.Deleted {
			continue
		}
		if r.Type() == "Patient" {
			r.Chart = r.ID()
		} else if patient, ok := fhir.PatientOf(r.Resource); ok {
			r.Chart = patient.ID
		}
		if r.Chart != "" && (len(patients) == 0 || patients[0] != r.Chart) {
			patients = append(patients, r.Chart)
		}
	}
	home := directory
	if len(patients) == 1 {
		home = patients[0]
		p.out.Patient = fhir.Ref{Type: "Patient", ID: home}
	}
	for n := range p.out.Resources {
		if r := &p.out.Resources[n]; r.Chart == "" && !r.Deleted {
			r.Chart = home
		}
	}
	if p.out.Patient.IsZero() {
		p.out.Patient = fhir.Ref{Type: "Patient", ID: directory}
	}
}

// pushKey is the chart that orders a pushed interaction: the first patient it names.
func pushKey(k *Keys, m inbox.Message) (string, error) {
	r, err := push(k, m)
	if err != nil {
		return "", err
	}
	return r.Patient.ID, nil
}
