package viewer

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/viewer/clinical"
)

// waitingModel is a page of what patients do not know of.
type waitingModel struct {
	*frame
	record.Waiting
	Overdue      bool // not reviewed, rather than withheld and not told
	Number       int  // of the page, from 1
	Lines        []waitingLine
	Newer, Older string
	Today        string
	Ways         []string
	Wrong        bool
}

type waitingLine struct {
	policy.Waiting
	Days  int           // it has waited
	Came  clinical.Time // when it came
	Stamp int64         // the same to the microsecond
	Wrong bool          // what was said of it is not enough
	Said  record.Told
}

const waitingAt = "/officer/waiting"

func (v *Viewer) waiting(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	return v.waitingPage(w, r, f, watch, http.StatusOK, r.FormValue("page"), r.FormValue("list") == "overdue", record.Told{})
}

func (v *Viewer) waitingPage(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch, status int, page string, overdue bool, wrong record.Told) error {
	m := waitingModel{frame: f, Overdue: overdue, Number: 1, Today: f.now.In(v.Zone).Format(time.DateOnly), Ways: record.Ways(), Wrong: !wrong.Ref.IsZero()}
	if page != "" {
		n, err := strconv.Atoi(page)
		if err != nil || n < 1 || n > 1_000_000 {
			return fhir.NotFound()
		}
		m.Number = n
	}
	var err error
	if m.Waiting, err = v.Office.Waiting(r.Context(), watch, !overdue, m.Number); err != nil {
		return err
	}
	for _, x := range m.Results {
		l := waitingLine{Waiting: x, Days: int(f.now.Sub(x.Since) / (24 * time.Hour)), Came: clinical.Moment(x.Since, v.Zone), Stamp: x.Since.UnixMicro()}
		if l.Wrong = x.Ref == wrong.Ref; l.Wrong {
			l.Said = wrong
		}
		m.Lines = append(m.Lines, l)
	}
	at := func(n int) string {
		query := map[string]string{}
		if overdue {
			query["list"] = "overdue"
		}
		if n > 1 {
			query["page"] = strconv.Itoa(n)
		}
		return address(waitingAt, query)
	}
	if m.Number > 1 {
		m.Older = at(m.Number - 1)
	}
	if m.More { // the oldest are on the first page
		m.Newer = at(m.Number + 1)
	}
	return v.render(w, r, status, f.Page, m)
}

// told writes down that a patient was told of a result on the page.
func (v *Viewer) told(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	since, err := strconv.ParseInt(r.PostFormValue("since"), 10, 64)
	ref, ok := fhir.ParseRef(r.PostFormValue("ref"))
	if err != nil || !ok {
		return fhir.NotFound()
	}
	said := record.Told{Ref: ref, Since: time.UnixMicro(since).UTC(), On: r.PostFormValue("on"), By: r.PostFormValue("by"), How: r.PostFormValue("how"), Note: r.PostFormValue("note")}
	err = v.Office.Told(r.Context(), watch, said)
	if errors.Is(err, record.ErrTold) {
		return v.waitingPage(w, r, f, watch, http.StatusUnprocessableEntity, "", false, said)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, waitingAt, http.StatusSeeOther)
	return nil
}

// WayWord is how a patient may be told, in words.
func (f *frame) WayWord(way string) string { return f.v.words.say("way." + way) }

// ReviewDays are the days in which results are usually reviewed.
func (f *frame) ReviewDays() int { return policy.ReviewDays }
