package mapping

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firebreak/inbox"
)

var someKeys = NewKeys([]byte("a secret of sixteen bytes or more"))

// TestTold: that a patient was told becomes the Task that an EHR might push, in
// the chart of the result; nobody but the gateway itself may say so.
func TestTold(t *testing.T) {
	full := inbox.Telling{Chart: "aaaaaaaaaaaaaaaa", Type: "Observation", ID: "aaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbbbbbb", On: "2026-03-01", By: "Dr Haddad", How: "telephone", Note: "Understood.", Author: "Dr Lee"}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	message := func(t2 inbox.Telling) inbox.Message {
		m, err := t2.Message("r1", "page", at)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	r, err := Map(someKeys, message(full))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Resources) != 1 || r.Patient.ID != full.Chart || r.Resources[0].Given || !strings.HasPrefix(r.Resources[0].ID(), full.Chart+"-") {
		t.Fatalf("made %+v", r)
	}
	want := `{"resourceType":"Task","id":"` + r.Resources[0].ID() + `","status":"completed","intent":"order","code":{"coding":[{"system":"urn:firebreak:task","code":"told"}]},` +
		`"focus":{"reference":"Observation/aaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbbbbbb"},"for":{"reference":"Patient/aaaaaaaaaaaaaaaa"},"executionPeriod":{"start":"2026-03-01","end":"2026-03-01"},` +
		`"authoredOn":"2026-03-02T09:00:00Z","lastModified":"2026-03-02T09:00:00Z","requester":{"display":"Dr Lee"},"owner":{"display":"Dr Haddad"},` +
		`"note":[{"authorString":"Dr Lee","time":"2026-03-02T09:00:00Z","text":"Understood."}],"output":[{"type":{"text":"how"},"valueString":"telephone"}]}`
	if got := string(r.Resources[0].JSON()); got != want {
		t.Errorf("made %s\nwant %s", got, want)
	}
	again, err := Map(someKeys, message(full))
	if err != nil || string(again.Resources[0].JSON()) != want {
		t.Errorf("the same message makes another Task: %v", err)
	}
	if key, err := PatientKey(someKeys, message(full)); err != nil || key != full.Chart {
		t.Errorf("lane %q, %v", key, err)
	}
	pushed := full
	pushed.Chart, pushed.ID, pushed.Note = "pat-1", "obs-1", ""
	if r, err := Map(someKeys, message(pushed)); err != nil || !r.Resources[0].Given || r.Resources[0].Chart != "pat-1" {
		t.Errorf("in a chart whose ids were given: %+v, %v", r, err)
	}
	for name, change := range map[string]func(*inbox.Telling, *inbox.Message){
		"another source": func(_ *inbox.Telling, m *inbox.Message) { m.Source = "hospital" },
		"no day":         func(x *inbox.Telling, _ *inbox.Message) { x.On = "yesterday" },
		"no result":      func(x *inbox.Telling, _ *inbox.Message) { x.ID = "a/b" },
		"no type":        func(x *inbox.Telling, _ *inbox.Message) { x.Type = "Secret" },
		"no chart":       func(x *inbox.Telling, _ *inbox.Message) { x.Chart = "" },
		"no JSON":        func(_ *inbox.Telling, m *inbox.Message) { m.Body = []byte("MSH|") },
	} {
		x := full
		change(&x, &inbox.Message{})
		m := message(x)
		change(&x, &m)
		if r, err := Map(someKeys, m); err == nil {
			t.Errorf("%s: made %s", name, fmt.Sprint(r))
		}
	}
}

func FuzzTold(f *testing.F) {
	f.Add(`{"chart":"aaaaaaaaaaaaaaaa","type":"Observation","id":"x","on":"2026-03-01","by":"A","how":"visit","note":"","author":"B"}`)
	f.Fuzz(func(t *testing.T, body string) {
		r, err := Map(someKeys, inbox.Message{Source: inbox.Own, Kind: inbox.Told, Body: []byte(body)})
		if err == nil && (len(r.Resources) != 1 || r.Resources[0].Type() != "Task" || r.Resources[0].Chart == "") {
			t.Fatalf("%q made %+v", body, r)
		}
	})
}
