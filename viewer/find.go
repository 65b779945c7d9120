package viewer

import (
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/viewer/clinical"
	"firebreak/web"
)

// findModel is the page that looks for a person.
type findModel struct {
	*frame
	Asked  record.Find // what was typed, shown again
	Born   string      // the birth date as typed
	Wrong  string      // what is missing or cannot be read, as a text key
	Field  string      // the field that is wrong
	Done   bool        // a search was made
	Many   bool        // more than ten match
	People []hit

	Action  string // where the form goes
	App     string // that the person is looked for, empty on the page "find"
	Request string // of that app
}

// hit is one person found.
type hit struct {
	clinical.Person
	Handle string
	Link   string
}

// find shows the form, and what a search found when the address names one made
// in this session.
func (v *Viewer) find(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	m := &findModel{Action: findPage, frame: v.frame(r, "find", caller)}
	if made, ok := v.seeks.get(m.session.Key, r.URL.Query().Get("n")); ok {
		m.Asked, m.Born, m.Done = made.Find, made.born, true
		if err := v.look(r, caller, m); err != nil {
			return err
		}
	}
	return v.render(w, r, http.StatusOK, "find", m)
}

// seek takes a search, keeps it under a random number and shows it under that:
// so Back works, and neither address, history nor log holds what was typed.
func (v *Viewer) seek(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	m := &findModel{Action: findPage, frame: v.frame(r, "find", caller), Born: strings.TrimSpace(r.PostFormValue("born"))}
	m.Asked = record.Find{Number: strings.TrimSpace(r.PostFormValue("number")), Family: strings.TrimSpace(r.PostFormValue("family"))}
	if m.check() {
		n := v.seeks.put(m.session.Key, search{m.Asked, m.Born, v.Now()})
		http.Redirect(w, r, "/find?n="+n, http.StatusSeeOther)
		return nil
	}
	return v.render(w, r, http.StatusUnprocessableEntity, "find", m)
}

// check holds a search to the rule: a number, or family name and birth date;
// no browsing (PX-16).
func (m *findModel) check() bool {
	wild := func(s string) bool { return strings.ContainsAny(s, "*%?_") }
	wrong := func(field, key string) bool { m.Field, m.Wrong = field, key; return false }
	switch {
	case m.Asked.Number != "":
		if utf8.RuneCountInString(m.Asked.Number) < 3 || wild(m.Asked.Number) {
			return wrong("number", "find.wrong.number")
		}
		m.Asked.Family, m.Born = "", ""
		return true
	case m.Asked.Family == "" && m.Born == "":
		return wrong("number", "find.wrong.empty")
	case utf8.RuneCountInString(m.Asked.Family) < 2 || wild(m.Asked.Family):
		return wrong("family", "find.wrong.family")
	case m.Born == "":
		return wrong("born", "find.wrong.born")
	}
	born, ok := readDay(m.Born)
	if !ok {
		return wrong("born", "find.wrong.date")
	}
	m.Asked.Birth = born
	return true
}

// readDay reads a birth date as people write it, the month in letters or the
// year first; a date that could be read two ways is not read.
func readDay(s string) (string, bool) {
	s = strings.Join(strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(" -./,", c) }), "-")
	for _, layout := range []string{"2-Jan-2006", "2-January-2006", "2006-1-2", "20060102", "Jan-2-2006", "January-2-2006"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1800 {
			return t.Format(time.DateOnly), true
		}
	}
	return "", false
}

// look makes the search. A number is tried as typed, then without the spaces
// and dashes people put into it.
func (v *Viewer) look(r *http.Request, caller access.Caller, m *findModel) error {
	ask := v.ask(r, caller, audit.Find, "find")
	found, err := v.Reader.Find(r.Context(), ask, m.Asked)
	bare := strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' {
			return -1
		}
		return c
	}, m.Asked.Number)
	if err == nil && len(found) == 0 && bare != m.Asked.Number {
		asked := m.Asked
		asked.Number = bare
		found, err = v.Reader.Find(r.Context(), ask, asked)
	}
	var known *fhir.Error
	switch {
	case errors.As(err, &known) && known.Code == "too-costly":
		m.Many = true
		return nil
	case errors.As(err, &known) && known.Status == http.StatusNotFound:
		return nil
	case err != nil:
		return err
	}
	m.People = v.hits(m.frame, found)
	return nil
}

func (v *Viewer) hits(f *frame, found []policy.Released) []hit {
	all := make([]hit, len(found))
	for i, x := range found {
		handle := v.handles.patient(f.session.Key, x.Resource().Ref())
		all[i] = hit{clinical.ReadPerson(x.Resource(), f.now, v.words.say), handle, "/p/" + handle}
	}
	return all
}

// recent are the charts the person opened last here. Each is asked for anew,
// so one that may no longer be seen is gone from the list (PX-15).
func (v *Viewer) recent(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	f := v.frame(r, "recent", caller)
	model := struct {
		*frame
		People []recentHit
		Lost   bool // the list could not be loaded
	}{frame: f}
	seen, err := v.Desk.Recent(r.Context(), caller.Person(), caller.Worksite().ID)
	model.Lost = err != nil
	for _, s := range seen {
		got, err := v.Reader.Get(r.Context(), v.ask(r, caller, audit.Find, "recent"), fhir.Ref{Type: "Patient", ID: s.Patient})
		var known *fhir.Error
		if errors.As(err, &known) && known.Status == http.StatusNotFound {
			continue
		}
		if err != nil {
			return err
		}
		model.People = append(model.People, recentHit{v.hits(f, []policy.Released{got})[0], clinical.Moment(s.At, v.Zone)})
	}
	return v.render(w, r, http.StatusOK, "recent", model)
}

type recentHit struct {
	hit
	Opened clinical.Time
}

// searches keeps what was searched for, for as long as a session may last
// unused, so that what was typed need not stand in an address.
type searches struct {
	now func() time.Time

	mu   sync.Mutex // guards kept
	kept map[string]search
}

// search is one search that was made.
type search struct {
	record.Find
	born string
	made time.Time
}

const (
	keptSearches = 10_000
	searchAge    = 15 * time.Minute
)

func newSearches(now func() time.Time) *searches {
	return &searches{now: now, kept: map[string]search{}}
}

func (s *searches) put(session string, x search) string {
	n := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= keptSearches {
		for k, old := range s.kept {
			if s.now().Sub(old.made) > searchAge || len(s.kept) >= keptSearches {
				delete(s.kept, k)
			}
		}
	}
	s.kept[session+" "+n] = x
	return n
}

func (s *searches) get(session, n string) (search, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.kept[session+" "+n]
	if !ok || s.now().Sub(x.made) > searchAge {
		return search{}, false
	}
	return x, true
}

var _ Accounts = web.Accounts{}

// hitView is one line of a list of people.
type hitView struct {
	Person clinical.Person
	Link   string
	Sex    string
	Opened template.HTML
}

// Hit is a person found, for the list.
func (f *frame) Hit(p clinical.Person, link string) hitView {
	return hitView{p, link, f.Sex(&p), ""}
}

// HitSeen is a person whose chart was opened before.
func (f *frame) HitSeen(p clinical.Person, link string, opened clinical.Time) hitView {
	return hitView{p, link, f.Sex(&p), f.When(opened)}
}
