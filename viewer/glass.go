package viewer

import (
	"errors"
	"net/http"
	"strings"

	"firebreak/audit"
	"firebreak/record"
	"firebreak/viewer/clinical"
)

// Emergency access ("breaking the glass") is offered on every chart alike, to
// those whom the policy offers it: neither the offer nor the form depends on
// whether there is more to see.

// glassModel is the form.
type glassModel struct {
	*frame
	Reasons []record.Reason
	Reason  record.Reason // as chosen, shown again
	Words   string
	Wrong   bool
}

func (v *Viewer) glass(w http.ResponseWriter, r *http.Request, f *frame) error {
	return v.render(w, r, http.StatusOK, "glass", glassModel{frame: f, Reasons: record.Reasons()})
}

// breakGlass opens the chart and leads back to it.
func (v *Viewer) breakGlass(w http.ResponseWriter, r *http.Request, f *frame) error {
	m := glassModel{frame: f, Reasons: record.Reasons(), Reason: record.Reason(r.PostFormValue("reason")), Words: strings.TrimSpace(r.PostFormValue("words"))}
	err := v.Reader.Break(r.Context(), v.ask(r, f.Caller, audit.Break, "glass"), f.patient, m.Reason, m.Words)
	if errors.Is(err, record.ErrReason) {
		m.Wrong = true
		return v.render(w, r, http.StatusUnprocessableEntity, "glass", m)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, f.Base, http.StatusSeeOther)
	return nil
}

// mendGlass ends what was opened.
func (v *Viewer) mendGlass(w http.ResponseWriter, r *http.Request, f *frame) error {
	if err := v.Reader.Mend(r.Context(), v.ask(r, f.Caller, audit.Mend, "glass"), f.patient); err != nil {
		return err
	}
	http.Redirect(w, r, f.Base, http.StatusSeeOther)
	return nil
}

// Minutes is how long a chart stays open.
func (f *frame) Minutes() int { return int(f.Glass.Offered.Minutes()) }

// GlassEnds is when the chart closes by itself.
func (f *frame) GlassEnds() clinical.Time { return clinical.Moment(f.Glass.Ends, f.v.Zone) }

// ReasonWord is a reason in words.
func (f *frame) ReasonWord(r record.Reason) string {
	return f.v.words.or("glass."+string(r), string(r))
}
