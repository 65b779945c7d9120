package viewer

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/label"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/viewer/clinical"
	"firebreak/web"
)

// Office is what a privacy officer sees and does; record.Office does. Each call
// is audited before it returns.
type Office interface {
	Alerts(ctx context.Context, w record.Watch) (open, closed []record.Alert, err error)
	Close(ctx context.Context, w record.Watch, id, note string) error
	Policy(ctx context.Context, w record.Watch) (*policy.Policy, error)
	Try(ctx context.Context, w record.Watch, at policy.Position, patient string) ([]policy.Verdict, error)
	Log(ctx context.Context, w record.Watch, patient, person string, action audit.Action, before int64) (found []audit.Entry, more bool, err error)
	Looked(ctx context.Context, w record.Watch, patient string, before int64) (looks []record.Look, older int64, err error)
	Waiting(ctx context.Context, w record.Watch, held bool, page int) (record.Waiting, error)
	Told(ctx context.Context, w record.Watch, t record.Told) error
	Codes(ctx context.Context, w record.Watch) ([]record.LocalCode, error)
	Classify(ctx context.Context, w record.Watch, d record.Decision) error
}

// overseer answers one request of a privacy officer on one page.
type overseer func(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error

// office makes a handler of the privacy officer's page of that name.
func (v *Viewer) office(page string, h overseer) http.Handler {
	return v.pages.Officer(func(w http.ResponseWriter, r *http.Request, o access.Officer) error {
		f := v.frame(r, "officer-"+page, o.Caller())
		f.Tab = page
		return h(w, r, f, record.Watch{Officer: o, Page: page, Address: web.Address(r), Request: web.RequestID(r)})
	})
}

// alertLine is an alert as the page shows it.
type alertLine struct {
	record.Alert
	At, Until, Done clinical.Time
	Days            int // it has been open
}

type alertsModel struct {
	*frame
	Open, Closed []alertLine
	Wrong        string // id of the alert whose note is missing
}

func (v *Viewer) alerts(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	return v.alertsPage(w, r, f, watch, http.StatusOK, "")
}

func (v *Viewer) alertsPage(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch, status int, wrong string) error {
	open, closed, err := v.Office.Alerts(r.Context(), watch)
	if err != nil {
		return err
	}
	lines := func(all []record.Alert) []alertLine {
		out := make([]alertLine, len(all))
		for i, a := range all {
			out[i] = alertLine{a, clinical.Moment(a.Opened, v.Zone), clinical.Moment(a.Ends, v.Zone), clinical.Time{}, int(f.now.Sub(a.Opened) / (24 * time.Hour))}
			if !a.Closed.IsZero() {
				out[i].Done = clinical.Moment(a.Closed, v.Zone)
			}
		}
		return out
	}
	return v.render(w, r, status, f.Page, alertsModel{f, lines(open), lines(closed), wrong})
}

func (v *Viewer) closeAlert(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	id := mux.Vars(r)["id"]
	err := v.Office.Close(r.Context(), watch, id, r.PostFormValue("note"))
	if errors.Is(err, record.ErrNote) {
		return v.alertsPage(w, r, f, watch, http.StatusUnprocessableEntity, id)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/officer", http.StatusSeeOther)
	return nil
}

type policyModel struct {
	*frame
	Version   string
	Outlines  []policy.Outline
	Positions []policy.Position
	Tried     string // the patient as typed
	As        string // the position, as its option's value
	Done      bool
	Nobody    bool
	Kept, All int
	Verdicts  []policy.Verdict // what is withheld, then what is shown changed
}

// PositionKey is the value of a position's option, and PositionWord its text.
func (f *frame) PositionKey(p policy.Position) string {
	return string(p.Audience) + " " + string(p.Role)
}
func (f *frame) PositionWord(p policy.Position) string {
	if p.Role == "" {
		return string(p.Audience)
	}
	return string(p.Audience) + ", " + f.RoleWord(p.Role)
}

// policyPage shows the policy in force; posted to, what it does with a chart.
func (v *Viewer) policyPage(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	p, err := v.Office.Policy(r.Context(), watch)
	if err != nil {
		return err
	}
	m := policyModel{frame: f, Version: p.Version(), Outlines: p.Outlines(), Positions: p.Positions()}
	if r.Method != http.MethodPost {
		return v.render(w, r, http.StatusOK, f.Page, m)
	}
	m.Tried, m.As = strings.TrimSpace(r.PostFormValue("patient")), r.PostFormValue("as")
	i := slices.IndexFunc(m.Positions, func(p policy.Position) bool { return f.PositionKey(p) == m.As })
	if i < 0 || m.Tried == "" {
		return v.render(w, r, http.StatusUnprocessableEntity, f.Page, m)
	}
	m.Verdicts, err = v.Office.Try(r.Context(), watch, m.Positions[i], m.Tried)
	if known, ok := errors.AsType[*fhir.Error](err); ok && known.Status == http.StatusNotFound {
		m.Nobody, err = true, nil
	}
	if err != nil {
		return err
	}
	m.Done = true
	m.All = len(m.Verdicts)
	m.Verdicts = slices.DeleteFunc(m.Verdicts, func(x policy.Verdict) bool {
		m.Kept += number(x.Kept)
		return x.Kept && !x.Changed
	})
	slices.SortStableFunc(m.Verdicts, func(a, b policy.Verdict) int { return cmp.Compare(number(a.Kept), number(b.Kept)) })
	return v.render(w, r, http.StatusOK, f.Page, m)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Feed is the display name of a source.
func (f *frame) Feed(source string) string { return f.v.feedName(source) }

// RoleText is the word for a role as the log holds it.
func (f *frame) RoleText(role string) string { return f.RoleWord(access.Role(role)) }

// LabelWords are labels in one line, without what is bookkeeping.
func (f *frame) LabelWords(all []label.Label) string {
	var words []string
	for _, l := range all {
		if !l.Internal() {
			words = append(words, string(l))
		}
	}
	return strings.Join(words, ", ")
}

type logModel struct {
	*frame
	Patient, Person, Action string
	Actions                 []audit.Action
	Done                    bool
	Older                   int64 // where older entries begin; 0: there are none
	Entries                 []logLine
}

type logLine struct {
	audit.Entry
	At clinical.Time
}

// actions that can be looked for.
var actions = []audit.Action{audit.Page, audit.Print, audit.Find, audit.Read, audit.Search, audit.Export, audit.Break, audit.Mend, audit.SignIn, audit.SignOut, audit.Write, audit.Operate, audit.Classify, audit.Oversee}

func (v *Viewer) logPage(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	m := logModel{frame: f, Actions: actions}
	if r.Method != http.MethodPost {
		return v.render(w, r, http.StatusOK, f.Page, m)
	}
	m.Patient, m.Person, m.Action = strings.TrimSpace(r.PostFormValue("patient")), strings.TrimSpace(r.PostFormValue("person")), r.PostFormValue("action")
	if m.Action != "" && !slices.Contains(actions, audit.Action(m.Action)) {
		return fhir.NotFound()
	}
	before, err := entryNumber(r.PostFormValue("before"))
	if err != nil {
		return err
	}
	found, more, err := v.Office.Log(r.Context(), watch, m.Patient, m.Person, audit.Action(m.Action), before)
	if err != nil {
		return err
	}
	m.Done = true
	if more {
		m.Older = found[len(found)-1].N
	}
	for _, e := range found {
		m.Entries = append(m.Entries, logLine{e, clinical.Moment(e.Time, v.Zone)})
	}
	return v.render(w, r, http.StatusOK, f.Page, m)
}

type codesModel struct {
	*frame
	Waiting, Decided []codeLine
	More             int // that wait besides
	Classes          []label.Label
}

type codeLine struct {
	record.LocalCode
	Last clinical.Time
}

// shownCodes is how many local codes are on a page; the rest come when these are
// classified, and all of them by firebreak codes.
const shownCodes = 50

func (v *Viewer) codes(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	all, err := v.Office.Codes(r.Context(), watch)
	if err != nil {
		return err
	}
	m := codesModel{frame: f, Classes: label.Classes()}
	for _, c := range all {
		x := codeLine{c, clinical.Moment(c.Latest, v.Zone)}
		switch {
		case !c.Decided.IsZero() && len(m.Decided) < shownCodes:
			m.Decided = append(m.Decided, x)
		case c.Decided.IsZero() && len(m.Waiting) < shownCodes:
			m.Waiting = append(m.Waiting, x)
		case c.Decided.IsZero():
			m.More++
		}
	}
	return v.render(w, r, http.StatusOK, f.Page, m)
}

// harmless is the choice that a code means nothing sensitive.
const harmless = "harmless"

func (v *Viewer) classify(w http.ResponseWriter, r *http.Request, f *frame, watch record.Watch) error {
	d := record.Decision{Code: label.Code{Source: r.PostFormValue("source"), System: r.PostFormValue("system"), Code: r.PostFormValue("code"), Display: r.PostFormValue("display")}}
	switch means := label.Label(r.PostFormValue("means")); {
	case means == harmless:
	case slices.Contains(label.Classes(), means):
		d.Labels = []label.Label{means}
	default:
		return fhir.NotFound()
	}
	if err := v.Office.Classify(r.Context(), watch, d); err != nil {
		return err
	}
	http.Redirect(w, r, "/officer/codes", http.StatusSeeOther)
	return nil
}
