// Package rest is a FHIR interaction as a message: what a source pushes over
// HTTP lies in the inbox in this form until it is applied, bytes unchanged.
//
// Source: FHIR R4 http.html, sections create, update, delete, transaction, batch.
package rest

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Interaction is one pushed request.
type Interaction struct {
	Method   string         `json:"method"`            // POST, PUT or DELETE
	Path     string         `json:"path"`              // below the FHIR base: "Observation/1", "Observation", "Observation?identifier=1", "" for a Bundle
	Request  string         `json:"request"`           // the request's id
	Base     string         `json:"base,omitzero"`     // address of the API it came to: references that begin with it are local
	Assigned []string       `json:"assigned,omitzero"` // ids for what is created: one, or one per entry of a Bundle ("" where none is needed); drawn once, so that a replay makes the same resources
	None     string         `json:"none,omitzero"`     // If-None-Exist
	Expects  Expects        `json:"expects,omitzero"`  // of a Bundle, each entry says its own
	Looks    bool           `json:"looks,omitzero"`    // it depends on what its source has: see Plan
	Resource jsontext.Value `json:"resource,omitzero"` // exact bytes; none for DELETE
}

// Encode gives the message body. The resource's bytes stand in it unchanged.
func (i Interaction) Encode() []byte {
	b := make([]byte, 0, len(i.Resource)+len(i.Path)+96)
	for _, f := range []struct{ name, value string }{{`{"method":`, i.Method}, {`,"path":`, i.Path}, {`,"request":`, i.Request}, {`,"base":`, i.Base}} {
		b = append(b, f.name...)
		b, _ = jsontext.AppendQuote(b, f.value) // bad UTF-8 becomes U+FFFD: none reaches here from a URL
	}
	if len(i.Assigned) > 0 {
		b = append(b, `,"assigned":[`...)
		for n, id := range i.Assigned {
			if n > 0 {
				b = append(b, ',')
			}
			b, _ = jsontext.AppendQuote(b, id)
		}
		b = append(b, ']')
	}
	if i.None != "" {
		b, _ = jsontext.AppendQuote(append(b, `,"none":`...), i.None)
	}
	if i.Expects.Any() {
		b, _ = jsontext.AppendQuote(append(b, `,"expects":{"match":`...), i.Expects.Match)
		b, _ = jsontext.AppendQuote(append(b, `,"none":`...), i.Expects.None)
		b = append(b, '}')
	}
	if i.Looks {
		b = append(b, `,"looks":true`...)
	}
	if len(i.Resource) > 0 {
		b = append(b, `,"resource":`...)
		b = append(b, i.Resource...)
	}
	return append(b, '}')
}

// Decode reads a message body; Resource is a part of b.
func Decode(b []byte) (Interaction, error) {
	var i Interaction
	if err := json.Unmarshal(b, &i, json.RejectUnknownMembers(true)); err != nil {
		return Interaction{}, fmt.Errorf("rest: not an interaction: %w", err)
	}
	switch i.Method {
	case "POST", "PUT":
		if len(i.Resource) == 0 {
			return Interaction{}, errors.New("rest: no resource")
		}
	case "DELETE":
	default:
		return Interaction{}, errors.New("rest: method is not POST, PUT or DELETE")
	}
	return i, nil
}
