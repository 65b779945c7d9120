package fhirapi

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/fhir/patch"
)

// patchFormats are the media types that a patch may have, as the CapabilityStatement
// says them.
var patchFormats = []string{"application/json-patch+json", "application/fhir+json", "application/fhir+xml"}

// patchTries is how often a patch that depends on no version is made anew because
// somebody was faster.
const patchTries = 20

// patch changes parts of what the caller sent, as a JSON Patch or a FHIRPath Patch
// says. What comes of it goes the way of an update that depends on the version that
// was patched: so what is stored is whole, and a replay means the same.
//
// Source: R4 http.html#patch.
func (a *api) patch(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	change, err := patchOf(r)
	if err != nil {
		return err
	}
	q := request{method: http.MethodPut, ref: target(r)}
	if q.ref.ID == "" {
		if q.ref.ID, err = a.sought(r, c, q.ref.Type, r.URL.RawQuery); err != nil {
			return err
		}
	}
	for tries := 0; ; tries++ {
		all, err := a.standing(r, c, q)
		if err != nil {
			return err
		}
		before := all[0]
		if before.IsZero() {
			return fhir.NotFound()
		}
		if !expects(r.Header).Met(before.VersionID()) {
			return errStale("")
		}
		if q.res, err = change(before.Content()); err != nil {
			return err
		}
		if err := named(q.res, q.ref.Type, q.ref.ID); err != nil {
			return err
		}
		on := r.Clone(r.Context())
		on.Header.Set("If-Match", etag(before))
		on.Header.Del("If-None-Match")
		err = a.change(w, on, c, q)
		if other, ok := errors.AsType[*fhir.Error](err); ok && other.Status == http.StatusPreconditionFailed && tries < patchTries && len(r.Header.Values("If-Match")) == 0 {
			continue // somebody was faster, and the patch does not depend on what they changed
		}
		return err
	}
}

// sought is the id of the one resource of the caller's that a search finds.
func (a *api) sought(r *http.Request, c access.Caller, typ, query string) (string, error) {
	i := rest.Interaction{Method: http.MethodDelete, Path: typ + "?" + query, Base: a.Base}
	if query == "" {
		return "", without(rest.Change{Method: http.MethodPatch, Ref: fhir.Ref{Type: typ}}.Condition())
	}
	plan, err := i.Look("")
	if err != nil {
		return "", err
	}
	found, err := a.match(r, c, i, plan)
	if err != nil {
		return "", err
	}
	if len(found) == 0 || found[0] == "" {
		return "", fhir.NotFound()
	}
	return found[0], nil
}

// patchOf reads the patch of a request.
func patchOf(r *http.Request) (func(fhir.Resource) (fhir.Resource, error), error) {
	name, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if name != patchFormats[0] {
		params, err := body(r)
		if err != nil {
			return nil, err
		}
		return func(res fhir.Resource) (fhir.Resource, error) { return patch.Path(res, params) }, nil
	}
	if !plain(r) {
		return nil, &fhir.Error{Status: http.StatusUnsupportedMediaType, Code: "invalid", Text: "Send the patch in UTF-8, not compressed."}
	}
	doc, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return func(res fhir.Resource) (fhir.Resource, error) { return patch.JSON(res, doc) }, nil
}
