package viewer

import (
	"html/template"
	"net/http"

	"firebreak/record"
	"firebreak/viewer/clinical"
)

const duplicatesAt = opsAt + "/duplicates"

type opsDuplicatesModel struct {
	*frame
	Open, Past []pairLine
	Clear      bool
	Whys       []record.Why
}

type pairLine struct {
	record.Pair
	Clear bool
	Feeds [2]string // as they are called
	Words []string  // what agrees
	Said  string    // who decided what
	On    template.HTML
}

// duplicates are the pairs of charts that are probably of one person, masked until
// somebody says why they are to be seen. What is decided is decided in clear.
func (v *Viewer) duplicates(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	why := record.Why(r.PostFormValue("why"))
	open, past, err := v.Ops.Pairs(r.Context(), s, why)
	if err != nil {
		return err
	}
	m := opsDuplicatesModel{frame: f, Clear: why != "", Whys: record.Whys()}
	lines := func(all []record.Pair) (out []pairLine) {
		for _, p := range all {
			l := pairLine{Pair: p, Clear: m.Clear}
			for i, who := range p.Of {
				l.Feeds[i] = v.feedName(who.Source)
			}
			for _, a := range p.Agrees {
				l.Words = append(l.Words, v.words.say("ops.duplicates.on."+a))
			}
			if p.Decided != "" {
				l.Said, l.On = v.words.say("ops.duplicates.said."+string(p.Decided), p.Who), f.When(clinical.Moment(p.At, v.Zone))
			}
			out = append(out, l)
		}
		return out
	}
	m.Open, m.Past = lines(open), lines(past)
	return v.render(w, r, http.StatusOK, f.Page, m)
}

// judge takes what was decided on a pair.
func (v *Viewer) judge(w http.ResponseWriter, r *http.Request, _ *frame, s record.Shift) error {
	err := v.Ops.Judge(r.Context(), s, r.PostFormValue("a"), r.PostFormValue("b"), record.Judgement(r.PostFormValue("decision")))
	if err != nil {
		return err
	}
	http.Redirect(w, r, duplicatesAt, http.StatusSeeOther)
	return nil
}
