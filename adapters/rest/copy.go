package rest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
)

// Copy is what a server that is asked for its resources had of one, or that it
// has it no more. It does not depend on when it was asked, so that asking again
// makes the same message.
type Copy struct {
	Type     string           `json:"type"`
	ID       string           `json:"id"` // as the server calls it
	At       time.Time        `json:"at"` // since when it is so, by the server's clock
	Base     string           `json:"base,omitzero"`
	Patient  string           `json:"patient,omitzero"`  // of what is gone: Owner of its last copy
	Resource jsontext.Value   `json:"resource,omitzero"` // exact bytes; none: it is gone
	Files    []jsontext.Value `json:"files,omitzero"`    // Binary resources that it names, exact bytes
}

// Gone tells that the server has the resource no more.
func (c Copy) Gone() bool { return len(c.Resource) == 0 }

// Encode gives the message body. Resources' bytes stand in it unchanged.
func (c Copy) Encode() []byte {
	b := make([]byte, 0, len(c.Resource)+256)
	for _, f := range []struct{ name, value string }{
		{`{"type":`, c.Type}, {`,"id":`, c.ID}, {`,"at":`, c.At.UTC().Format(time.RFC3339Nano)}, {`,"base":`, c.Base}, {`,"patient":`, c.Patient},
	} {
		b = append(b, f.name...)
		b, _ = jsontext.AppendQuote(b, f.value) // bad UTF-8 becomes U+FFFD: none is in a resource that was parsed
	}
	if !c.Gone() {
		b = append(append(b, `,"resource":`...), c.Resource...)
	}
	for n, f := range c.Files {
		b = append(b, map[bool]string{true: `,"files":[`, false: `,`}[n == 0]...)
		b = append(b, f...)
	}
	if len(c.Files) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// DecodeCopy reads a message body; its resources are parts of b.
func DecodeCopy(b []byte) (Copy, error) {
	var c Copy
	if err := json.Unmarshal(b, &c, json.RejectUnknownMembers(true)); err != nil {
		return Copy{}, fmt.Errorf("rest: not a copy: %w", err)
	}
	if !fhir.IsType(c.Type) || !fhir.ValidID(c.ID) || c.At.IsZero() {
		return Copy{}, errors.New("rest: a copy without type, id or time")
	}
	return c, nil
}

// Local takes the address of a server off a reference that begins with it, if
// what is left is Type/id.
func Local(base, s string) string {
	if rest, ok := strings.CutPrefix(s, base+"/"); ok && base != "" {
		if _, ok := fhir.ParseRef(rest); ok {
			return rest
		}
	}
	return s
}

// Owner is the id of the one patient that a resource of the server at base is
// about; empty when it is about none or several. A Group is no patient's, whoever
// is in it.
func Owner(base string, r fhir.Resource) (string, error) {
	if r.Type() == "Group" {
		return "", nil
	}
	r, err := r.RewriteReferences(func(s string) string { return Local(base, s) })
	if err != nil {
		return "", err
	}
	if all := fhir.Patients(r); len(all) == 1 {
		return all[0].ID, nil
	}
	return "", nil
}
