package fhirapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"firebreak/access"
	"firebreak/adapters/ccda"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/web"
)

// documentTypes are what a clinical document may become. A source that sends
// one must be allowed to create each of them.
var documentTypes = []string{
	"AllergyIntolerance", "Binary", "Composition", "Condition", "Coverage", "Device", "DiagnosticReport", "DocumentReference", "Encounter",
	"FamilyMemberHistory", "Goal", "Immunization", "Location", "MedicationAdministration", "MedicationDispense", "MedicationRequest", "MedicationStatement", "Observation",
	"Organization", "Patient", "Practitioner", "Procedure", "Provenance", "RelatedPerson", "ServiceRequest", "Specimen",
}

// document takes one C-CDA document as a file. It is answered when it is applied:
// what became of it is found by searching the patient's record.
func (a *api) document(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	for _, typ := range documentTypes {
		if c.May(auth.Create, typ) == auth.Nothing {
			return a.beyond(w, r, c, "create", typ)
		}
	}
	b, err := xmlBody(r)
	if err != nil {
		return err
	}
	e := audit.Event{Time: a.Now(), Action: audit.Write, Caller: c, Detail: "C-CDA document", Address: web.Address(r), Request: web.RequestID(r)}
	if err := a.Audit.Append(r.Context(), e); err != nil {
		return err
	}
	err = a.Push.Document(r.Context(), c.Client().Source, c.Client().ID, e.Request, b)
	if bad, ok := errors.AsType[*ccda.Error](err); ok {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "structure", Text: strings.TrimPrefix(bad.Error(), "ccda: "), Err: bad}
	}
	if err := notApplied(err); err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusCreated, informed("information", "informational", "Stored."))
}

// xmlBody reads a document, exactly. Its character set is the document's own matter.
func xmlBody(r *http.Request) ([]byte, error) {
	name, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || name != "application/xml" && name != "text/xml" && name != "application/cda+xml" && name != "application/hl7-cda+xml" || !plain(r) {
		return nil, &fhir.Error{Status: http.StatusUnsupportedMediaType, Code: "invalid", Text: "Send application/cda+xml, application/xml or text/xml, not compressed."}
	}
	return io.ReadAll(r.Body)
}
