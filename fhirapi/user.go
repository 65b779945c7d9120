package fhirapi

import (
	"encoding/json"
	"net/http"
	"slices"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/search"
	"firebreak/web"
)

// isUser tells whether ref is what fhirUser names to the caller's app, which may read
// it by that scope alone. It says who is signed in and is nobody's record, so no
// policy is asked; nobody else's is there.
//
// Source: SMART App Launch 2.2.0, "Scopes for requesting identity data".
func isUser(c access.Caller, ref fhir.Ref) bool {
	return c.Person() != "" && ref == fhir.Ref{Type: "Practitioner", ID: auth.UserID(c.Person())} &&
		(slices.Contains(c.Identity().Scopes(), "fhirUser") || c.Wholly(auth.Read, ref.Type))
}

// user answers with it.
func (a *api) user(w http.ResponseWriter, r *http.Request, c access.Caller, ref fhir.Ref, q search.Query) error {
	b, err := json.Marshal(map[string]any{"resourceType": ref.Type, "id": ref.ID, "active": true, "name": []any{map[string]string{"text": c.Name()}}})
	if err != nil {
		return err
	}
	res, err := fhir.Parse(b)
	if err != nil {
		return err
	}
	if res, err = q.Project(res); err != nil {
		return err
	}
	e := audit.Event{Time: a.Now(), Action: audit.Read, Caller: c, Entities: []fhir.Ref{ref}, Detail: ref.Type, Address: web.Address(r), Request: web.RequestID(r)}
	if err := a.Audit.Append(r.Context(), e); err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusOK, res.JSON())
}
