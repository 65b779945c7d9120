package fhir_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"firebreak/fhir"
)

func TestOutcome(t *testing.T) {
	bad := &fhir.Error{Status: 400, Code: "invalid", Text: `Not "so".`, Expression: "Patient.id", Err: errors.New("SECRET")}
	for _, tt := range []struct {
		claim  string
		err    error
		ref    []string
		status int
		body   string
	}{
		{"what may be shown is shown", bad, nil, 400,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"Not \"so\".","expression":["Patient.id"]}]}`},
		{"wrapped too, with the reference", fmt.Errorf("SECRET: %w", bad), []string{"r1"}, 400,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"Not \"so\". Reference: r1.","expression":["Patient.id"]}]}`},
		{"what is not known says nothing", errors.New("SECRET"), []string{"r1"}, 500,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception","diagnostics":"Something went wrong on this server. Reference: r1."}]}`},
		{"nor does a time-out of ours", context.DeadlineExceeded, nil, 500,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception","diagnostics":"Something went wrong on this server."}]}`},
		{"an error without status is ours", &fhir.Error{}, nil, 500,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception"}]}`},
		{"several complaints", &fhir.Error{Status: 422, Code: "structure", Text: "a", More: []fhir.Issue{{"required", "b", "Patient.x"}}}, nil, 422,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"structure","diagnostics":"a"},{"severity":"error","code":"required","diagnostics":"b","expression":["Patient.x"]}]}`},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			status, body := fhir.Outcome(tt.err, tt.ref...)
			if status != tt.status || string(body) != tt.body {
				t.Errorf("got  %d %s\nwant %d %s", status, body, tt.status, tt.body)
			}
			if _, err := fhir.Parse(body); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPatientOf(t *testing.T) {
	for _, tt := range []struct{ claim, in, want string }{
		{"a patient is their own", `{"resourceType":"Patient","id":"1"}`, "[Patient/1]"},
		{"the subject", `{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference":"Patient/2"}]}`, "[Patient/1]"},
		{"the patient", `{"resourceType":"Immunization","patient":{"reference":"Patient/1/_history/2"}}`, "[Patient/1]"},
		{"the beneficiary, not the payor", `{"resourceType":"Coverage","payor":[{"reference":"Patient/2"}],"beneficiary":{"reference":"Patient/1"}}`, "[Patient/1]"},
		{"among participants", `{"resourceType":"Appointment","participant":[{"actor":{"reference":"Practitioner/2"}},{"actor":{"reference":"Patient/1"}},{"actor":{"reference":"Patient/1"}}]}`, "[Patient/1]"},
		{"two patients are not one", `{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/2"}},{"actor":{"reference":"Patient/1"}}]}`, "[Patient/2 Patient/1]"},
		{"a letter without subject belongs to whom it is for", `{"resourceType":"Communication","sender":{"reference":"Patient/2"},"recipient":[{"reference":"Patient/1"}]}`, "[Patient/1]"},
		{"a subject that is no patient", `{"resourceType":"Observation","subject":{"reference":"Location/1"}}`, "[]"},
		{"a patient elsewhere", `{"resourceType":"Observation","subject":{"reference":"http://x/Patient/1"}}`, "[]"},
		{"types outside the compartment may have one", `{"resourceType":"Task","for":{"reference":"Patient/1"}}`, "[Patient/1]"},
		{"others have none", `{"resourceType":"Practitioner","subject":{"reference":"Patient/1"}}`, "[]"},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			r := must(fhir.Parse([]byte(tt.in)))
			all := fhir.Patients(r)
			if fmt.Sprint(all) != tt.want {
				t.Errorf("got %v, want %s", all, tt.want)
			}
			if one, ok := fhir.PatientOf(r); ok != (len(all) == 1) || ok && one != all[0] {
				t.Errorf("PatientOf: %v %v", one, ok)
			}
		})
	}
}
