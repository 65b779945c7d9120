// Package fhirapi is the FHIR R4 REST API: read, version read, history and
// search over released views, and push by registered sources.
//
// A handler here holds an access.Caller and gets policy.Released from a
// record.Reader: it has no way to anything that is withheld. Absent, withheld
// and somebody else's are one answer, a 404 with the same bytes.
//
// The table in [interactions] is the router and the CapabilityStatement both.
package fhirapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/adapters"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/search"
	"firebreak/web"
)

// Config is what the API needs. All but Push and Log must be set; without Push
// it is read-only.
type Config struct {
	Base    string // address of the API, "https://gw.example.org/fhir"
	Version string // of the program
	Guard   *web.Guard
	Reader  *record.Reader
	Push    *adapters.Push
	Audit   *audit.Log
	Smart   func(context.Context) ([]byte, error) // the smart-configuration document
	OAuth   map[string]string                     // addresses by SMART's names of them ("token"); none where the provider issues all tokens
	Now     func() time.Time
	Log     *slog.Logger

	Subscribing *Subscribing // nil: no Subscription is taken
}

type api struct {
	Config
	capability []byte
	addresses  *mux.Router              // of interactions, for entries of a batch
	served     map[string][]interaction // by path
	own        map[string][]interaction // of them, those of Subscriptions
	// made when first asked for
	definitions func() (*search.Index[definition], error)
	terms       shelf
	writing     sync.RWMutex // see writes
}

// interaction is a row of the table: a FHIR interaction, how it is spelled over
// HTTP, and what a token must allow.
type interaction struct {
	name    string // R4 TypeRestfulInteraction or SystemRestfulInteraction; "" or one that is conditional is none of them, "$..." an operation
	method  string // GET stands for HEAD too
	path    string // below the base
	needs   auth.Interaction
	handler func(*api, http.ResponseWriter, *http.Request, access.Caller) error
}

const (
	conditional = "conditional "
	typePath    = `/{type:[A-Z][A-Za-z]{1,63}}`
	idPath      = typePath + `/{id:[A-Za-z0-9\-.]{1,64}}`
	inPath      = `/{focus:[A-Z][A-Za-z]{1,63}}/{id:[A-Za-z0-9\-.]{1,64}}/{type:\*|[A-Z][A-Za-z]{1,63}}` // a compartment
	versionPath = idPath + `/_history/{version:[A-Za-z0-9\-.]{1,64}}`
)

// interactions are all that a token opens. What is not here is not served:
// 404, or 405 where the address is known by another method.
var interactions = []interaction{
	{"read", http.MethodGet, idPath, auth.Read, (*api).read},
	{"vread", http.MethodGet, versionPath, auth.Read, (*api).vread},
	{"history-instance", http.MethodGet, idPath + `/_history`, auth.Read, (*api).history},
	{"history-type", http.MethodGet, typePath + `/_history`, auth.Search, (*api).histories},
	{"history-system", http.MethodGet, "/_history", auth.Search, (*api).histories},
	{"search-type", http.MethodGet, typePath, auth.Search, (*api).search},
	{"", http.MethodPost, typePath + `/_search`, auth.Search, (*api).search},
	{"", http.MethodGet, inPath, auth.Search, (*api).search},
	{"", http.MethodPost, inPath + `/_search`, auth.Search, (*api).search},
	{"search-system", http.MethodGet, "", auth.Search, (*api).search},
	{"", http.MethodPost, "/_search", auth.Search, (*api).search},
	{"$everything", http.MethodGet, recordPath, auth.Search, (*api).everything},
	{"$everything", http.MethodPost, recordPath, auth.Search, (*api).everything},
	{"$summary", http.MethodGet, summaryPath, auth.Search, (*api).summary},
	{"$summary", http.MethodPost, summaryPath, auth.Search, (*api).summary},
	{"$lastn", http.MethodGet, lastnPath, auth.Search, (*api).lastn},
	{"$lastn", http.MethodPost, lastnPath, auth.Search, (*api).lastn},
	{"$docref", http.MethodGet, docrefPath, auth.Search, (*api).docref},
	{"$docref", http.MethodPost, docrefPath, auth.Search, (*api).docref},
	{"$match", http.MethodPost, matchPath, auth.Search, (*api).likely},
	{"$ihe-pix", http.MethodGet, pixPath, auth.Search, (*api).crossReference},
	{"$ihe-pix", http.MethodPost, pixPath, auth.Search, (*api).crossReference},
	{"$expand", http.MethodGet, `/{type:ValueSet}/$expand`, auth.Search, (*api).expand},
	{"$expand", http.MethodPost, `/{type:ValueSet}/$expand`, auth.Search, (*api).expand},
	{"$expand", http.MethodGet, `/{type:ValueSet}/{id:[A-Za-z0-9\-.]{1,64}}/$expand`, auth.Search, (*api).expand},
	{"$validate-code", http.MethodGet, `/{type:ValueSet}/$validate-code`, auth.Search, (*api).validateCode},
	{"$validate-code", http.MethodPost, `/{type:ValueSet}/$validate-code`, auth.Search, (*api).validateCode},
	{"$validate-code", http.MethodGet, `/{type:ValueSet}/{id:[A-Za-z0-9\-.]{1,64}}/$validate-code`, auth.Search, (*api).validateCode},
	{"$lookup", http.MethodGet, `/{type:CodeSystem}/$lookup`, auth.Search, (*api).lookUp},
	{"$lookup", http.MethodPost, `/{type:CodeSystem}/$lookup`, auth.Search, (*api).lookUp},
	{"create", http.MethodPost, typePath, auth.Create, (*api).create},
	{"update", http.MethodPut, idPath, auth.Update, (*api).update},
	{"patch", http.MethodPatch, idPath, auth.Update, (*api).patch},
	{"delete", http.MethodDelete, idPath, auth.Delete, (*api).delete},
	{conditional + "update", http.MethodPut, typePath, auth.Update, (*api).update},
	{conditional + "patch", http.MethodPatch, typePath, auth.Update, (*api).patch},
	{conditional + "delete", http.MethodDelete, typePath, auth.Delete, (*api).delete},
	{"$validate", http.MethodPost, typePath + `/$validate`, 0, (*api).validate},
	{"$validate", http.MethodPost, idPath + `/$validate`, 0, (*api).validate},
	{"transaction", http.MethodPost, "", 0, (*api).bundle},
	{"", http.MethodPost, "/ccda", 0, (*api).document},
	{"", http.MethodPost, "/hl7", 0, (*api).messages},
}

// writes tells whether only sources may do it; of a batch, each entry is asked.
func (i interaction) writes() bool {
	return i.needs == 0 && !i.operation() && i.path != "" || i.needs&(auth.Create|auth.Update|auth.Delete) != 0
}

// operation tells whether it is one that changes nothing.
func (i interaction) operation() bool { return strings.HasPrefix(i.name, "$") }

// Register adds the API to a router, below prefix ("/fhir"). The router is
// wrapped by Guard.Wrap where it is served.
func Register(r *mux.Router, prefix string, c Config) error {
	if c.Guard == nil || c.Reader == nil || c.Audit == nil || c.Smart == nil || c.Base == "" || c.Now == nil {
		return errors.New("fhirapi: Base, Guard, Reader, Audit, Smart and Now must be set")
	}
	a := &api{Config: c, addresses: mux.NewRouter().SkipClean(true), served: map[string][]interaction{}, own: map[string][]interaction{}, definitions: sync.OnceValues(allDefinitions)}
	var err error
	if a.capability, err = capability(c); err != nil {
		return err
	}
	preflight := c.Guard.OpenAPI(a.preflight)
	r.Path(prefix).Methods(http.MethodOptions).Handler(preflight)
	r.PathPrefix(prefix + "/").Methods(http.MethodOptions).Handler(preflight)
	r.Handle(prefix+"/metadata", c.Guard.OpenAPI(a.open(a.metadata)))
	r.Handle(prefix+"/.well-known/smart-configuration", c.Guard.OpenAPI(a.open(a.smart)))
	a.registerExports(r, prefix)
	var paths []string
	for _, i := range interactions {
		if a.served[i.path] == nil {
			paths = append(paths, i.path)
		}
		a.served[i.path] = append(a.served[i.path], i)
	}
	if c.Subscribing != nil {
		for _, i := range subscribing {
			if a.served[i.path] == nil {
				paths = append(paths, i.path)
				a.served[i.path] = []interaction{i}
			}
			a.own[i.path] = append(a.own[i.path], i)
		}
	}
	for _, path := range paths {
		a.addresses.Path(cmp.Or(path, "/")).Name(path)
		h := c.Guard.API(a.address(a.served[path]))
		r.Handle(prefix+path, h)
		if path == "" {
			r.Handle(prefix+"/", h)
		}
	}
	r.PathPrefix(prefix + "/").Handler(c.Guard.API(func(http.ResponseWriter, *http.Request, access.Caller) error { return fhir.NotFound() }))
	return nil
}

// address serves one path: the type must be one of R4's, the method one that
// the caller may use there, and the token must allow the interaction. None of
// this depends on any record.
func (a *api) address(all []interaction) web.Handler {
	return func(w http.ResponseWriter, r *http.Request, c access.Caller) error {
		file := all[0].name == "read" && asFile(r)
		if !isForm(r) && !file { // a form may say it inside, see search
			if err := web.Negotiate(r, r.URL.Query()); err != nil {
				return err
			}
		}
		typ := mux.Vars(r)["type"]
		if typ == "*" { // all that a compartment has
			typ = ""
		}
		if typ != "" && !fhir.IsType(typ) || !compartment(mux.Vars(r)["focus"]) {
			return &fhir.Error{Status: http.StatusNotFound, Code: "not-supported", Text: "FHIR R4 has no resource type of this name."}
		}
		if own := a.own[all[0].path]; own != nil && typ == subscription {
			return a.subscribe(w, r, c, own)
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		var allow []string
		for _, i := range all {
			switch {
			case i.writes() && !a.pushes(c):
				if i.method == method {
					if err := a.note(r, c, audit.Write, i.name+" "+typ+": not a source"); err != nil {
						return err
					}
				}
			case i.method != method:
				allow = append(allow, i.method)
			case i.name == "read" && isUser(c, target(r)):
				return i.handler(a, w, r, c)
			case i.needs != 0 && typ != "" && c.May(i.needs, typ) == auth.Nothing:
				return a.beyond(w, r, c, i.name, typ)
			default:
				return i.handler(a, w, r, c)
			}
		}
		return notAllowed(w, allow...)
	}
}

// pushes tells whether the caller is a source that may send.
func (a *api) pushes(c access.Caller) bool { return a.Push != nil && c.Client().Source != "" }

// notAllowed says which methods the address takes.
func notAllowed(w http.ResponseWriter, methods ...string) error {
	allow := http.MethodOptions
	for _, m := range methods {
		allow += ", " + m
		if m == http.MethodGet {
			allow += ", " + http.MethodHead
		}
	}
	w.Header().Set("Allow", allow)
	return &fhir.Error{Status: http.StatusMethodNotAllowed, Code: "not-supported", Text: "This address does not take that method from you."}
}

// beyond refuses what the token's scopes do not reach, and writes it down first.
//
// Source: RFC 6750 section 3.1.
func (a *api) beyond(w http.ResponseWriter, r *http.Request, c access.Caller, what, typ string) error {
	if err := a.note(r, c, audit.Action(what), typ+": outside the token's scopes"); err != nil {
		return err
	}
	w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
	return outOfScope(typ)
}

func outOfScope(typ string) *fhir.Error {
	return &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "The token's scopes do not allow this on " + typ + "."}
}

// note writes a refusal down.
func (a *api) note(r *http.Request, c access.Caller, what audit.Action, detail string) error {
	return a.Audit.Append(r.Context(), audit.Event{
		Time: a.Now(), Action: what, Refused: true, Caller: c, Detail: detail, Address: web.Address(r), Request: web.RequestID(r),
	})
}

func (a *api) ask(r *http.Request, c access.Caller, detail string) record.Ask {
	return record.Ask{Caller: c, Detail: detail, Address: web.Address(r), Request: web.RequestID(r)}
}

// open serves what needs no token.
func (a *api) open(get web.Opener) web.Opener {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return notAllowed(w, http.MethodGet)
		}
		return get(w, r)
	}
}

func (a *api) metadata(w http.ResponseWriter, r *http.Request) error {
	if err := web.Negotiate(r, r.URL.Query()); err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusOK, a.capability)
}

func (a *api) smart(w http.ResponseWriter, r *http.Request) error {
	b, err := a.Smart(r.Context())
	if err != nil {
		return &fhir.Error{Status: http.StatusServiceUnavailable, Code: "transient", Text: "The sign-in service does not answer. Try again.", Err: err}
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return web.Write(w, r, http.StatusOK, "application/json", b)
}

// preflight tells a browser what an app of any origin may send here. It says
// the same of every address, so it tells nothing of what lies there.
//
// Source: Fetch standard, CORS-preflight fetch.
func (a *api) preflight(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Allow", "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
