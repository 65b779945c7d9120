package mapping

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
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
// What the interaction names by a search (R4 http.html#ccreate, #cond-update,
// conditional references) was looked for before, among what its source pushed:
// m.Found. A conditional creation of what is there creates nothing; what it says
// is a reminder, as in a result of HL7 v2, that counts where nobody else has
// spoken. What expects another version than there was changes nothing (R4
// http.html#concurrency), and what expects the one that there was is said after it.
//
// A resource that names one patient lies in that patient's chart. One that
// names several lies in no patient's chart, so that no record tells of another.
// A Group lies by itself, whoever its members are, for they come and go; they may
// be patients of any source.
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
	plan, err := i.Plan()
	if err != nil {
		return Result{}, misplaced("Bundle", "not a Bundle")
	}
	p := pushed{out: Result{At: m.Received}, to: func(r fhir.Resource) ([]string, error) { return k.addressed(m.Source, r) }}
	var found []string
	if i.Looks {
		d, ok := plan.Decided(m.Found)
		if !ok {
			return Result{}, misplaced("Interaction", "what it names by a search is not looked up")
		}
		if found = d.IDs; d.Unmet >= 0 {
			plan = rest.Plan{}
		}
		if d.After.After(p.out.At) {
			p.out.At = d.After
		}
	}
	if err := p.changes(plan, found); err != nil {
		return Result{}, err
	}
	if err := p.settle(k, m.Source); err != nil {
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
	to   func(fhir.Resource) ([]string, error) // feeds that a resource is addressed to
	out  Result
	at   []string // of each of out.Resources
	made []bool   // whether its id was made for it
}

// changes takes what an interaction changes, found being what it leaves to be
// found. All references among a transaction's entries are resolved before any is
// taken; the order of entries means nothing (R4 http.html#trules).
func (p *pushed) changes(plan rest.Plan, found []string) error {
	became := map[string]string{} // what references name, and what they name now
	for n := range plan.Changes {
		c := &plan.Changes[n]
		if found != nil && found[n] != "" {
			c.Ref.ID = found[n]
		}
		if c.FullURL == "" || c.Ref.ID == "" {
			continue
		}
		if became[c.FullURL] != "" {
			return misplaced(c.At+".fullUrl", "an entry before it has the same")
		}
		became[c.FullURL] = c.Ref.String()
		if old := c.Resource.ID(); old != "" && old != c.Ref.ID && strings.HasSuffix(c.FullURL, "/"+c.Ref.Type+"/"+old) {
			became[c.Ref.Type+"/"+old] = c.Ref.String()
		}
	}
	for n, s := range plan.Refs {
		typ, _, _ := fhir.ParseConditional(plan.Base, s)
		became[s] = typ + "/" + found[len(plan.Changes)+n]
	}
	for n, c := range plan.Changes {
		was := c.Query != "" && found != nil && found[n] != ""
		if c.Method == http.MethodDelete && c.Query != "" && !was {
			continue
		}
		lost := false
		err := p.take(c, was, func(s string) string {
			if now := became[s]; now != "" {
				return now
			}
			if full, fragment, ok := strings.Cut(s, "#"); ok && became[full] != "" {
				return became[full] + "#" + fragment
			}
			head, _, query := strings.Cut(s, "?")
			lost = lost || plan.Whole && (query && fhir.IsType(head) || strings.HasPrefix(s, "urn:uuid:"))
			return rest.Local(plan.Base, s)
		})
		if err != nil {
			return err
		}
		if lost {
			return misplaced(c.At+".resource", "a reference names nothing in this Bundle")
		}
	}
	return nil
}

// take adds one change. was: it was found, so that a creation only repeats it.
// The address by which a resource itself is known, such as a Questionnaire's url,
// is no reference.
func (p *pushed) take(c rest.Change, was bool, resolve func(string) string) error {
	at := cmp.Or(c.At, c.Ref.Type)
	if c.Method == http.MethodPost && c.Ref.ID == "" {
		return misplaced(cmp.Or(c.At, "Interaction.assigned"), "there is no id for what is created")
	}
	if !fhir.IsType(c.Ref.Type) || !fhir.ValidID(c.Ref.ID) {
		return misplaced(at, "the address is not Type/id")
	}
	r := Resource{At: p.out.At, Given: true, Found: was && byNumber(c.Query)}
	var err error
	switch c.Method {
	case http.MethodDelete:
		r.Deleted = true
		r.Resource, err = fhir.Parse(fmt.Appendf(nil, `{"resourceType":%q,"id":%q}`, c.Ref.Type, c.Ref.ID))
	case http.MethodPost, http.MethodPut:
		if c.Method == http.MethodPut && ours(c.Ref) {
			return misplaced(at, "this id cannot be used")
		}
		if r.Resource = c.Resource; r.IsZero() {
			return misplaced(at, "not a valid resource")
		}
		if r.Type() != c.Ref.Type {
			return misplaced(at, "not the type of the address")
		}
		if r.ID() != c.Ref.ID {
			r.Resource, err = r.WithID(c.Ref.ID)
		}
		if r.Repeats = was && c.Method == http.MethodPost; r.Repeats {
			r.At = reminder(r.At)
		} else if err == nil {
			if r.To, err = p.to(r.Resource); err != nil {
				return misplaced(at+".meta.tag", err.Error())
			}
		}
		if err == nil {
			own := r.Get("url").Text()
			r.Resource, err = r.RewriteReferences(func(s string) string {
				if s == own {
					return s
				}
				return resolve(s)
			})
		}
	default:
		return misplaced(at, "not POST, PUT or DELETE")
	}
	if err != nil {
		return misplaced(at, "not a valid resource")
	}
	r.Place = c.Body()
	p.out.Resources = append(p.out.Resources, r)
	p.at = append(p.at, at)
	p.made = append(p.made, c.Method == http.MethodPost || c.Query != "" && !c.Named)
	return nil
}

// byNumber tells whether a search names no id.
func byNumber(query string) bool {
	q, err := url.ParseQuery(query)
	return err == nil && !q.Has("_id")
}

// settle gives each resource its chart. A deletion keeps none: the record
// knows where the resource lies.
func (p *pushed) settle(k *Keys, source string) error {
	directory, nobody := k.digest(chartBytes, source, "directory"), k.digest(chartBytes, source, "nobody")
	charts := map[string]bool{}
	for n := range p.out.Resources {
		r := &p.out.Resources[n]
		if r.Deleted {
			continue
		}
		if r.Type() == "Group" {
			if err := overfull(r.Resource); err != nil {
				return misplaced(p.at[n]+".member", err.Error())
			}
			r.Chart, r.Stays = rosterMark+k.roster(source, r.ID()), true
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
// patient it names, or else the source's directory. Those that look for the same
// go one after another.
func pushKey(k *Keys, m inbox.Message) (string, error) {
	if i, err := rest.Decode(m.Body); err == nil && i.Looks && m.Found == nil {
		plan, err := i.Plan()
		if err != nil {
			return "", err
		}
		for _, c := range plan.Changes {
			if c.Query != "" {
				return m.Source + " " + c.Ref.Type + "?" + c.Query, nil
			}
		}
		if len(plan.Refs) > 0 {
			return m.Source + " " + strings.Join(plan.Refs, " "), nil
		}
		m.Found = make([]string, len(plan.Changes))
	}
	r, err := push(k, m)
	if err != nil {
		return "", err
	}
	return r.Patient.ID, nil
}
