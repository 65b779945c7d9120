package hl7

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/internal/corpus"
)

func TestCorpusSplitsIntoTheMessagesItsReadmeCounts(t *testing.T) {
	want := map[string]int{
		"simhospital": 3040, "fhir-converter": 61, "reportstream": 131, "trusted-intermediary": 26,
		"cdc-case-notifications.tar.gz": 20, "aidbox": 69, "hapi": 36, "golevel7": 5, "itk-nhs": 5,
		"ansforge-fr": 8, "latin1": 4, "phdi": 8, "ehds": 1,
	}
	root := corpus.Dir(t, "corpus", "hl7v2")
	got := map[string]int{}
	for part, err := range Files(corpus.HL7(t)...) {
		if err != nil {
			t.Fatal(err)
		}
		if part.Kind == MessagePart {
			rel, _ := filepath.Rel(root, part.Name)
			top, _, _ := strings.Cut(strings.ReplaceAll(rel, "!", "/"), "/")
			got[top]++
		}
	}
	total := 0
	for name, n := range want {
		total += n
		if got[name] != n {
			t.Errorf("%s: %d messages, want %d", name, got[name], n)
		}
	}
	if total != 3414 || len(got) != len(want) {
		t.Errorf("%d folders with %d messages expected, found %d folders", len(want), total, len(got))
	}
}

func TestCorpusRoundTripsToTheByte(t *testing.T) {
	for _, path := range corpus.HL7(t) {
		if strings.HasSuffix(path, ".gz") {
			continue
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var joined []byte
		for part := range Split(file) {
			joined = append(joined, part.Bytes...)
		}
		if !bytes.Equal(joined, file) {
			t.Errorf("%s: the parts joined are not the file", path)
		}
	}
	for part, err := range Files(corpus.HL7(t)...) {
		if err != nil {
			t.Fatal(err)
		}
		if part.Kind != MessagePart {
			continue
		}
		m, err := Parse(part.Message())
		if err != nil {
			t.Errorf("%s:%d: %v", part.Name, part.Line, err)
			continue
		}
		if !bytes.Equal(m.Bytes(), part.Message()) {
			t.Errorf("%s:%d: parsed and written it is another message", part.Name, part.Line)
		}
		again, err := Parse(m.Wire())
		if err != nil {
			t.Errorf("%s:%d: on the wire: %v", part.Name, part.Line, err)
			continue
		}
		for i, s := range m.Segments() {
			if got := again.Segments()[i].Text(); got != s.Text() {
				t.Errorf("%s:%d: segment %d differs on the wire", part.Name, part.Line, i+1)
			}
		}
		for _, s := range m.Segments() {
			for n := 1; n <= s.Fields(); n++ {
				var reps []string
				for r := range s.Field(n).Reps() {
					reps = append(reps, r.Raw())
				}
				if f := s.Field(n); f.Raw() != strings.Join(reps, string(rune(m.delims.Repetition))) && m.delims.Repetition != 0 {
					t.Errorf("%s:%d: %v: repetitions joined are not the field", part.Name, part.Line, f.Err("").Place())
				}
			}
		}
	}
}
