package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// TestAuditEvents: whatever is logged is a sound AuditEvent, which says who, from
// where, of whose chart, and how it ended; BALP's profiles of a read are named where
// they hold, and only there.
func TestAuditEvents(t *testing.T) {
	ref := func(s string) fhir.Ref {
		typ, id, _ := strings.Cut(s, "/")
		return fhir.Ref{Type: typ, ID: id}
	}
	doctor, app, client := accesstest.Person(t, access.Physician), accesstest.App(t, access.Physician, "user/*.rs", ""), accesstest.Client(t, "", "system/*.rs")
	at := time.Date(2026, 3, 1, 9, 30, 0, 120e6, time.UTC)
	rows := []struct {
		audit.Event
		want string // action, type, subtype, outcome, profile, entities
	}{
		{audit.Event{Action: audit.Read, Caller: app, Patient: ref("Patient/p"), Entities: []fhir.Ref{ref("Observation/o")}}, "R rest read 0 PatientRead patient=Patient/p object=Observation/o request"},
		{audit.Event{Action: audit.VRead, Caller: app, Patient: ref("Patient/p"), Entities: []fhir.Ref{ref("Patient/p")}}, "R rest vread 0 PatientRead patient=Patient/p object=Patient/p request"},
		{audit.Event{Action: audit.Read, Caller: client, Entities: []fhir.Ref{ref("Location/l")}}, "R rest read 0 Read object=Location/l request"},
		{audit.Event{Action: audit.Read, Caller: app, Refused: true, Entities: []fhir.Ref{ref("Observation/o")}}, "R rest read 4 - object=Observation/o request"},
		{audit.Event{Action: audit.Search, Caller: app, Patient: ref("Patient/p"), Entities: []fhir.Ref{ref("Observation/o")}, Detail: "Observation code"}, "E rest search 0 - patient=Patient/p object=Observation/o query=Observation code request"},
		{audit.Event{Action: audit.Find, Caller: doctor, Entities: []fhir.Ref{ref("Patient/p"), ref("Patient/q")}, Detail: "name,birthdate"}, "E rest search 0 - patient=Patient/p query=name,birthdate request\nE rest search 0 - patient=Patient/q query=name,birthdate request"},
		{audit.Event{Action: audit.Page, Caller: doctor, Patient: ref("Patient/p"), Entities: []fhir.Ref{ref("Patient/p")}, Detail: "summary"}, "R 110110 open 0 - patient=Patient/p about=summary request"},
		{audit.Event{Action: audit.Export, Caller: client, Detail: "Patient"}, "R 110106 export 0 - about=Patient request"},
		{audit.Event{Action: audit.Write, Caller: client, Detail: "PUT"}, "U rest update 0 - request"},
		{audit.Event{Action: audit.Write, Caller: client, Detail: "HL7 v2 messages"}, "E rest write 0 - request"},
		{audit.Event{Action: audit.Break, Caller: doctor, Patient: ref("Patient/p"), Detail: "emergency"}, "E 110113 110127 0 - patient=Patient/p about=emergency request"},
		{audit.Event{Action: audit.SignIn, Refused: true, Detail: "/fhir/Patient"}, "E 110114 110122 4 - about=/fhir/Patient request"},
		{audit.Event{Action: audit.SignIn, Refused: true, Subject: "https://login.example.org somebody", Detail: "unknown person"}, "E 110114 110122 4 - about=unknown person request"},
	}
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := audit.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, row := range rows {
		row.Time, row.Address, row.Request = at, "10.0.0.7", fmt.Sprint("r", i)
		if err := l.Append(t.Context(), row.Event); err != nil {
			t.Fatal(err)
		}
		want = append(want, strings.Split(row.want, "\n")...)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	n, err := audit.AuditEvents(&b, dir, "https://gw.example.org/fhir", 0)
	if err != nil || n != len(want) {
		t.Fatalf("%d events, want %d: %v", n, len(want), err)
	}
	ids := map[string]bool{}
	for i, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		r, err := fhir.Parse([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if problems := r4def.Check(r); len(problems) > 0 {
			t.Errorf("%s\n%v", line, problems)
		}
		if got := told(t, line); got != want[i] {
			t.Errorf("got  %s\nwant %s\n%s", got, want[i], line)
		}
		if ids[r.ID()] {
			t.Errorf("%s is told twice", r.ID())
		}
		ids[r.ID()] = true
		for _, s := range []string{`"recorded":"2026-03-01T09:30:00.12Z"`, `"network":{"address":"10.0.0.7","type":"2"}`} {
			if !strings.Contains(line, s) {
				t.Errorf("it does not say %s: %s", s, line)
			}
		}
	}
	who, _, _ := strings.Cut(b.String(), "\n")
	for _, s := range []string{`"code":"IRCP"`, `"name":` + quoted(app.Name()), `"altId":` + quoted(app.Person()), `"code":"TREAT"`, `"code":"PROV"`, quoted(app.Worksite().Name), `"who":{"identifier":{"value":` + quoted(app.Identity().Client())} {
		if !strings.Contains(who, s) {
			t.Errorf("it does not say %s: %s", s, who)
		}
	}
	b.Reset()
	if n, err := audit.AuditEvents(&b, dir, "", int64(len(rows)-1)); n != 1 || err != nil || !strings.Contains(b.String(), "unknown person") {
		t.Errorf("after all but the last: %d, %v: %s", n, err, b.String())
	}
	names, _ := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	file := names[0]
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("Location/l"), []byte("Location/m"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if n, err := audit.AuditEvents(&b, dir, "", 0); n != 0 || err == nil || b.Len() > 0 {
		t.Errorf("of a forged log %d are told, %v", n, err)
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// told is the gist of an AuditEvent.
func told(t *testing.T, line string) string {
	t.Helper()
	type code struct{ Code string }
	var x struct {
		Meta    struct{ Profile []string }
		Type    code
		Subtype []code
		Action  string
		Outcome string
		Entity  []struct {
			What struct {
				Reference  string
				Identifier struct{ Value string }
			}
			Type        code
			Description string
			Query       []byte
		}
	}
	if err := json.Unmarshal([]byte(line), &x); err != nil {
		t.Fatal(err)
	}
	profile := "-"
	for _, p := range x.Meta.Profile {
		profile = strings.TrimPrefix(p, "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.")
	}
	all := []string{x.Action, x.Type.Code, x.Subtype[0].Code, x.Outcome, profile}
	for _, e := range x.Entity {
		switch {
		case e.Type.Code == "1":
			all = append(all, "patient="+e.What.Reference)
		case e.Type.Code == "XrequestId" && e.What.Identifier.Value != "":
			all = append(all, "request")
		case len(e.Query) > 0 && string(e.Query) == e.Description:
			all = append(all, "query="+e.Description)
		case e.Description != "":
			all = append(all, "about="+e.Description)
		default:
			all = append(all, "object="+e.What.Reference)
		}
	}
	return strings.Join(all, " ")
}
