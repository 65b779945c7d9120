package viewer

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"firebreak/audit"
	"firebreak/auth/smart"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/viewer/clinical"
	"firebreak/web"
)

const clientsAt = opsAt + "/clients"

type opsClientsModel struct {
	*frame
	Waiting, All []clientLine
	Open         bool   // clients may register themselves
	Wrong        string // why nothing was done; empty when it was
	Of           string // with which client
}

// clientLine is a client in a list, with what can be done about it.
type clientLine struct {
	smart.Listed
	F        *frame
	Scopes   []string
	Came, At clinical.Time // when it registered, when its state was reached
	Used     clinical.Time
	Acts     []smart.Act
}

// Word is the state.
func (l clientLine) Word() string { return string(l.State) }

// LetsAppsIn tells whether there are clients to look at.
func (f *frame) LetsAppsIn() bool { return f.v.Apps != nil }

// ClientWord is a state of a client, or what is done about one, in words.
func (f *frame) ClientWord(s any) string { return f.v.words.say(fmt.Sprintf("ops.client.%v", s)) }

// opsClients lists the apps and backend services.
func (v *Viewer) opsClients(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	if err := v.operated(r, s, "list of clients"); err != nil {
		return err
	}
	return v.clientsPage(w, r, f, http.StatusOK, "", "")
}

func (v *Viewer) clientsPage(w http.ResponseWriter, r *http.Request, f *frame, status int, wrong, of string) error {
	all, err := v.Apps.Clients.List(r.Context())
	if err != nil {
		return err
	}
	m := opsClientsModel{frame: f, Open: v.Apps.Registration.Open, Wrong: wrong, Of: of}
	for _, c := range all {
		l := clientLine{Listed: c, F: f, Scopes: strings.Fields(c.Client.Scopes), Acts: c.Acts()}
		if !c.Made.IsZero() {
			l.Came, l.At = clinical.Moment(c.Made, v.Zone), clinical.Moment(c.Since, v.Zone)
		}
		if !c.Last.IsZero() {
			l.Used = clinical.Moment(c.Last, v.Zone)
		}
		if c.State == smart.Pending {
			m.Waiting = append(m.Waiting, l)
		} else {
			m.All = append(m.All, l)
		}
	}
	return v.render(w, r, status, f.Page, m)
}

// decideClient does what an operator decides on a client: an act, or limits. It is
// written down first.
func (v *Viewer) decideClient(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	id, do := r.PostFormValue("client"), r.PostFormValue("do")
	again := func(word string) error {
		return v.clientsPage(w, r, f, http.StatusUnprocessableEntity, v.words.say(word), id)
	}
	var err error
	if do == "limit" {
		own, ok := readLimits(r.PostFormValue("api"), r.PostFormValue("token"))
		if !ok {
			return again("ops.client.limits.wrong")
		}
		if err := v.operated(r, s, fmt.Sprintf("limits of client %q: %d requests and %d for tokens a minute", id, own.API, own.Token)); err != nil {
			return err
		}
		err = v.Apps.Clients.SetLimits(r.Context(), id, own)
	} else {
		reason, ok := record.WrittenReason(r.PostFormValue("reason"))
		if !ok {
			return again("ops.aside.mute")
		}
		if err := v.operated(r, s, fmt.Sprintf("%s client %q: %s", do, id, reason)); err != nil {
			return err
		}
		err = v.Apps.Clients.Decide(r.Context(), id, smart.Act(do), s.Operator.Caller().Name(), reason)
	}
	switch {
	case errors.Is(err, smart.ErrName):
		return again("ops.client.name")
	case errors.Is(err, smart.ErrClient):
		return fhir.NotFound()
	case err != nil:
		return err
	}
	http.Redirect(w, r, clientsAt, http.StatusSeeOther)
	return nil
}

// readLimits reads limits of a form; what is left empty is what holds for all.
func readLimits(api, token string) (own smart.Limits, ok bool) {
	for _, field := range []struct {
		text string
		to   *int
	}{{api, &own.API}, {token, &own.Token}} {
		text := strings.TrimSpace(field.text)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > smart.MaxLimit {
			return smart.Limits{}, false
		}
		*field.to = n
	}
	return own, true
}

// operated writes down what an operator does on these pages.
func (v *Viewer) operated(r *http.Request, s record.Shift, detail string) error {
	return v.Audit(r.Context(), audit.Event{Time: v.Now(), Action: audit.Operate, Caller: s.Operator.Caller(), Detail: detail, Address: web.Address(r), Request: web.RequestID(r)})
}
