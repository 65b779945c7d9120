package mapping_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/fhir/r4def"
	"firebreak/inbox"
	"firebreak/mapping"
)

// update is the flag of tables_test.go.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

// read gives a message of testdata; there each segment is a line, and lines that
// begin with # say what the message is for.
func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".hl7"))
	if err != nil {
		t.Fatal(err)
	}
	var m []byte
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(line, []byte("#")) {
			m = append(append(m, bytes.TrimRight(line, "\n")...), '\r')
		}
	}
	return m
}

// stored gives a message of testdata; where there is more than one in its file, those
// before the last came before it.
func stored(t testing.TB, name string) (m inbox.Message) {
	t.Helper()
	for n, body := range bytes.SplitAfter(read(t, name), []byte("\r")) {
		if n == 0 || bytes.HasPrefix(body, []byte("MSH")) {
			if n > 0 {
				m.Before = append(m.Before, inbox.Before{ID: inbox.ID(len(m.Before) + 1), Body: m.Body})
			}
			before := m.Before
			m = message(nil)
			m.Before = before
		}
		m.Body = append(m.Body, body...)
	}
	return m
}

// said is a Result, or an error, as a golden file shows it.
type said struct {
	Error     string            `json:"error,omitempty"`
	Patient   string            `json:"patient,omitempty"`
	At        string            `json:"at,omitempty"`
	Links     []string          `json:"links,omitempty"`
	Notes     []string          `json:"notes,omitempty"`
	Resources []json.RawMessage `json:"resources,omitempty"`
}

func show(r mapping.Result, err error) said {
	if err != nil {
		return said{Error: err.Error()}
	}
	s := said{Patient: r.Patient.String(), At: r.At.Format(time.RFC3339Nano), Notes: r.Notes}
	for _, l := range r.Links {
		verb := " into "
		if l.Undo {
			verb = " not into "
		}
		s.Links = append(s.Links, l.From.String()+verb+l.Into.String()+" at "+l.At.Format(time.RFC3339Nano))
	}
	for _, res := range r.Resources {
		line := res.JSON()
		if !res.At.Equal(r.At) {
			line = append([]byte(`{"at":"`+res.At.Format(time.RFC3339Nano)+`","resource":`), line...)
			line = append(line, '}')
		}
		s.Resources = append(s.Resources, line)
	}
	return s
}

// feeds are declared as their tests need: times in Toronto for "toronto".
func feeds() []mapping.Feed {
	zone, err := time.LoadLocation("America/Toronto")
	if err != nil {
		panic(err)
	}
	return []mapping.Feed{{
		Source: "toronto", Zone: zone, PatientAuthorities: []string{"HOSP"}, Authority: "HOSP",
		Systems: map[string]string{"HOSP": "https://hosp.example/mrn", "OHIP": "https://health.example/ohip"},
	}}
}

// TestGolden maps each message and document of testdata and compares with the file beside it,
// which -update rewrites. A name that begins with "toronto-" comes from the feed
// of that name. Whatever a golden file says, it must be FHIR.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.[hx][lm][l7]"))
	if err != nil || len(files) == 0 {
		t.Fatal("no messages in testdata", err)
	}
	k := mapping.NewKeys(secret, feeds()...)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		t.Run(name, func(t *testing.T) {
			var m inbox.Message
			if filepath.Ext(file) == ".xml" {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				m = clinical(b)
			} else {
				m = stored(t, name)
			}
			if strings.HasPrefix(name, "toronto-") {
				m.Source = "toronto"
			}
			r, err := mapping.Map(k, m)
			sound(t, r)
			var got bytes.Buffer
			e := json.NewEncoder(&got)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(show(r, err)); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".json")
			if update() {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("differs from %s; see what changed with -update and git diff", golden)
			}
		})
	}
}

// departures are the ways a resource departs from R4: its structure, and the
// invariants of the definitions, best practices left out.
func departures(r fhir.Resource) (all []string) {
	for _, p := range r4def.Check(r) {
		all = append(all, p.String())
	}
	for _, v := range fhirpath.Invariants(r) {
		if !v.Rule.Warning {
			all = append(all, v.String())
		}
	}
	return all
}

// sound holds what was mapped to R4's definitions: each resource has their
// structure and keeps their invariants, and refers to what is there.
func sound(t testing.TB, r mapping.Result) {
	t.Helper()
	var all []fhir.Resource
	for _, res := range r.Resources {
		all = append(all, res.Resource)
		for _, p := range departures(res.Resource) {
			t.Error(p)
		}
	}
	for _, p := range r4def.Dangling(all) {
		t.Error(p)
	}
}
