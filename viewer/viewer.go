// Package viewer is the pages that providers read charts on. HTML made by the
// server, one stylesheet, one small script that only adds comfort: every page
// is whole without it.
//
// A page is three steps: the guard admits a caller, the reader gives the
// caller's released view of one chart (and writes the audit entry), and
// package clinical reads it. What is withheld never comes this far, so no page
// can show, count or hint at it.
package viewer

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/auth/smart"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/registry"
	"firebreak/web"
)

// Reader gives released views; record.Reader does. Each call is audited before
// it returns.
type Reader interface {
	Chart(ctx context.Context, ask record.Ask, patient fhir.Ref) (*policy.View, error)
	Find(ctx context.Context, ask record.Ask, f record.Find) ([]policy.Released, error)
	Get(ctx context.Context, ask record.Ask, ref fhir.Ref) (policy.Released, error)
	Doubles(ctx context.Context, c access.Caller, patient fhir.Ref) ([]fhir.Ref, error)
	Freshness(ctx context.Context) ([]record.Feed, error)
	Glass(ctx context.Context, c access.Caller, patient fhir.Ref) (record.Glass, error)
	Break(ctx context.Context, ask record.Ask, patient fhir.Ref, reason record.Reason, words string) error
	Mend(ctx context.Context, ask record.Ask, patient fhir.Ref) error
}

// Accounts signs people in and out; web.Accounts does.
type Accounts interface {
	Begin(w http.ResponseWriter, r *http.Request) error
	Complete(w http.ResponseWriter, r *http.Request) (id auth.Identity, refused bool, err error)
	End(w http.ResponseWriter, r *http.Request) (next string, err error)
	Choose(r *http.Request, worksite, actingFor string) error
}

// Registry knows where a person may act; registry.Registry does.
type Registry interface {
	Choices(ctx context.Context, id auth.Identity) ([]registry.Place, error)
}

// Config is what the viewer needs. All but the last group must be set.
type Config struct {
	Guard    *web.Guard
	Reader   Reader
	Accounts Accounts
	Registry Registry
	Office   Office
	Ops      Operations
	Desk     *registry.Desk
	Audit    func(context.Context, audit.Event) error // audit.Log's Append
	Secret   []byte                                   // 16 bytes or more; handles are keyed by it
	Apps     *smart.Server                            // lets apps in; nil: no app is let in

	Zone      *time.Location              // of the facility: names zones, dates our own times; UTC when nil
	FeedNow   func(source string) FeedNow // what this process knows of a feed; nothing when nil
	Feeds     map[string]string           // display names of feeds; they must tell no kind of care
	Late      time.Duration               // after which a silent feed is said to be late; 24 h when zero
	Emergency string                      // the number to call; "9-1-1" when empty
	HelpLine  string                      // how to reach help; may be empty
	Now       func() time.Time            // the real clock when nil
}

// Viewer is the provider's pages.
type Viewer struct {
	Config
	pages   web.Pages
	handles *handles
	words   words
	views   map[string]*template.Template
	style   asset
	script  asset
	models  *models
	seeks   *searches
}

// New makes the pages, or says what is missing.
func New(c Config) (*Viewer, error) {
	if c.Guard == nil || c.Reader == nil || c.Accounts == nil || c.Registry == nil || c.Office == nil || c.Ops == nil || c.Desk == nil || c.Audit == nil {
		return nil, errors.New("viewer: Guard, Reader, Accounts, Registry, Office, Ops, Desk and Audit must be set")
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Late == 0 {
		c.Late = 24 * time.Hour
	}
	if c.Emergency == "" {
		c.Emergency = "9-1-1"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	v := &Viewer{Config: c, seeks: newSearches(c.Now)}
	texts, err := english()
	if err != nil {
		return nil, err
	}
	v.words, v.views = texts.words, texts.views
	v.models = newModels(v.words.say)
	if v.handles, err = newHandles(c.Secret); err != nil {
		return nil, err
	}
	if v.style, err = readAsset("style.css", "text/css; charset=utf-8"); err != nil {
		return nil, err
	}
	if v.script, err = readAsset("script.js", "text/javascript; charset=utf-8"); err != nil {
		return nil, err
	}
	v.pages = web.Pages{Guard: c.Guard, Show: v.problem, SignIn: "/", Ended: "/signed-out", Choose: "/worksite"}
	return v, nil
}

// Callback is where the OpenID provider sends a browser back to.
const Callback = "/sign-in/callback"

// SignedOut is where a browser ends after signing out.
const SignedOut = "/signed-out"

// Routes puts every page on the router, and a page for addresses and methods
// that belong to nothing.
func (v *Viewer) Routes(r *mux.Router) {
	p := v.pages
	r.NotFoundHandler = p.Open(func(http.ResponseWriter, *http.Request) error { return fhir.NotFound() })
	r.MethodNotAllowedHandler = p.Open(func(http.ResponseWriter, *http.Request) error {
		return &fhir.Error{Status: http.StatusMethodNotAllowed, Code: "not-supported", Text: fhir.NotFound().Text}
	})
	get := func(path string, h http.Handler) { r.Handle(path, h).Methods(http.MethodGet, http.MethodHead) }
	post := func(path string, h http.Handler) { r.Handle(path, h).Methods(http.MethodPost) }

	get("/", p.Open(v.home))
	get("/help", p.Open(v.help))
	get("/status", p.Open(v.status))
	get("/assets/{file}", p.Watch(v.serveAsset))
	get("/sign-in", p.Open(v.Accounts.Begin))
	get(Callback, p.Open(v.callback))
	post("/sign-out", p.Open(v.signOut))
	get(SignedOut, p.Watch(v.signedOut))
	get("/session", p.Watch(v.sessionLeft))
	post("/session", p.SignedIn(v.sessionLeft))

	get("/worksite", p.SignedIn(v.worksite))
	post("/worksite", p.SignedIn(v.chooseWorksite))
	get("/acting-for", p.SignedIn(v.actingFor))
	post("/acting-for", p.SignedIn(v.chooseActingFor))

	get("/find", p.Page(v.find))
	post("/find", p.Page(v.seek))
	get("/recent", p.Page(v.recent))
	get("/account", p.Page(v.account))
	post("/account", p.Page(v.saveAccount))

	get("/officer", v.office("alerts", v.alerts))
	post("/officer/alerts/{id}", v.office("alerts", v.closeAlert))
	get("/officer/policy", v.office("policy", v.policyPage))
	post("/officer/policy", v.office("policy", v.policyPage))
	get("/officer/log", v.office("log", v.logPage))
	post("/officer/log", v.office("log", v.logPage))
	get("/officer/looked", v.office("looked", v.looked))
	post("/officer/looked", v.office("looked", v.looked))
	get(waitingAt, v.office("waiting", v.waiting))
	post(waitingAt, v.office("waiting", v.told))
	get("/officer/codes", v.office("codes", v.codes))
	post("/officer/codes", v.office("codes", v.classify))

	get(opsAt, v.ops("feeds", v.opsFeeds))
	get(messagesAt, v.ops("messages", v.opsMessages))
	post(messagesAt, v.ops("messages", v.opsMessages))
	post(opsAt+"/pause", v.ops("feeds", v.pauseFeed))
	post("/ops/replay", v.ops("messages", v.replayFound))
	get(duplicatesAt, v.ops("duplicates", v.duplicates))
	post(duplicatesAt, v.ops("duplicates", v.duplicates))
	post(duplicatesAt+"/decide", v.ops("duplicates", v.judge))
	get(messagesAt+"/{id:[0-9]{1,18}}", v.ops("message", v.opsMessage))
	post(messagesAt+"/{id:[0-9]{1,18}}", v.ops("message", v.opsMessage))
	post(messagesAt+"/{id:[0-9]{1,18}}/replay", v.ops("message", v.replay))
	post(messagesAt+"/{id:[0-9]{1,18}}/same", v.ops("message", v.vouch))
	post(messagesAt+"/{id:[0-9]{1,18}}/aside", v.ops("message", v.setAside))
	post(messagesAt+"/{id:[0-9]{1,18}}/back", v.ops("message", v.takeBack))
	post(messagesAt+"/{id:[0-9]{1,18}}/copy", v.ops("message", v.mend))

	get(outboxAt, v.ops("outbox", v.opsOutbox))
	post(outboxAt, v.ops("outbox", v.retryRefused))
	get(outboxAt+"/{id:[0-9]{1,18}}", v.ops("letter", v.opsLetter))
	post(outboxAt+"/{id:[0-9]{1,18}}", v.ops("letter", v.opsLetter))
	post(outboxAt+"/{id:[0-9]{1,18}}/decide", v.ops("letter", v.decideLetter))

	if v.Apps != nil {
		get(clientsAt, v.ops("clients", v.opsClients))
		post(clientsAt, v.ops("clients", v.decideClient))
		v.appRoutes(r)
	}

	get("/p/{h}", p.Page(v.chartPage("summary", audit.Page, v.summary)))
	get("/p/{h}/results", p.Page(v.chartPage("results", audit.Page, v.results)))
	get("/p/{h}/results/{code}", p.Page(v.chartPage("trend", audit.Page, v.trend)))
	get("/p/{h}/reports", p.Page(v.chartPage("reports", audit.Page, v.reports)))
	get("/p/{h}/reports/{id}", p.Page(v.chartPage("report", audit.Page, v.report)))
	get("/p/{h}/reports/{id}/{n:[0-9]+}", p.Page(v.chartPage("report-file", audit.Page, v.reportFile)))
	get("/p/{h}/documents", p.Page(v.chartPage("documents", audit.Page, v.documents)))
	get("/p/{h}/documents/{id}", p.Page(v.chartPage("document", audit.Page, v.document)))
	get("/p/{h}/documents/{id}/{n:[0-9]+}", p.Page(v.chartPage("document-file", audit.Page, v.documentFile)))
	get("/p/{h}/visits", p.Page(v.chartPage("visits", audit.Page, v.visits)))
	get("/p/{h}/appointments", p.Page(v.chartPage("appointments", audit.Page, v.appointments)))
	get("/p/{h}/medications", p.Page(v.chartPage("medications", audit.Page, v.medications)))
	get("/p/{h}/people", p.Page(v.chartPage("people", audit.Page, v.people)))
	get("/p/{h}/timeline", p.Page(v.chartPage("timeline", audit.Page, v.timeline)))
	get("/p/{h}/glass", p.Page(v.chartPage("glass", audit.Page, v.glass)))
	post("/p/{h}/glass", p.Page(v.chartPage("glass", audit.Page, v.breakGlass)))
	post("/p/{h}/glass/end", p.Page(v.chartPage("glass", audit.Page, v.mendGlass)))
	get("/p/{h}/print", p.Page(v.chartPage("print", audit.Print, v.print)))
}
