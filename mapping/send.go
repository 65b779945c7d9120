package mapping

import (
	"errors"
	"regexp"
	"slices"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping/out"
)

// Send is what may be addressed to a feed's system.
type Send struct {
	From  []string // sources whose resources may be
	Types []string // of resources
}

// SendSystem is of the tags that address a pushed resource: meta.tag with a
// feed's name as code has each version of the resource sent to that feed's
// system. Nothing else is ever sent to it.
const SendSystem = "urn:firebreak:send"

// requested maps what somebody asks at the gateway's own pages to the resource
// itself, in the patient's chart, whoever's that is, on its way to the feed. Each
// version of it has the id that is made of its name.
func requested(k *Keys, m inbox.Message) (Result, error) {
	q, err := inbox.ParseRequest(m.Body)
	if err != nil || m.Source != inbox.Own {
		return Result{}, misplaced("Request", "not written by this gateway")
	}
	if !fhir.ValidID(q.Chart) || q.Name == "" {
		return Result{}, misplaced("Request.chart", "not a name and a chart")
	}
	r, err := fhir.Parse(q.Resource)
	if err != nil {
		return Result{}, misplaced("Request.resource", "not a valid resource")
	}
	patient := fhir.Ref{Type: "Patient", ID: q.Chart}
	if all := fhir.Patients(r); len(all) != 1 || all[0] != patient || r.Type() == "Patient" {
		return Result{}, misplaced("Request.resource", "not of the patient of the chart, and of nobody else")
	}
	if err := k.may(m.Source, r, q.To); err != nil {
		return Result{}, misplaced("Request.to", err.Error())
	}
	mine := ourPatient.MatchString(q.Chart)
	id := k.ID(q.Chart, m.Source, r.Type(), q.Name)
	if !mine { // whose ids do not tell their chart
		id = k.digest(resourceBytes, m.Source, r.Type(), q.Chart, q.Name)
	}
	if r, err = r.WithID(id); err != nil {
		return Result{}, misplaced("Request.resource", "not a valid resource")
	}
	return Result{Patient: patient, At: m.Received, Resources: []Resource{{Resource: r, At: m.Received, Chart: q.Chart, Given: !mine, To: []string{q.To}}}}, nil
}

// may tells whether a source may send a resource to a feed.
func (k *Keys) may(source string, r fhir.Resource, feed string) error {
	s := k.feed(feed).Send
	if s == nil || !slices.Contains(s.From, source) || !slices.Contains(s.Types, r.Type()) {
		return errors.New("this source sends no such resource there")
	}
	_, err := out.Patient(r)
	return err
}

// addressed gives the feeds that a resource of source is addressed to. It is an
// error when the source may not send such a thing there, or when the resource
// does not say who the patient is to the receiver.
func (k *Keys) addressed(source string, r fhir.Resource) (to []string, err error) {
	for tag := range r.All("meta.tag") {
		if !tag.Get("system").Is(SendSystem) {
			continue
		}
		feed := tag.Get("code").Text()
		if err := k.may(source, r, feed); err != nil {
			return nil, err
		}
		if !slices.Contains(to, feed) {
			to = append(to, feed)
		}
	}
	return to, nil
}

// letterNumber is the form of the numbers of requests; see record.
var letterNumber = regexp.MustCompile(`^[a-z2-7]{16}$`)

// answers notes which requests to m's source its resources answer: those whose
// number they have as an identifier.
func (k *Keys) answers(source string, all []Resource) {
	if k.feed(source).Send == nil {
		return
	}
	for i := range all {
		for n := range all[i].All("identifier.value") {
			if number := n.Text(); letterNumber.MatchString(number) && !slices.Contains(all[i].Answers, number) {
				all[i].Answers = append(all[i].Answers, number)
			}
		}
	}
}
