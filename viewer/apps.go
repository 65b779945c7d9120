package viewer

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/auth/smart"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/viewer/clinical"
	"firebreak/web"
)

// The pages on which a person lets an app in. An app's request waits in
// auth/smart; what the browser carries is its name, in a cookie, so that sign-in
// and the choice of a worksite lead back here and no address holds it.
const (
	appsAt    = smart.ManagePath
	letInAt   = appsAt + "/let-in"
	consentAt = appsAt + "/consent"
	patientAt = appsAt + "/patient"
)

// appRoutes are there when apps are.
func (v *Viewer) appRoutes(r *mux.Router) {
	p, g, s := v.pages, v.Guard, v.Apps
	get := func(path string, h http.Handler) { r.Handle(path, h).Methods(http.MethodGet, http.MethodHead) }
	post := func(path string, h http.Handler) { r.Handle(path, h).Methods(http.MethodPost) }

	get(smart.OpenIDPath, g.OpenAPI(s.ServeDiscovery))
	get(smart.KeysPath, g.OpenAPI(s.ServeKeys))
	get(smart.StylePath, g.OpenAPI(s.ServeStyle))
	post(smart.TokenPath, g.OpenAPI(s.Token))
	post(smart.IntrospectPath, g.OpenAPI(s.Introspect))
	post(smart.RevokePath, g.OpenAPI(s.Revoke))
	if s.Registration.Open {
		post(smart.RegisterPath, g.OpenAPI(v.register))
		r.Handle(smart.RegisterPath+"/{id:app-[A-Za-z0-9_-]{22}}", g.OpenAPI(func(w http.ResponseWriter, r *http.Request) error {
			return s.Registered(w, r, mux.Vars(r)["id"])
		})).Methods(http.MethodGet, http.MethodDelete)
	}
	get(smart.AuthorizePath, p.Arrive(v.authorize))
	post(smart.AuthorizePath, p.Arrive(v.authorize))

	get(letInAt, p.Open(v.letIn))
	get(consentAt, p.Page(v.consent))
	post(consentAt, p.Page(v.decide))
	post(patientAt, p.Page(v.pickPatient))
	post(patientAt+"/choose", p.Page(v.choosePatient))
	get(appsAt, p.Page(v.apps))
	post(appsAt, p.Page(v.endApp))

	get("/p/{h}/apps", p.Page(v.chartPage("gallery", audit.Page, v.gallery)))
	post("/p/{h}/apps", p.Page(v.chartPage("launch", audit.Page, v.launch)))
}

// authorize takes an app's request. It is the one page that another site may
// post to: it reads no session and only keeps what was asked.
func (v *Viewer) authorize(w http.ResponseWriter, r *http.Request) error {
	to, err := v.Apps.Authorize(w, r, letInAt)
	if err != nil {
		return v.appProblem(err)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// register takes a client's registration. That it came is written down.
func (v *Viewer) register(w http.ResponseWriter, r *http.Request) error {
	return v.Apps.Register(w, r, func(id string) error {
		return v.note(r, auth.Identity{}, audit.Operate, false, "client "+id+" registers itself")
	})
}

// appProblem shows what of an error is for the person.
func (v *Viewer) appProblem(err error) error {
	text := ""
	switch {
	case errors.Is(err, smart.ErrRequest):
		text = v.words.say("apps.wrong")
	case errors.Is(err, smart.ErrWaits):
		text = v.words.say("apps.waits")
	case errors.Is(err, smart.ErrSuspended):
		text = v.words.say("apps.suspended")
	case errors.Is(err, smart.ErrGone):
		text = v.words.say("apps.gone")
	default:
		return err
	}
	return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: text, Err: err}
}

// letIn leads to sign-in, to the choice of a worksite, or to consent.
func (v *Viewer) letIn(w http.ResponseWriter, r *http.Request) error {
	switch s := web.SessionOf(r); {
	case s.Identity.IsZero():
		return v.Accounts.Begin(w, r)
	case s.Worksite == "":
		http.Redirect(w, r, "/worksite", http.StatusSeeOther)
	default:
		http.Redirect(w, r, consentAt, http.StatusSeeOther)
	}
	return nil
}

// consent asks for the patient if one is needed, then for what the app may do.
func (v *Viewer) consent(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	id := v.Apps.Waiting(r)
	asked, err := v.Apps.Asked(r.Context(), id, web.SessionOf(r).Key)
	if errors.Is(err, smart.ErrGone) {
		v.Apps.Forget(w)
	}
	if err != nil {
		return v.appProblem(err)
	}
	if asked.Needs {
		m := &findModel{frame: v.frame(r, "apps-patient", caller), App: asked.App, Request: id, Action: patientAt}
		return v.render(w, r, http.StatusOK, "apps-patient", m)
	}
	model := struct {
		*frame
		App     string
		Request string
		Patient *clinical.Person
		Scopes  []scopeLine
	}{frame: v.frame(r, "apps-consent", caller), App: asked.App, Request: id}
	if asked.Patient != "" {
		got, err := v.Reader.Get(r.Context(), v.ask(r, caller, audit.Find, "app"), fhir.Ref{Type: "Patient", ID: asked.Patient})
		if err != nil {
			return err
		}
		person := clinical.ReadPerson(got.Resource(), model.now, v.words.say)
		model.Patient = &person
	}
	for _, word := range asked.Scopes {
		if text := v.scopeText(word); text != "" {
			line := scopeLine{Word: word, Text: text}
			for _, part := range smart.Parts(word, asked.Scopes) {
				_, query, _ := strings.Cut(part, "?")
				line.Parts = append(line.Parts, scopeLine{Word: part, Text: v.onlyText(query)})
			}
			model.Scopes = append(model.Scopes, line)
		}
	}
	web.FormTo(w, asked.Redirect)
	return v.render(w, r, http.StatusOK, "apps-consent", model)
}

// scopeLine is a scope, what it means, and what may be granted in its place.
type scopeLine struct {
	Word, Text string
	Parts      []scopeLine
}

// scopeText says a scope in plain words; nothing of one that is no permission.
func (v *Viewer) scopeText(word string) string {
	s, clinical := auth.ParseScope(word)
	if !clinical {
		if word == "launch/patient" || word == "launch" {
			return ""
		}
		return v.words.or("apps.scope."+word, word)
	}
	may := "r"
	if s.Type == "Subscription" && s.May&(auth.Create|auth.Update) != 0 {
		return v.words.say("apps.may." + string(s.Context) + ".told")
	}
	switch s.May {
	case auth.Search:
		may = "s"
	case auth.Read | auth.Search:
		may = "rs"
	}
	what := v.words.or("apps.type."+s.Type, s.Type)
	if s.Granular() {
		what = v.words.say("apps.only", what, v.onlyText(s.Query))
	}
	return v.words.say("apps.may."+string(s.Context)+"."+may, what)
}

// onlyText says a scope's restriction. A code that we have no words for stands as the
// app wrote it, with its system; what it could pass off as our words stays encoded.
func (v *Viewer) onlyText(query string) string {
	join := func(key, before, text string) string {
		if before == "" {
			return text
		}
		return v.words.say(key, before, text)
	}
	all := ""
	for part := range strings.SplitSeq(query, "&") {
		name, values, _ := strings.Cut(part, "=")
		any := ""
		for value := range strings.SplitSeq(strings.ReplaceAll(values, "%2C", ","), ",") {
			if plain, err := url.QueryUnescape(value); err == nil && !strings.ContainsFunc(plain, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				value = plain
			}
			text := name + " " + value
			if name == "category" {
				text = v.words.or("apps.only."+value[strings.LastIndex(value, "|")+1:], text)
			}
			any = join("apps.either", any, text)
		}
		all = join("apps.both", all, any)
	}
	return all
}

// pickPatient looks for the patient as the page "find" does.
func (v *Viewer) pickPatient(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	id := r.PostFormValue("request")
	asked, err := v.Apps.Asked(r.Context(), id, web.SessionOf(r).Key)
	if err != nil {
		return v.appProblem(err)
	}
	m := &findModel{frame: v.frame(r, "apps-patient", caller), App: asked.App, Request: id, Action: patientAt, Born: strings.TrimSpace(r.PostFormValue("born"))}
	m.Asked = record.Find{Number: strings.TrimSpace(r.PostFormValue("number")), Family: strings.TrimSpace(r.PostFormValue("family"))}
	status := http.StatusOK
	if m.check() {
		m.Done = true
		if err := v.look(r, caller, m); err != nil {
			return err
		}
	} else {
		status = http.StatusUnprocessableEntity
	}
	return v.render(w, r, status, "apps-patient", m)
}

// choosePatient takes one of those found. A handle of another session, of
// nobody and of a patient who may not be seen are the same 404.
func (v *Viewer) choosePatient(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	session := web.SessionOf(r).Key
	patient, ok := v.handles.open(session, r.PostFormValue("patient"))
	if !ok {
		return fhir.NotFound()
	}
	got, err := v.Reader.Get(r.Context(), v.ask(r, caller, audit.Find, "app"), patient)
	if err != nil {
		return err
	}
	if err := v.Apps.Choose(r.Context(), r.PostFormValue("request"), session, got.Resource().ID()); err != nil {
		return v.appProblem(err)
	}
	http.Redirect(w, r, consentAt, http.StatusSeeOther)
	return nil
}

// decide takes the person's answer back to the app. It is written down first.
func (v *Viewer) decide(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	s, id := web.SessionOf(r), r.PostFormValue("request")
	asked, err := v.Apps.Asked(r.Context(), id, s.Key)
	if err != nil {
		return v.appProblem(err)
	}
	allowed := r.PostFormValue("answer") == "allow"
	if err := v.note(r, s.Identity, audit.SignIn, !allowed, "app "+asked.App); err != nil {
		return err
	}
	var to string
	if allowed {
		who := smart.Person{Identity: s.Identity, ID: caller.Person(), Name: caller.Name(), Worksite: caller.Worksite().ID}
		if m, ok := caller.OnBehalfOf(); ok {
			who.For = m.Person
		}
		if asked.Encounter != "" {
			_, err := v.Reader.Get(r.Context(), v.ask(r, caller, audit.Read, "app"), fhir.Ref{Type: "Encounter", ID: asked.Encounter})
			switch gone, is := errors.AsType[*fhir.Error](err); {
			case err == nil:
				who.Encounter = asked.Encounter
			case !is || gone.Status != http.StatusNotFound:
				return err
			}
		}
		to, err = v.Apps.Allow(r.Context(), id, s.Key, who, r.PostForm["scope"])
	} else {
		to, err = v.Apps.Deny(r.Context(), id, s.Key)
	}
	if err != nil {
		return v.appProblem(err)
	}
	v.Apps.Forget(w)
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// grantLine is one app that was let in.
type grantLine struct {
	smart.Granted
	Words         []string
	Started, Ends clinical.Time
}

// apps lists what the person let in, to be ended.
func (v *Viewer) apps(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	granted, err := v.Apps.Grants(r.Context(), caller.Identity())
	if err != nil {
		return err
	}
	model := struct {
		*frame
		Granted []grantLine
	}{frame: v.frame(r, "apps", caller)}
	for _, g := range granted {
		line := grantLine{Granted: g, Started: clinical.Moment(g.Started, v.Zone), Ends: clinical.Moment(g.Ends, v.Zone)}
		for _, word := range g.Scopes {
			line.Words = append(line.Words, v.scopeText(word))
		}
		line.Words = slices.DeleteFunc(line.Words, func(s string) bool { return s == "" })
		model.Granted = append(model.Granted, line)
	}
	return v.render(w, r, http.StatusOK, "apps", model)
}

// endApp ends one.
func (v *Viewer) endApp(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	if err := v.note(r, caller.Identity(), audit.SignOut, false, "app"); err != nil {
		return err
	}
	if err := v.Apps.End(r.Context(), caller.Identity(), r.PostFormValue("grant")); err != nil {
		return err
	}
	http.Redirect(w, r, appsAt, http.StatusSeeOther)
	return nil
}
