package fhirapi

import (
	"net/http"
	"strings"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/search"
	"firebreak/web"
)

// An auditor reads who did what, as a privacy officer does at the pages, and no
// chart. What it is told names patients, resources and parameters by their ids
// and names, also those that are withheld: whoever is made one is to know. Nobody
// else finds the log: for them AuditEvent is a type of what sources sent.

// searchLog answers a search for AuditEvents from the log.
//
// Source: IHE ATNA ITI-81, Retrieve ATNA Audit Event.
func (a *api) searchLog(w http.ResponseWriter, r *http.Request, c access.Caller, q search.Query, address, cursor string) error {
	refuse := func(code, text, param string) error {
		return &fhir.Error{Status: http.StatusBadRequest, Code: code, Text: text, Expression: "http." + param}
	}
	if _, beyond := q.Reaching(func(typ string) bool { return typ == "AuditEvent" }); beyond != "" || q.Included() {
		return refuse("not-supported", "The log holds AuditEvents alone.", "AuditEvent")
	}
	if order := strings.Join(q.Values()["_sort"], ","); order != "" && order != "-date" {
		return refuse("not-supported", "The newest come first.", "_sort")
	}
	if q.Count == 0 || q.Summary == search.SummaryCount || q.Total != "" && q.Total != search.TotalNone {
		return refuse("too-costly", "The log is not counted.", "_total")
	}
	var in audit.Window
	in.From, in.Until = q.Time("date")
	patients, ok := q.Patient()
	for _, p := range patients {
		in.Patients = append(in.Patients, p.String())
	}
	if in.From.IsZero() && !ok {
		return refuse("too-costly", "Name a patient, or since when: date=ge...", "date")
	}
	if in.After = cursor; cursor != "" && !fhir.ValidID(cursor) {
		return refuse("value", "It is none that was given.", cursorParam)
	}
	count := min(q.Count, 500)
	if count < 0 {
		count = 50
	}
	if err := a.noteLog(r, c, "AuditEvent "+strings.Join(q.Names(), ",")); err != nil {
		return err
	}
	var found []fhir.Resource
	next := ""
	if !ok || len(patients) > 0 {
		var err error
		found, next, err = a.Audit.AuditEvents(r.Context(), a.Base, in, count, func(x fhir.Resource) bool {
			return len(search.NewIndex([]definition{{x}}).Matches(q)) > 0
		})
		if err != nil {
			return err
		}
	}
	b := newBundle("searchset")
	values := q.Values()
	b.link("self", join(address, values, cursor))
	if next != "" {
		b.next(r, join(address, values, next))
	}
	if err := b.matches(a.Base, q, found); err != nil {
		return err
	}
	return b.send(w, r)
}

// readLog answers a read of one.
func (a *api) readLog(w http.ResponseWriter, r *http.Request, c access.Caller, ref fhir.Ref, q search.Query) error {
	x, ok, err := a.Audit.AuditEvent(r.Context(), a.Base, ref.ID)
	if err != nil {
		return err
	}
	if err := a.noteLog(r, c, "AuditEvent"); err != nil {
		return err
	}
	if !ok {
		return fhir.NotFound()
	}
	if x, err = q.Project(x); err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusOK, x.JSON())
}

// noteLog writes down that the log was read; as of an officer's page, whose
// record was asked for is not said, for looking at the log is no look at that.
func (a *api) noteLog(r *http.Request, c access.Caller, detail string) error {
	return a.Audit.Append(r.Context(), audit.Event{
		Time: a.Now(), Action: audit.Oversee, Caller: c, Detail: detail, Address: web.Address(r), Request: web.RequestID(r),
	})
}
