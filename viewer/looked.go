package viewer

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/viewer/clinical"
)

type lookedModel struct {
	*frame
	Patient      string // as typed
	Nobody, Done bool
	Looks        []lookLine
	Older        int64 // where older ones begin; 0: there are none
}

type lookLine struct {
	record.Look
	Since, Last clinical.Time
}

// looked is who looked at one record, as its patient may be told.
func (v *Viewer) looked(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	m := lookedModel{frame: f}
	if r.Method != http.MethodPost {
		return v.render(w, r, http.StatusOK, f.Page, m)
	}
	before, err := entryNumber(r.PostFormValue("before"))
	if err != nil {
		return err
	}
	m.Patient = strings.TrimSpace(r.PostFormValue("patient"))
	looks, older, err := v.Office.Looked(r.Context(), watch, m.Patient, before)
	if known, ok := errors.AsType[*fhir.Error](err); ok && known.Status == http.StatusNotFound {
		m.Nobody, err = true, nil
	}
	if err != nil {
		return err
	}
	m.Done, m.Older = true, older
	for _, x := range looks {
		m.Looks = append(m.Looks, lookLine{x, clinical.Moment(x.From, v.Zone), clinical.Moment(x.Until, v.Zone)})
	}
	return v.render(w, r, http.StatusOK, f.Page, m)
}

// entryNumber reads where older entries of the log begin.
func entryNumber(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fhir.NotFound()
	}
	return n, nil
}

// LookedBy says who looked: a person with the role, or a system.
func (f *frame) LookedBy(x record.Look) string {
	switch {
	case x.Audience == "":
		return f.v.words.say("officer.looked.operator")
	case x.Role == "":
		return x.Name + ", " + f.v.words.say("officer.looked.system")
	case x.Role == access.PrivacyOfficer: // the office answers for it, whoever it was
		return f.RoleWord(x.Role)
	}
	return x.Name + ", " + f.RoleWord(x.Role)
}

// LookedAt says what was looked at; a type that has no word is FHIR's.
func (f *frame) LookedAt(what []string) string {
	words := make([]string, len(what))
	for i, s := range what {
		words[i] = f.v.words.or("looked."+s, s)
	}
	return strings.Join(words, ", ")
}
