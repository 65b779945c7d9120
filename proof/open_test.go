package proof_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"firebreak/adapters/rest"
	"firebreak/demo"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/record"
)

// TestOpenHalf: with nothing withheld everything that was told is shown, and
// what is harmless is shown under every policy, secrets or no secrets. Else an
// empty gateway would keep the promise.
func TestOpenHalf(t *testing.T) {
	t.Parallel()
	seeds, _ := size(t, 4)
	for _, seed := range seeds {
		w := create(seed, 0)
		h := open(t, "")
		all, plain := map[fhir.Ref]string{}, map[fhir.Ref]string{}
		for _, e := range w.events {
			if m, ok := e.message(with); ok {
				if err := h.tell(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		held := map[string]bool{} // what cannot follow a visit that moved
		waiting, err := h.record.Held(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range waiting {
			held[m.ControlID] = true
		}
		for _, e := range w.events {
			if m, ok := e.message(with); ok && !held[m.control] {
				h.stated(t, m, e, with, all)
			}
			if m, ok := e.message(without); ok && !held[m.control] {
				h.stated(t, m, e, without, plain)
			}
		}
		who := audiences(t, w.people[0].id())
		for _, p := range policies(t) {
			d := h.under(t, p)
			must := plain
			if p.name == openPolicy {
				must = all
			}
			for ref, what := range must {
				if needed[ref.Type] && p.name != openPolicy {
					continue // they depend on what names them
				}
				for _, a := range []*audience{who[0], who[3], who[7]} {
					if ref.Type == "Group" && a != who[7] { // whose members are of many records: for systems
						continue
					}
					got := d.ask(question{who: a, method: http.MethodGet, target: "/fhir/" + ref.String(), at: noon})
					if got.status != http.StatusOK {
						t.Errorf("seed %d, %s, %s: %s, told with %s, is not shown", seed, p.name, a.name, ref, what)
					}
				}
			}
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
}

// needed are types that are known by what names them.
var needed = map[string]bool{"Practitioner": true, "Organization": true, "Location": true, "Specimen": true, "Binary": true, "Provenance": true, "Medication": true}

// stated takes down what a message says there is, and what there is no more; of a
// document in whose place there is another what lasts, and of a visit that moved what
// is told of it where it is now.
func (h *house) stated(t *testing.T, m message, e *event, s side, all map[fhir.Ref]string) {
	t.Helper()
	if m.kind == decision {
		return
	}
	in := inbox.Message{Source: m.source, Kind: m.kind, ControlID: m.control, Received: m.at, Body: m.body}
	if i, err := rest.Decode(m.body); m.kind == inbox.FHIR && err == nil && i.Looks {
		plan, err := i.Plan()
		if err != nil {
			t.Fatal(err)
		}
		in.Found = make([]string, len(plan.Changes)+len(plan.Refs)) // what is there has the id that it would be created with
	}
	r, err := mapping.Map(keys, in)
	if (err == nil || r.Part != nil) && m.kind == inbox.HL7v2 {
		home := r.Patient.ID
		if r.Part != nil {
			home = r.Part.Chart
		}
		var failed error
		if in.Moves, failed = h.record.Queue().Moves(t.Context(), []string{home}); failed != nil {
			t.Fatal(failed)
		}
		r, err = mapping.Map(keys, in)
	}
	if p := r.Part; p != nil { // with what told of it before
		part := record.Change{At: r.At.Add(-time.Microsecond), Part: &record.Part{Chart: p.Chart, ID: p.Appointment, Asked: p.Asked}}
		if in.Before, _, err = h.record.Queue().Before(t.Context(), record.Stored{Message: in}, part); err == nil {
			r, err = mapping.Map(keys, in)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Resources {
		switch {
		case x.Deleted:
			delete(all, x.Ref())
		case x.Lasts || !e.replaced[s]:
			all[x.Ref()] = e.what
		}
	}
}

// unproven are addresses of the running gateway that have no clinical data
// behind them, besides those that every house has.
var unproven = map[string]string{
	"/livez":  "whether the program runs",
	"/readyz": "whether its database answers",
	"/idp/":   "the demo's OpenID provider, which holds no patient",
}

// TestEveryRouteIsAsked: the grammar has questions for every address that the
// running gateway knows, so that nobody adds a page that the proof does not see.
func TestEveryRouteIsAsked(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte(`{"apps": [{"id": "app", "name": "App", "redirects": ["https://app.test/"], "scopes": "user/*.rs"}], "subscriptions": {"to": ["https://app.test/hook"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := demo.New(t.Context(), demo.Options{Listen: "127.0.0.1:0", MLLP: "127.0.0.1:0", Data: t.TempDir(), Empty: true, Start: dawn, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range routes {
		known[r.template] = true
	}
	seen := map[string]bool{}
	err = d.Gateway.Router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		template, err := r.GetPathTemplate()
		if err != nil {
			return err
		}
		seen[template] = true
		if unproven[template] == "" && !known[template] {
			t.Errorf("nobody asks at %s: it needs a row in routes, with questions that try to learn what is withheld", template)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for template := range known {
		if !seen[template] {
			t.Errorf("the gateway has no %s", template)
		}
	}
}
