// Package fhirapi is the FHIR R4 REST API: read, version read, history and
// search over released views, and push by registered sources.
//
// A handler here holds an access.Caller and gets policy.Released from a
// record.Reader: it has no way to anything that is withheld. Absent, withheld
// and somebody else's are one answer, a 404 with the same bytes.
//
// The table in [routes] is the router and the CapabilityStatement both.
package fhirapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/adapters"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/web"
)

// Config is what the API needs. All but Push must be set; without Push it is read-only.
type Config struct {
	Base    string // address of the API, "https://gw.example.org/fhir"
	Version string // of the program
	Guard   *web.Guard
	Reader  *record.Reader
	Push    *adapters.Push
	Audit   *audit.Log
	Smart   func(context.Context) ([]byte, error) // the smart-configuration document
	Now     func() time.Time
	Log     *slog.Logger
}

type api struct {
	Config
	capability []byte
}

// interaction is a row of the route table: a FHIR interaction, how it is
// spelled over HTTP, and what a token must allow.
type interaction struct {
	name    string // R4 TypeRestfulInteraction or SystemRestfulInteraction; "" is none of them
	methods []string
	path    string // below the base
	needs   auth.Interaction
	handler func(*api, http.ResponseWriter, *http.Request, access.Caller) error
}

const (
	typePath    = `/{type:[A-Z][A-Za-z]{1,63}}`
	idPath      = typePath + `/{id:[A-Za-z0-9\-.]{1,64}}`
	versionPath = idPath + `/_history/{version:[A-Za-z0-9\-.]{1,64}}`
)

var get = []string{http.MethodGet, http.MethodHead}

// routes are all that a token opens. What is not here is not served: 404, or
// 405 where the address is known by another method.
var routes = []interaction{
	{"read", get, idPath, auth.Read, (*api).read},
	{"vread", get, versionPath, auth.Read, (*api).vread},
	{"history-instance", get, idPath + `/_history`, auth.Read, (*api).history},
	{"search-type", get, typePath, auth.Search, (*api).search},
	{"", []string{http.MethodPost}, typePath + `/_search`, auth.Search, (*api).search},
	{"create", []string{http.MethodPost}, typePath, auth.Create, (*api).create},
	{"update", []string{http.MethodPut}, idPath, auth.Update, (*api).update},
	{"delete", []string{http.MethodDelete}, idPath, auth.Delete, (*api).delete},
	{"transaction", []string{http.MethodPost}, "", 0, (*api).bundle},
}

// Register adds the API to a router, below prefix ("/fhir"). The router is
// wrapped by Guard.Wrap where it is served.
func Register(r *mux.Router, prefix string, c Config) error {
	if c.Guard == nil || c.Reader == nil || c.Audit == nil || c.Smart == nil || c.Base == "" || c.Now == nil {
		return errors.New("fhirapi: Base, Guard, Reader, Audit, Smart and Now must be set")
	}
	a := &api{Config: c}
	var err error
	if a.capability, err = capability(c); err != nil {
		return err
	}
	handle := func(path string, h http.Handler, methods ...string) {
		r.Handle(prefix+path, h).Methods(methods...)
		if path == "" {
			r.Handle(prefix+"/", h).Methods(methods...)
		}
	}
	handle("/metadata", c.Guard.OpenAPI(a.metadata), get...)
	handle("/.well-known/smart-configuration", c.Guard.OpenAPI(a.smart), get...)
	for _, i := range routes {
		handle(i.path, c.Guard.API(a.allowed(i)), i.methods...)
	}
	known := map[string]bool{}
	for _, i := range routes { // a known address by another method
		if !known[i.path] {
			known[i.path] = true
			handle(i.path, c.Guard.API(func(http.ResponseWriter, *http.Request, access.Caller) error { return notAllowed() }))
		}
	}
	r.PathPrefix(prefix).Handler(c.Guard.API(func(http.ResponseWriter, *http.Request, access.Caller) error { return fhir.NotFound() }))
	return nil
}

// allowed stands before every handler: the type must be one of R4's, and the
// token must allow the interaction. Neither depends on any record.
func (a *api) allowed(i interaction) web.Handler {
	return func(w http.ResponseWriter, r *http.Request, c access.Caller) error {
		if err := acceptable(r); err != nil {
			return err
		}
		typ := mux.Vars(r)["type"]
		if typ != "" && !fhir.IsType(typ) {
			return &fhir.Error{Status: http.StatusNotFound, Code: "not-supported", Text: "FHIR R4 has no resource type of this name."}
		}
		if writes(i.needs) && (a.Push == nil || c.Client().Source == "") {
			return notAllowed()
		}
		if i.needs != 0 && c.May(i.needs, typ) == auth.Nothing {
			return a.refuse(r, c, typ, i.name)
		}
		return i.handler(a, w, r, c)
	}
}

func writes(in auth.Interaction) bool {
	return in == 0 || in&(auth.Create|auth.Update|auth.Delete) != 0
}

func notAllowed() error {
	return &fhir.Error{Status: http.StatusMethodNotAllowed, Code: "not-supported", Text: "This address does not take that method from you."}
}

// refuse writes the refusal down, then says it.
func (a *api) refuse(r *http.Request, c access.Caller, typ, what string) error {
	err := a.Audit.Append(r.Context(), audit.Event{
		Time: a.Now(), Action: audit.Action(what), Refused: true, Caller: c, Detail: typ + ": outside the token's scopes",
		Address: web.Address(r), Request: web.RequestID(r),
	})
	if err != nil {
		return err
	}
	return &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "The token's scopes do not allow this on " + typ + "."}
}

func (a *api) ask(r *http.Request, c access.Caller, detail string) record.Ask {
	return record.Ask{Caller: c, Detail: detail, Address: web.Address(r), Request: web.RequestID(r)}
}

func (a *api) metadata(w http.ResponseWriter, r *http.Request) error {
	return web.Write(w, r, http.StatusOK, mediaType, a.capability)
}

func (a *api) smart(w http.ResponseWriter, r *http.Request) error {
	b, err := a.Smart(r.Context())
	if err != nil {
		return &fhir.Error{Status: http.StatusServiceUnavailable, Code: "transient", Text: "The sign-in service does not answer. Try again.", Err: err}
	}
	return web.Write(w, r, http.StatusOK, "application/json", b)
}
