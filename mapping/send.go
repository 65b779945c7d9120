package mapping

import (
	"errors"
	"regexp"
	"slices"

	"firebreak/fhir"
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

// addressed gives the feeds that a resource of source is addressed to. It is an
// error when the source may not send such a thing there, or when the resource
// does not say who the patient is to the receiver.
func (k *Keys) addressed(source string, r fhir.Resource) (to []string, err error) {
	for tag := range r.All("meta.tag") {
		if !tag.Get("system").Is(SendSystem) {
			continue
		}
		feed := tag.Get("code").Text()
		s := k.feed(feed).Send
		if s == nil || !slices.Contains(s.From, source) || !slices.Contains(s.Types, r.Type()) {
			return nil, errors.New("this source sends no such resource there")
		}
		if _, err := out.Patient(r); err != nil {
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
