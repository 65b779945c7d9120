package mapping_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/inbox"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

var secret = []byte("a secret of the tests, 32 bytes.")

// received is when the tests' messages come in.
var received = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func message(body []byte) inbox.Message {
	return inbox.Message{Source: "test", Kind: inbox.HL7v2, Received: received, Body: body}
}

// messages gives every HL7 v2 message of the corpus with its file's name in it.
func messages(t testing.TB, yield func(name string, body []byte)) {
	folder := corpus.Dir(t, "corpus", "hl7v2")
	for part, err := range hl7.Files(corpus.HL7(t)...) {
		if err != nil {
			t.Fatal(err)
		}
		if part.Kind == hl7.MessagePart {
			name, _ := filepath.Rel(folder, part.Name)
			yield(name, part.Message())
		}
	}
}

var place = regexp.MustCompile(`^mapping: [A-Z][A-Z0-9]{2}(-\d+(\.\d+)?)?( in segment \d+)?: .`)

var segment = regexp.MustCompile(` in segment \d+`)

// tokens are what may tell of a patient: numbers, dates, codes.
var tokens = regexp.MustCompile(`[A-Za-z0-9]{5,}`)

// TestCorpus maps every message of the corpus: each gives resources that are
// FHIR R4, whose references resolve, whose ids tell their chart, the same bytes
// when mapped again; or an error that names a place and quotes nothing.
func TestCorpus(t *testing.T) {
	k := mapping.NewKeys(secret)
	mapped, held, notes := 0, map[string]int{}, map[string]int{}
	problems, quoted, checked := map[string]int{}, map[string]bool{}, map[string]bool{}
	types := map[string]int{}
	messages(t, func(name string, body []byte) {
		m := message(body)
		r, err := mapping.Map(k, m)
		key, keyErr := mapping.PatientKey(k, m)
		said := append(r.Notes, fmt.Sprint(err))
		for _, s := range said {
			if s = segment.ReplaceAllString(s, ""); quoted[s] {
				continue // said of another message in the same words
			}
			quoted[s] = true
			for _, token := range tokens.FindAll(body, -1) {
				if bytes.ContainsAny(token, "0123456789") && strings.Contains(s, string(token)) {
					t.Errorf("%s: a value of the message is in what is said of it", name)
				}
			}
		}
		if err != nil {
			var at *mapping.Error
			if !errors.As(err, &at) || at.Segment == "" || !place.MatchString(err.Error()) {
				t.Errorf("%s: the error names no place: %v", name, err)
			}
			held[segment.ReplaceAllString(err.Error(), "")]++
			return
		}
		mapped++
		if keyErr != nil || key != r.Patient.ID {
			t.Errorf("%s: PatientKey differs from Map's patient (%v)", name, keyErr)
		}
		var all []fhir.Resource
		for _, res := range r.Resources {
			types[res.Type()]++
			all = append(all, res.Resource)
			if !checked[string(res.JSON())] {
				checked[string(res.JSON())] = true
				for _, p := range departures(res.Resource) {
					problems[p+" e.g. "+name]++
				}
			}
			if res.ID() != r.Patient.ID && !strings.HasPrefix(res.ID(), r.Patient.ID+"-") {
				t.Errorf("%s: the id of a %s does not tell its chart", name, res.Type())
			}
			if res.At.IsZero() {
				t.Errorf("%s: a %s without At", name, res.Type())
			}
		}
		for _, p := range r4def.Dangling(all) {
			t.Errorf("%s: %s", name, p)
		}
		bundle := mapping.Bundle(r)
		if _, err := fhir.Parse(bundle); err != nil {
			t.Errorf("%s: the Bundle is no resource: %v", name, err)
		}
		if mapped%4 == 0 || !strings.HasPrefix(name, "simhospital") {
			again, err := mapping.Map(mapping.NewKeys(secret), m)
			if err != nil || !bytes.Equal(bundle, mapping.Bundle(again)) {
				t.Errorf("%s: mapped again it differs (%v)", name, err)
			}
		}
		for _, n := range r.Notes {
			notes[segment.ReplaceAllString(n, "")]++
		}
	})
	for p, n := range problems {
		t.Errorf("%d times: %s", n, p)
	}
	t.Logf("%d mapped; resources %v", mapped, types)
	for _, group := range []map[string]int{held, notes} {
		for what, n := range group {
			t.Logf("%6d %s", n, what)
		}
	}
}

// TestSimulatedHospital counts charts: one for each of the stream's patients,
// whatever message names them first.
func TestSimulatedHospital(t *testing.T) {
	k := mapping.NewKeys(secret)
	charts, numbers := map[string]string{}, map[string]bool{}
	for _, body := range corpus.Stream(t) {
		m, err := hl7.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		number := m.Segment("PID").Field(3).String()
		key, err := mapping.PatientKey(k, message(body))
		if err != nil {
			t.Fatal(err)
		}
		if was, known := charts[number]; known && was != key {
			t.Errorf("a patient has two charts")
		}
		charts[number] = key
		numbers[key] = true
	}
	if len(charts) != 714 || len(numbers) != 714 {
		t.Errorf("%d patients in %d charts, want 714 of both", len(charts), len(numbers))
	}
}

func BenchmarkMap(b *testing.B) {
	k := mapping.NewKeys(secret)
	for _, name := range []string{"adt-a01-full", "adt-a03"} {
		m := message(read(b, name))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := mapping.Map(k, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPatientKey(b *testing.B) {
	k, m := mapping.NewKeys(secret), message(read(b, "adt-a01-full"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mapping.PatientKey(k, m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStream maps the Simulated Hospital stream, message after message.
func BenchmarkStream(b *testing.B) {
	var stream []inbox.Message
	for _, body := range corpus.Stream(b) {
		stream = append(stream, message(body))
	}
	k := mapping.NewKeys(secret)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := mapping.Map(k, stream[n%len(stream)]); err != nil {
			b.Fatal(err)
		}
	}
}

// A message that is written again from what was read of it maps to the same bytes.
func TestWrittenAgainMapsTheSame(t *testing.T) {
	k := mapping.NewKeys(secret)
	n, tried := 0, 0
	messages(t, func(name string, body []byte) {
		if n++; n%4 != 0 {
			return
		}
		m := message(body)
		msg, err := hl7.Parse(body)
		if err != nil {
			return
		}
		var again []byte
		for _, s := range msg.Segments() {
			again = append(append(again, s.Text()...), '\r')
		}
		if bytes.ContainsFunc(again, func(c rune) bool { return c > 126 }) {
			return // in a character set of its own
		}
		tried++
		m2 := m
		m2.Body = again
		one, err1 := mapping.Map(k, m)
		two, err2 := mapping.Map(k, m2)
		if fmt.Sprint(err1) != fmt.Sprint(err2) || !slices.Equal(one.Notes, two.Notes) || len(one.Resources) != len(two.Resources) {
			t.Errorf("%s: %v, %v", name, err1, err2)
			return
		}
		for i, r := range one.Resources {
			if !bytes.Equal(r.JSON(), two.Resources[i].JSON()) || !r.At.Equal(two.Resources[i].At) {
				t.Errorf("%s: another %s", name, r.Type())
			}
		}
	})
	if tried < 500 {
		t.Errorf("%d messages were tried", tried)
	}
}
