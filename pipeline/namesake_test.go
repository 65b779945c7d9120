package pipeline

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/adapters/rest"
	"firebreak/inbox"
)

// pushed is a Patient as a source pushes it.
func pushed(source, method, path, none, number, family, birth string) inbox.Message {
	i := rest.Interaction{Method: method, Path: path, None: none, Resource: fmt.Appendf(nil,
		`{"resourceType":"Patient","id":"x","identifier":[{"system":"urn:mrn","value":%q}],"name":[{"family":%q,"given":["Jane"]}],"gender":"female","birthDate":%q}`, number, family, birth)}
	if typ, id, ok := strings.Cut(path, "/"); ok && typ == "Patient" {
		i.Resource = []byte(strings.Replace(string(i.Resource), `"id":"x"`, `"id":"`+id+`"`, 1))
	} else {
		i.Resource = []byte(strings.Replace(string(i.Resource), `"id":"x",`, "", 1))
	}
	m := looks(i)
	m.Source = source
	if none == "" && !strings.Contains(path, "?") {
		plain, _ := rest.Decode(m.Body)
		plain.Looks = false
		m.Body = plain.Encode()
	}
	return m
}

const birthPushed = "doubtful identity: Patient.birthDate: another birth date than is known of the patient of this number"

// Two people under one number are held for a person however their source names
// them: by an id, or by the number. Who corrects what it said of an id may.
func TestPushedPatientsOfOneNumberAreDoubted(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		const byNumber = "identifier=urn:mrn|1"
		for _, row := range []struct {
			name string
			m    inbox.Message
			held string
		}{
			{"the first", pushed("app", http.MethodPut, "Patient/a", "", "1", "Roe", "1970-01-31"), ""},
			{"the same person under another id", pushed("app", http.MethodPut, "Patient/b", "", "1", "Roe", "1970-01-31"), ""},
			{"that one deleted", pushed("app", http.MethodDelete, "Patient/b", "", "1", "Roe", "1970-01-31"), ""},
			{"another person under another id", pushed("app", http.MethodPut, "Patient/c", "", "1", "Doe", "1984-07-12"), birthPushed},
			{"another person, created", pushed("app", http.MethodPost, "Patient", "", "1", "Doe", "1984-07-12"), birthPushed},
			{"another person, created if not there", pushed("app", http.MethodPost, "Patient", byNumber, "1", "Doe", "1984-07-12"), birthPushed},
			{"another person, updated by the number", pushed("app", http.MethodPut, "Patient?"+byNumber, "", "1", "Doe", "1984-07-12"), birthPushed},
			{"the same, created if not there", pushed("app", http.MethodPost, "Patient", byNumber, "1", "Roe", "1970-01-31"), ""},
			{"the same, updated by the number", pushed("app", http.MethodPut, "Patient?"+byNumber, "", "1", "Roe-Smith", "1970-01-31"), ""},
			{"another number", pushed("app", http.MethodPut, "Patient/d", "", "2", "Doe", "1984-07-12"), ""},
			{"a number that is another's, taken by a known id", pushed("app", http.MethodPut, "Patient/d", "", "1", "Doe", "1984-07-12"), birthPushed},
			{"another source's number", pushed("lab", http.MethodPut, "Patient/l", "", "1", "Doe", "1984-07-12"), ""},
			{"a correction under the id", pushed("app", http.MethodPut, "Patient/a", "", "1", "Roe", "1999-09-19"), ""},
			{"and back, by the id as a search", pushed("app", http.MethodPut, "Patient?_id=a", "", "1", "Roe", "1970-01-31"), ""},
		} {
			row.m.Received = time.Now()
			if _, why := s.taken(t, row.m); why != row.held {
				t.Errorf("%s: held for %q, want %q", row.name, why, row.held)
			}
		}
		// Somebody vouches for one; it is applied.
		m := pushed("app", http.MethodPut, "Patient/e", "", "1", "Roe", "1984-07-12")
		id, why := s.taken(t, m)
		if why != birthPushed {
			t.Fatalf("held for %q", why)
		}
		o, shift := s.operations(t)
		must(t, o.Vouch(ctx, shift, id))
		if why := s.why(t, id); why != "" {
			t.Errorf("vouched for, it is held for %q", why)
		}
	})
}

// What two push at once, or one Bundle brings, is doubted as what comes one after
// another; what is of a number that people share is not.
func TestPushedAtOnceOneIsDoubted(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "record.db"), nil)
	answers := make(chan string)
	for n := range 8 {
		go func() {
			_, why := s.taken(t, pushed("app", http.MethodPut, fmt.Sprint("Patient/p", n), "", "1", fmt.Sprint("Family", n), fmt.Sprintf("19%d0-01-01", 1+n)))
			answers <- why
		}()
	}
	applied := 0
	for range 8 {
		if why := <-answers; why == "" {
			applied++
		} else if why != birthPushed {
			t.Errorf("held for %q", why)
		}
	}
	if applied != 1 {
		t.Errorf("%d people have one number", applied)
	}
	shared := func(id, birth string) inbox.Message {
		m := pushed("app", http.MethodPut, "Patient/"+id, "", "7", "Poe", birth)
		i, err := rest.Decode(m.Body)
		must(t, err)
		i.Resource = []byte(strings.Replace(string(i.Resource), `"system":"urn:mrn"`, `"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"SN"}]},"system":"urn:insurer"`, 1))
		m.Body = i.Encode()
		return m
	}
	for id, birth := range map[string]string{"mother": "1970-01-01", "child": "2001-01-01"} {
		if _, why := s.taken(t, shared(id, birth)); why != "" {
			t.Errorf("the %s: held for %q", id, why)
		}
	}
}

// A copy from a server that is asked is doubted as what is pushed; a new version of
// the same resource is a correction.
func TestCopiesOfOneNumberAreDoubted(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "record.db"), nil)
	for n, row := range []struct{ id, birth, held string }{
		{"1", "1970-01-31", ""},
		{"2", "1984-07-12", birthPushed},
		{"1", "1970-01-30", ""},
		{"3", "1970-01-30", ""},
	} {
		c := rest.Copy{Type: "Patient", ID: row.id, At: time.Now(), Base: "https://up.example.org/fhir", Resource: fmt.Appendf(nil,
			`{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:mrn","value":"1"}],"name":[{"family":"Roe"}],"birthDate":%q}`, row.id, row.birth)}
		if _, why := s.taken(t, inbox.Message{Source: "up", Kind: inbox.Copy, ControlID: fmt.Sprint(n), Received: time.Now(), Body: c.Encode()}); why != row.held {
			t.Errorf("copy %d: held for %q, want %q", n, why, row.held)
		}
	}
}

// Whom a sensitive push alone makes known casts no doubt on a harmless one: what is
// then held would show it.
func TestSensitivePushCastsNoDoubt(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "record.db"), nil)
	visit := func(id, birth, code string) inbox.Message {
		return inbox.Message{Source: "app", Kind: inbox.FHIR, ControlID: id, Received: time.Now(), Body: rest.Interaction{Method: http.MethodPost, Resource: fmt.Appendf(nil,
			`{"resourceType":"Bundle","type":"transaction","entry":[
			{"resource":{"resourceType":"Patient","id":%[1]q,"identifier":[{"system":"urn:mrn","value":"1"}],"name":[{"family":%[1]q}],"birthDate":%[2]q},"request":{"method":"PUT","url":"Patient/%[1]s"}},
			{"resource":{"resourceType":"Observation","id":"o-%[1]s","status":"final","code":{"coding":[{"system":"http://loinc.org","code":%[3]q}]},"subject":{"reference":"Patient/%[1]s"}},"request":{"method":"PUT","url":"Observation/o-%[1]s"}}]}`, id, birth, code)}.Encode()}
	}
	for _, row := range []struct{ id, birth, code, held string }{
		{"secret", "1970-01-31", "56888-1", ""},
		{"harmless", "1984-07-12", "2951-2", ""},
		{"another", "1999-09-09", "2951-2", strings.Replace(birthPushed, "Patient.", "Bundle.entry[0].resource.", 1)},
	} {
		if _, why := s.taken(t, visit(row.id, row.birth, row.code)); why != row.held {
			t.Errorf("%s: held for %q, want %q", row.id, why, row.held)
		}
	}
}
