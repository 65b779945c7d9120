package viewer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/label"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/registry"
)

// fakeOffice oversees the charts of a fakeReader.
type fakeOffice struct {
	*fakeReader
	open, closed []record.Alert
	log          []audit.Entry
	looks        []record.Look
	codes        []record.LocalCode
	waits        record.Waiting
	told         []record.Told
	watched      []record.Watch
	about        []string
}

func (o *fakeOffice) Alerts(_ context.Context, w record.Watch) (open, closed []record.Alert, err error) {
	o.watched = append(o.watched, w)
	return o.open, o.closed, nil
}

func (o *fakeOffice) Close(_ context.Context, w record.Watch, id, note string) error {
	if len(note) < 10 {
		return record.ErrNote
	}
	o.watched = append(o.watched, w)
	if len(o.open) == 0 || o.open[0].ID != id {
		return fhir.NotFound()
	}
	a := o.open[0]
	a.Note, a.Closer, a.Closed = note, w.Officer.Caller().Name(), noon
	o.open, o.closed = o.open[1:], append(o.closed, a)
	return nil
}

func (o *fakeOffice) Policy(_ context.Context, w record.Watch) (*policy.Policy, error) {
	o.watched = append(o.watched, w)
	return o.policy, nil
}

func (o *fakeOffice) Try(_ context.Context, w record.Watch, at policy.Position, patient string) ([]policy.Verdict, error) {
	o.watched = append(o.watched, w)
	for _, ch := range o.charts {
		if patient == "9000000000" {
			return o.policy.Explain(at, noon, ch), nil
		}
	}
	return nil, fhir.NotFound()
}

func (o *fakeOffice) Looked(_ context.Context, w record.Watch, patient string, before int64) ([]record.Look, int64, error) {
	o.watched = append(o.watched, w)
	if patient != "9000000000" {
		return nil, 0, fhir.NotFound()
	}
	return o.looks, max(0, 77-before), nil
}

func (o *fakeOffice) Log(_ context.Context, w record.Watch, patient, person string, action audit.Action, before int64) ([]audit.Entry, bool, error) {
	o.watched, o.about = append(o.watched, w), append(o.about, patient+"/"+person+"/"+string(action))
	return o.log, len(o.log) > 1, nil
}

func (o *fakeOffice) Waiting(_ context.Context, w record.Watch, held bool, page int) (record.Waiting, error) {
	o.watched, o.about = append(o.watched, w), append(o.about, fmt.Sprint("waiting ", held, " ", page))
	return o.waits, nil
}

func (o *fakeOffice) Told(_ context.Context, w record.Watch, t record.Told) error {
	o.watched = append(o.watched, w)
	if t.By == "" {
		return record.ErrTold
	}
	if len(o.waits.Results) == 0 || o.waits.Results[0].Ref != t.Ref || !o.waits.Results[0].Since.Equal(t.Since) {
		return fhir.NotFound()
	}
	o.told, o.waits.Results = append(o.told, t), o.waits.Results[1:]
	return nil
}

func (o *fakeOffice) Codes(_ context.Context, w record.Watch) ([]record.LocalCode, error) {
	o.watched = append(o.watched, w)
	return o.codes, nil
}

func (o *fakeOffice) Classify(_ context.Context, w record.Watch, d record.Decision) error {
	o.watched = append(o.watched, w)
	o.codes[0].Decided, o.codes[0].Labels, o.codes[0].Who = noon, d.Labels, w.Officer.Caller().Name()
	return nil
}

// The privacy officer's pages: alerts are closed with a note, a rule is tried on
// a chart, the log is looked through, local codes are classified; nobody else
// comes in, and the officer opens no chart.
func TestOfficer(t *testing.T) {
	h := newHouse(t, ayan(t))
	base := h.base(0)
	for _, path := range []string{"/officer", "/officer/policy", "/officer/waiting", "/officer/log", "/officer/looked", "/officer/codes"} {
		if w := h.do(httptest.NewRequest(http.MethodGet, path, nil)); w.Code != http.StatusForbidden {
			t.Errorf("a physician at %s: %d", path, w.Code)
		}
	}
	if len(h.office.watched) != 0 {
		t.Error("a physician oversees")
	}
	h.session.Identity = accesstest.SignedIn(t, "lee")
	h.places = []registry.Place{place("oak", "Oak Street Clinic", access.PrivacyOfficer, "")}
	h.office.open = []record.Alert{{ID: "k3x7", Name: "Dr Haddad", Role: access.Physician, Place: "Elm Clinic", Reason: record.InEmergency, Words: "Found <unconscious>", Opened: noon.Add(-50 * time.Hour), Ends: noon.Add(-49 * time.Hour)}}
	h.office.log = []audit.Entry{{Time: noon, Action: audit.Page, Person: "haddad", Role: "physician", Worksite: "elm", Patient: "Patient/p", Detail: "summary, glass k3x7", Refused: true}, {N: 5, Time: noon, Action: audit.Search, Client: "app"}}
	h.office.codes = []record.LocalCode{{Code: label.Code{Source: "lab-a", System: "urn:lab", Code: "QX7", Display: "Panel <9>"}, Element: "Observation.code", Uses: 12, Latest: noon}}

	if w := h.post("/worksite", url.Values{"worksite": {"oak"}, "purpose": {"TREAT"}}); w.Header().Get("Location") != "/officer" {
		t.Errorf("the worksite leads to %q", w.Header().Get("Location"))
	}
	for _, path := range []string{"/find", "/recent", base} {
		if w := h.do(httptest.NewRequest(http.MethodGet, path, nil)); w.Code != http.StatusForbidden {
			t.Errorf("an officer at %s: %d", path, w.Code)
		}
	}
	says := func(page string, want ...string) {
		t.Helper()
		out := outline(page)
		for _, s := range want {
			if !strings.Contains(out, s) {
				t.Errorf("the page does not say %q:\n%s", s, out)
			}
		}
	}
	says(h.get("/officer"), "Alert k3x7 open for 2 days", "Dr Haddad, Physician, Elm Clinic", "Somebody's life or health is in danger now", "Found <unconscious>")
	w := h.post("/officer/alerts/k3x7", url.Values{"note": {"ok"}})
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("closed without a note: %d", w.Code)
	}
	says(w.Body.String(), "Say in a few words what you found.")
	if w := h.post("/officer/alerts/k3x7", url.Values{"note": {"Spoke with her, all in order"}}); w.Header().Get("Location") != "/officer" {
		t.Errorf("closing leads to %d", w.Code)
	}
	says(h.get("/officer"), "No alert is open.", "Spoke with her, all in order")

	says(h.get("/officer/policy"), h.reader.policy.Version(), "hiv, reproductive, cancer, part2, psychotherapy, masked", "for an emergency alone: part2", "for 60 minutes")
	says(h.post("/officer/policy", url.Values{"as": {"provider nurse"}, "patient": {"9000000000"}}).Body.String(), "resources would be shown; the rest is listed")
	says(h.post("/officer/policy", url.Values{"as": {"provider nurse"}, "patient": {"1"}}).Body.String(), "Nobody has that number, or more than one.")
	if w := h.post("/officer/policy", url.Values{"as": {"neighbour "}, "patient": {"9000000000"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("tried as a neighbour: %d", w.Code)
	}

	says(h.post("/officer/log", url.Values{"patient": {"9000000000"}, "action": {"open"}}).Body.String(), "2 entries; there are older ones.", "haddad", "open refused", "summary, glass k3x7")
	if got := strings.Join(h.office.about, " "); got != "9000000000//open" {
		t.Errorf("looked for %s", got)
	}

	h.office.looks = []record.Look{{From: noon.Add(-90 * time.Minute), Until: noon, Audience: access.Provider, Name: "Mo Okafor", Role: access.Assistant, Place: "Elm <Clinic>", For: "Dr Haddad", App: "growth-app", What: []string{"find", "summary", "Observation", "Basic"}},
		{From: noon, Until: noon, Audience: access.Backend, Name: "Registry", What: []string{"Patient"}}, {From: noon, Until: noon, What: []string{"operate"}}}
	older := h.post("/officer/looked", url.Values{"patient": {" 9000000000 "}}).Body.String()
	says(older, "Mo Okafor, Assistant for Dr Haddad", "through the app growth-app", "Elm <Clinic>", "found by number or name, summary, single results, Basic", "Registry, a system", "An operator of this gateway", "Older")
	if w := h.post("/officer/looked", url.Values{"patient": {"9000000000"}, "before": {"77"}}); strings.Contains(w.Body.String(), "Older") {
		t.Error("at the end there are older ones")
	}
	says(h.post("/officer/looked", url.Values{"patient": {"1"}}).Body.String(), "Nobody has that number, or more than one")
	for _, before := range []string{"-1", "x"} {
		for _, path := range []string{"/officer/looked", "/officer/log"} {
			if w := h.post(path, url.Values{"patient": {"9000000000"}, "before": {before}}); w.Code != http.StatusNotFound {
				t.Errorf("%s from %s: %d", path, before, w.Code)
			}
		}
	}

	says(h.get("/officer/codes"), "Panel <9>", "Lab A", "12")
	form := url.Values{"source": {"lab-a"}, "system": {"urn:lab"}, "code": {"QX7"}, "display": {"Panel <9>"}, "means": {"sti"}}
	if w := h.post("/officer/codes", form); w.Header().Get("Location") != "/officer/codes" {
		t.Errorf("classifying leads to %d", w.Code)
	}
	says(h.get("/officer/codes"), "No code waits.", "sti")
	form.Set("means", "sorrow")
	if w := h.post("/officer/codes", form); w.Code != http.StatusNotFound {
		t.Errorf("classified as what is none: %d", w.Code)
	}
	h.office.about = nil
	x := policy.Waiting{Ref: fhir.Ref{Type: "DiagnosticReport", ID: "p-dr"}, Since: noon.Add(-20*24*time.Hour - time.Hour), Held: true, Labels: []label.Label{label.HIV, label.STI}, Number: "9000000000", Order: "F-<17>"}
	h.office.waits = record.Waiting{Results: []policy.Waiting{x}, All: 51, More: true, Behind: 7, Anew: true}
	says(h.get("/officer/waiting"), "Results: 51", "9000000000", "F-<17>", "20", "hiv, sti", "DiagnosticReport/p-dr", "The patient was told", "by telephone", "not yet looked through: 7", "being made anew")
	says(h.get("/officer/waiting?list=overdue&page=2"), "no clinician has reviewed", "F-<17>")
	if page := h.get("/officer/waiting?list=overdue"); strings.Contains(page, "<details") {
		t.Error("an officer reviews results")
	}
	if w := h.do(httptest.NewRequest(http.MethodGet, "/officer/waiting?page=0", nil)); w.Code != http.StatusNotFound {
		t.Errorf("page 0: %d", w.Code)
	}
	form = url.Values{"ref": {x.Ref.String()}, "since": {fmt.Sprint(x.Since.UnixMicro())}, "on": {"2026-03-01"}, "how": {"telephone"}, "note": {"Spoke <long>"}}
	w = h.post("/officer/waiting", form)
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("told by nobody: %d", w.Code)
	}
	says(w.Body.String(), "Say when the patient was told, by whom and how.", "Spoke <long>")
	form.Set("by", "Dr Haddad")
	if w := h.post("/officer/waiting", form); w.Header().Get("Location") != "/officer/waiting" {
		t.Errorf("telling leads to %d", w.Code)
	}
	if len(h.office.told) != 1 || h.office.told[0] != (record.Told{Ref: x.Ref, Since: x.Since.UTC(), On: "2026-03-01", By: "Dr Haddad", How: "telephone", Note: "Spoke <long>"}) {
		t.Errorf("told %+v", h.office.told)
	}
	if w := h.post("/officer/waiting", form); w.Code != http.StatusNotFound {
		t.Errorf("told twice: %d", w.Code)
	}
	h.office.waits = record.Waiting{}
	says(h.get("/officer/waiting"), "No withheld result waits")
	if got := strings.Join(h.office.about, ", "); got != "waiting true 1, waiting false 2, waiting false 1, waiting true 1, waiting true 1" {
		t.Errorf("asked for %s", got)
	}
	for _, watch := range h.office.watched {
		if watch.Officer.Caller().Name() != "Dr Ann Lee" || watch.Page == "" || watch.Request == "" {
			t.Errorf("watched as %+v", watch)
		}
	}
}
