package record_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/pgtest"
	"firebreak/label"
	"firebreak/policy"
	"firebreak/record"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// both runs f on an empty database of each kind.
func both(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) { f(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "record.db"))) })
	t.Run("postgres", func(t *testing.T) { f(t, open(t, pgtest.DSN(t))) })
}

// world is a record, and what is said to it.
type world struct {
	*record.Record
	t      testing.TB
	dsn    string
	log    *audit.Log
	dir    string // of the audit log
	rules  *label.Rules
	policy *policy.Policy
	reader *record.Reader
	n      int // messages said
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dsn string) *world {
	t.Helper()
	rules, err := label.Default()
	must(t, err)
	p, err := policy.Load(policy.Default())
	must(t, err)
	w := &world{t: t, dsn: dsn, dir: filepath.Join(t.TempDir(), "audit"), rules: rules, policy: p}
	w.log, err = audit.Open(w.dir, nil)
	must(t, err)
	w.Record, err = record.Open(ctx, record.Config{DSN: dsn, Log: w.log, Rules: rules, Secret: []byte("secret of the tests"), Logger: slog.New(slog.DiscardHandler), Remake: remake(dsn)})
	must(t, err)
	t.Cleanup(func() {
		w.Record.Close()
		w.log.Close()
	})
	w.reader = w.Reader(p)
	return w
}

// beside opens the same database once more, as another process would.
func (w *world) beside() *world { return open(w.t, w.dsn) }

// another is another node; a SQLite database has one, which starts anew.
func (w *world) another() *world {
	if w.Postgres() {
		return w.beside()
	}
	must(w.t, w.Close())
	*w = *w.beside()
	return w
}

func ask(c access.Caller) record.Ask { return record.Ask{Caller: c, Request: "r"} }

func physician(t testing.TB) record.Ask { return ask(accesstest.Person(t, access.Physician)) }
func backend(t testing.TB) record.Ask   { return ask(accesstest.Client(t, "", "system/*.rs")) }

// key is a chart key of the shape that mappings make, from a short name.
func key(name string) string {
	name = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return 'a' + c - '0'
		}
		return c
	}, name)
	return (name + "aaaaaaaaaaaaaaaa")[:16]
}

// thing is the reference of a resource in a chart.
func thing(chart, typ, name string) fhir.Ref {
	if typ == "Patient" {
		return fhir.Ref{Type: typ, ID: key(chart)}
	}
	return fhir.Ref{Type: typ, ID: key(chart) + "-" + (key(name) + "bbbb")}
}

func parse(t testing.TB, format string, args ...any) fhir.Resource {
	t.Helper()
	r, err := fhir.Parse(fmt.Appendf(nil, format, args...))
	must(t, err)
	return r
}

func patient(t testing.TB, chart, family, birth, number string) fhir.Resource {
	return parse(t, `{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:mrn","value":%q}],"name":[{"family":%q}],"birthDate":%q}`, key(chart), number, family, birth)
}

// sodium is a harmless result; hiv is one that providers do not see.
func sodium(t testing.TB, chart, name, value string) fhir.Resource {
	return result(t, chart, name, "2951-2", "Sodium", value)
}

func hiv(t testing.TB, chart, name, value string) fhir.Resource {
	return result(t, chart, name, "7917-8", "HIV 1 Ab", value)
}

func result(t testing.TB, chart, name, code, display, value string) fhir.Resource {
	ref := thing(chart, "Observation", name)
	return parse(t, `{"resourceType":"Observation","id":%q,"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":%q,"display":%q}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2026-03-01","valueString":%q}`,
		ref.ID, code, display, key(chart), value)
}

// said is a message with its resources; the zero At is one minute after the
// message before.
type said struct {
	Source    string
	At        time.Time
	Resources []fhir.Resource
	Links     []record.Link
	Given     bool
}

// put takes a message in and returns it as the pipeline would get it.
func (w *world) put(s said) record.Stored {
	w.t.Helper()
	w.n++
	m := inbox.Message{Source: s.Source, Kind: inbox.HL7v2, ControlID: fmt.Sprint(w.n), Received: noon.Add(time.Duration(w.n) * time.Minute), Body: fmt.Appendf(nil, "message %d", w.n)}
	if m.Source == "" {
		m.Source = "ward"
	}
	receipt, err := w.Put(ctx, m)
	must(w.t, err)
	made.Store(w.dsn+string(m.Body), s.Resources)
	return record.Stored{ID: receipt.ID, Message: m}
}

// made are the resources of what was said, by database and message.
var made sync.Map

// remake is what the pipeline would make of a stored message.
func remake(dsn string) func(inbox.Message) ([]fhir.Resource, error) {
	return func(m inbox.Message) ([]fhir.Resource, error) {
		all, ok := made.Load(dsn + string(m.Body))
		if !ok {
			return nil, errors.New("nobody said this")
		}
		return slices.Clone(all.([]fhir.Resource)), nil
	}
}

func (w *world) commit(stored record.Stored, s said) error {
	return w.Queue().Commit(ctx, stored, w.change(stored, s))
}

// change is what the pipeline would make of a message.
func (w *world) change(stored record.Stored, s said) record.Change {
	at := s.At
	if at.IsZero() {
		at = stored.Received
	}
	c := record.Change{Links: s.Links}
	for i := range c.Links {
		if c.Links[i].At.IsZero() {
			c.Links[i].At = at
		}
	}
	for _, l := range w.rules.Label(stored.Source, s.Resources) {
		e := record.Entry{Labeled: l, At: at, Alias: s.Given}
		r := l.Resource()
		switch patient, ok := fhir.PatientOf(r); {
		case r.Type() == "Patient":
			e.Chart = r.ID()
		case ok:
			e.Chart = patient.ID
		case s.Given:
			e.Chart = "directoryaaaaaaa"
		default:
			e.Chart = r.ID()[:16]
		}
		c.Resources = append(c.Resources, e)
	}
	return c
}

// say takes a message in and applies it.
func (w *world) say(s said) record.Stored {
	w.t.Helper()
	stored := w.put(s)
	must(w.t, w.commit(stored, s))
	return stored
}

func (w *world) tell(resources ...fhir.Resource) record.Stored {
	w.t.Helper()
	return w.say(said{Resources: resources})
}

// value is the valueString of a resource as someone sees it, or "absent".
func (w *world) value(a record.Ask, ref fhir.Ref) string {
	w.t.Helper()
	got, err := w.reader.Get(ctx, a, ref)
	if absent(err) {
		return "absent"
	}
	must(w.t, err)
	return got.Resource().Get("valueString").Text()
}

func absent(err error) bool {
	var e *fhir.Error
	return errors.As(err, &e) && e.Status == 404
}

// status is the HTTP status of a *fhir.Error, or 0.
func status(err error) int {
	var e *fhir.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
