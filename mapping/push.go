package mapping

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/inbox"
)

// push maps a FHIR interaction. Its resources keep their bytes and, but for
// what is created, their ids. Inside a transaction, references to an entry's
// fullUrl become references to that entry (R4 http.html#trules); references
// that begin with the API's own address lose it; nothing else of a resource
// changes.
//
// A resource that names one patient lies in that patient's chart. One that
// names several lies in no patient's chart, so that no record tells of another.
// One that names none goes with the one patient of its Bundle when it is a file,
// of a type of the Patient compartment, or made by that Bundle. Otherwise it lies
// in the source's directory; a type of the compartment, which may yet be about
// somebody, in a chart of its own, apart from what the directory shows freely.
//
// Ids and patients of the form that this package gives are the gateway's and
// not to be pushed, whether they exist or not: trying tells nothing. The error
// is an *Error whose Segment is the FHIRPath of the place.
func push(k *Keys, m inbox.Message) (Result, error) {
	i, err := rest.Decode(m.Body)
	if err != nil {
		return Result{}, misplaced("Interaction", "not a FHIR interaction")
	}
	p := pushed{out: Result{At: m.Received}, base: i.Base, to: func(r fhir.Resource) ([]string, error) { return k.addressed(m.Source, r) }}
	if i.Method == http.MethodPost && i.Path == "" {
		err = p.transaction(i)
	} else {
		err = p.single(i)
	}
	if err == nil {
		err = p.settle(k.digest(chartBytes, m.Source, "directory"), k.digest(chartBytes, m.Source, "nobody"))
	}
	if err != nil {
		return Result{}, err
	}
	return p.out, nil
}

func misplaced(path, reason string) *Error { return &Error{Segment: path, Reason: reason} }

// ours are the ids that this package makes: of a Patient, and of others.
var (
	ourPatient = regexp.MustCompile(`^[a-z2-7]{16}$`)
	ourOther   = regexp.MustCompile(`^[a-z2-7]{16}-[a-z2-7]{20}$`)
)

func ours(ref fhir.Ref) bool {
	if ref.Type == "Patient" {
		return ourPatient.MatchString(ref.ID)
	}
	return ourOther.MatchString(ref.ID)
}

type pushed struct {
	base string
	to   func(fhir.Resource) ([]string, error) // feeds that a resource is addressed to
	out  Result
	at   []string // of each of out.Resources
	made []bool   // whether its id was made for it
}

func (p *pushed) single(i rest.Interaction) error {
	typ, id, _ := strings.Cut(i.Path, "/")
	if i.Method == http.MethodPost {
		if len(i.Assigned) != 1 {
			return misplaced("Interaction.assigned", "there is no id for what is created")
		}
		id = i.Assigned[0]
	}
	return p.take(change{i.Method, fhir.Ref{Type: typ, ID: id}, i.Resource, typ}, func(s string) string { return rest.Local(p.base, s) })
}

// change is one resource created, updated or deleted.
type change struct {
	method string
	ref    fhir.Ref
	body   []byte
	at     string
}

// take adds one change. The address by which a resource itself is known, such
// as a Questionnaire's url, is no reference.
func (p *pushed) take(c change, resolve func(string) string) error {
	if !fhir.IsType(c.ref.Type) || !fhir.ValidID(c.ref.ID) {
		return misplaced(c.at, "the address is not Type/id")
	}
	r := Resource{At: p.out.At, Given: true}
	var err error
	switch c.method {
	case http.MethodDelete:
		r.Deleted = true
		r.Resource, err = fhir.Parse(fmt.Appendf(nil, `{"resourceType":%q,"id":%q}`, c.ref.Type, c.ref.ID))
	case http.MethodPost, http.MethodPut:
		if c.method == http.MethodPut && ours(c.ref) {
			return misplaced(c.at, "this id cannot be used")
		}
		if r.Resource, err = fhir.Parse(c.body); err == nil && r.Type() != c.ref.Type {
			return misplaced(c.at, "not the type of the address")
		}
		if err == nil && r.ID() != c.ref.ID {
			r.Resource, err = r.WithID(c.ref.ID)
		}
		if err == nil {
			if r.To, err = p.to(r.Resource); err != nil {
				return misplaced(c.at+".meta.tag", err.Error())
			}
			own := r.Get("url").Text()
			r.Resource, err = r.RewriteReferences(func(s string) string {
				if s == own {
					return s
				}
				return resolve(s)
			})
		}
	default:
		return misplaced(c.at, "not POST, PUT or DELETE")
	}
	if err != nil {
		return misplaced(c.at, "not a valid resource")
	}
	p.out.Resources = append(p.out.Resources, r)
	p.at = append(p.at, c.at)
	p.made = append(p.made, c.method == http.MethodPost)
	return nil
}

// transaction takes a Bundle's entries. All references among them are resolved
// before any is taken; the order of entries means nothing (R4 http.html#trules).
func (p *pushed) transaction(i rest.Interaction) error {
	b, err := fhir.Parse(i.Resource)
	if err != nil || b.Type() != "Bundle" {
		return misplaced("Bundle", "not a Bundle")
	}
	var all []change
	became := map[string]string{}
	for e := range b.All("entry") {
		n := len(all)
		c := change{method: e.At("request.method").Text(), body: e.Get("resource").Raw(), at: fmt.Sprintf("Bundle.entry[%d]", n)}
		c.ref.Type, c.ref.ID, _ = strings.Cut(e.At("request.url").Text(), "/")
		if c.method == http.MethodPost {
			if n >= len(i.Assigned) || i.Assigned[n] == "" {
				return misplaced(c.at, "there is no id for what is created")
			}
			c.ref.ID = i.Assigned[n]
		}
		if full := e.Get("fullUrl").Text(); full != "" {
			if became[full] != "" {
				return misplaced(c.at+".fullUrl", "an entry before it has the same")
			}
			became[full] = c.ref.String()
			if old := e.At("resource.id").Text(); old != "" && c.method == http.MethodPost && strings.HasSuffix(full, "/"+c.ref.Type+"/"+old) {
				became[c.ref.Type+"/"+old] = c.ref.String()
			}
		}
		all = append(all, c)
	}
	for _, c := range all {
		lost := false
		err := p.take(c, func(s string) string {
			if now := became[s]; now != "" {
				return now
			}
			if full, fragment, ok := strings.Cut(s, "#"); ok && became[full] != "" {
				return became[full] + "#" + fragment
			}
			head, _, query := strings.Cut(s, "?")
			lost = lost || query && fhir.IsType(head) || strings.HasPrefix(s, "urn:uuid:")
			return rest.Local(p.base, s)
		})
		if err != nil {
			return err
		}
		if lost {
			return misplaced(c.at+".resource", "a reference names nothing in this Bundle; conditional references are not supported")
		}
	}
	return nil
}

// settle gives each resource its chart. A deletion keeps none: the record
// knows where the resource lies.
func (p *pushed) settle(directory, nobody string) error {
	charts := map[string]bool{}
	for n := range p.out.Resources {
		r := &p.out.Resources[n]
		if r.Deleted {
			continue
		}
		patients := fhir.Patients(r.Resource)
		for _, patient := range patients {
			if ours(patient) && !(r.Type() == "Patient" && p.made[n]) {
				return misplaced(p.at[n], "the patient is not of this source")
			}
			charts[patient.ID] = true
		}
		switch len(patients) {
		case 0:
		case 1:
			r.Chart = patients[0].ID
		default:
			r.Chart = nobody
		}
	}
	one := ""
	if len(charts) == 1 {
		for one = range charts {
		}
	}
	for n := range p.out.Resources {
		r := &p.out.Resources[n]
		if r.Chart != "" || r.Deleted {
			continue
		}
		r.Stays = true
		compartment := fhir.IsPatientCompartment(r.Type())
		switch {
		case one != "" && (compartment || p.made[n] || r.Type() == "Binary"): // a file is seen through what names it
			r.Chart = one
		case compartment:
			r.Chart = nobody
		default:
			r.Chart = directory
		}
	}
	if one == "" {
		one = directory
	}
	p.out.Patient = fhir.Ref{Type: "Patient", ID: one}
	return nil
}

// pushKey is the chart that orders a pushed interaction: that of the one
// patient it names, or else the source's directory.
func pushKey(k *Keys, m inbox.Message) (string, error) {
	r, err := push(k, m)
	if err != nil {
		return "", err
	}
	return r.Patient.ID, nil
}
