package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"firebreak/adapters/peer"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping/out"
)

// FHIR is a FHIR R4 server as a receiver. A letter is a conditional create by the
// request's number; a later version of its resource is a conditional update. With
// OurIDs both are updates of an id of ours, made of that number.
//
// The patient is searched at the server by the identifier that the letter gives;
// one that it does not know, or knows twice, needs a person.
//
// Source: FHIR R4 http.html, conditional create and conditional update.
type FHIR struct {
	Server peer.Server
	OurIDs bool

	client *peer.Client
}

// Deliver is for one goroutine.
func (f *FHIR) Deliver(ctx context.Context, l inbox.Letter) (answer string, err error) {
	if f.client == nil {
		if f.client, err = f.Server.Open(); err != nil {
			return "", &Down{err}
		}
	}
	r, err := fhir.Parse(l.Resource)
	if err != nil {
		return "", &Refusal{"it is no FHIR resource"}
	}
	who, err := out.Patient(r)
	if err != nil {
		return "", &Refusal{err.Error()}
	}
	patient, err := f.patient(ctx, who)
	if err != nil {
		return "", passing(err)
	}
	h := http.Header{"Accept": {peer.FHIRJSON}, "Content-Type": {peer.FHIRJSON}, "Prefer": {"return=minimal"}}
	condition := url.Values{"identifier": {out.NumberSystem + "|" + l.Number}}
	method, address, id := http.MethodPost, f.client.At(r.Type(), nil), ""
	switch {
	case f.OurIDs:
		id = "fb-" + l.Number
		method, address = http.MethodPut, f.client.At(r.Type()+"/"+id, nil)
	case l.Later:
		method, address = http.MethodPut, f.client.At(r.Type(), condition)
	default:
		h.Set("If-None-Exist", condition.Encode())
	}
	a, err := f.client.Ask(ctx, method, address, h, out.FHIR(r, l.Number, id, patient))
	if err != nil {
		return "", passing(err)
	}
	defer a.Body.Close()
	return f.called(a.Header), nil
}

var (
	errUnknown = &Refusal{"the receiver knows no patient by the identifier given"}
	errTwice   = &Refusal{"the receiver knows more than one patient by the identifier given"}
)

// inSearch writes a text as the value of a search parameter (R4 search.html#escaping).
var inSearch = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)

// patient is the server's reference to a patient. The identifier is asked for in
// a body: addresses end up in logs.
func (f *FHIR) patient(ctx context.Context, who out.Who) (string, error) {
	value := inSearch.Replace(who.Value)
	if who.System != "" {
		value = inSearch.Replace(who.System) + "|" + value
	}
	q := url.Values{"identifier": {value}, "_elements": {"id"}}
	h := http.Header{"Accept": {peer.FHIRJSON}, "Content-Type": {"application/x-www-form-urlencoded"}}
	a, err := f.client.Ask(ctx, http.MethodPost, f.client.At("Patient/_search", nil), h, []byte(q.Encode()))
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, peer.MaxAnswer))
	if err != nil {
		return "", errors.New("send: the receiver's answer was cut off")
	}
	r, err := fhir.Take(body)
	if err != nil || r.Type() != "Bundle" {
		return "", errors.New("send: the receiver's answer to a search is no Bundle")
	}
	found := ""
	for p := range r.All("entry.resource") {
		if !p.Get("resourceType").Is("Patient") {
			continue
		}
		if id := p.Get("id").Text(); fhir.ValidID(id) && found == "" {
			found = "Patient/" + id
		} else {
			return "", errTwice
		}
	}
	if found == "" {
		return "", errUnknown
	}
	return found, nil
}

// called is the Type/id of an answer's Location, if it has one.
func (f *FHIR) called(h http.Header) string {
	u, err := f.client.Link(h.Get("Location"))
	if err != nil {
		return ""
	}
	path, _, _ := strings.Cut(u.Path, "/_history/")
	parts := strings.Split(path, "/")
	if n := len(parts); n >= 2 {
		if ref, ok := fhir.ParseRef(parts[n-2] + "/" + parts[n-1]); ok {
			return ref.String()
		}
	}
	return ""
}

// passing tells by its status whether what failed needs a person, concerns all
// letters, or one.
func passing(err error) error {
	if _, ok := errors.AsType[*Refusal](err); ok {
		return err
	}
	e, ok := errors.AsType[*peer.Refused](err)
	if !ok {
		return &Down{err}
	}
	switch s := e.Status; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusTooManyRequests,
		s == http.StatusBadGateway, s == http.StatusServiceUnavailable, s == http.StatusGatewayTimeout:
		return &Down{err}
	case s == http.StatusRequestTimeout, s == http.StatusConflict, s == http.StatusLocked, s == http.StatusTooEarly,
		s >= 500 && s != http.StatusNotImplemented:
		return err
	}
	reason := fmt.Sprintf("the receiver answered with status %d", e.Status)
	if len(e.Codes) > 0 {
		reason += " (" + strings.Join(e.Codes, ", ") + ")"
	}
	return &Refusal{reason}
}
