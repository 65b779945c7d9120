package fhir_test

import (
	"encoding/json"
	"errors"
	"testing"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"firebreak/fhir"
)

func TestNewWritesWhatWasSaid(t *testing.T) {
	for _, tt := range []struct {
		claim string
		model any
		also  []fhir.Set
		want  string
	}{
		{"nothing is invented",
			r4.Patient{Id: new("p")}, nil,
			`{"resourceType":"Patient","id":"p"}`},
		{"pointers to models serve as well",
			&r4.Patient{Id: new("p")}, nil,
			`{"resourceType":"Patient","id":"p"}`},
		{"empty strings, objects and arrays are dropped",
			r4.Patient{Language: new(""), Name: []r4.HumanName{{Given: []string{"", "Ann", ""}}, {Family: new("")}}, Address: []r4.Address{}, MaritalStatus: &r4.CodeableConcept{Coding: []r4.Coding{{}}}}, nil,
			`{"resourceType":"Patient","name":[{"given":["Ann"]}]}`},
		{"false and 0 behind a pointer are said",
			r4.Patient{Active: new(false), MultipleBirthInteger: new(0)}, nil,
			`{"resourceType":"Patient","active":false,"multipleBirthInteger":0}`},
		{"numbers keep their literal",
			r4.Observation{Status: r4.ObservationStatusFinal, Code: text("x"), ValueQuantity: &r4.Quantity{Value: new(json.Number("1.00E+2"))}}, nil,
			`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00E+2}}`},
		{"the first code of a list is said by a Set, as a string",
			r4.Observation{Code: text("x")}, []fhir.Set{{"status", "registered"}},
			`{"resourceType":"Observation","status":"registered","code":{"text":"x"}}`},
		{"or as the constant",
			r4.Observation{Code: text("x")}, []fhir.Set{{"status", r4.ObservationStatusRegistered}},
			`{"resourceType":"Observation","status":"registered","code":{"text":"x"}}`},
		{"a code behind a pointer is said though it is the first",
			r4.Patient{Gender: new(r4.AdministrativeGenderMale)}, nil,
			`{"resourceType":"Patient","gender":"male"}`},
		{"so is a code in a slice",
			r4.AllergyIntolerance{Patient: ref("Patient/1"), Category: []r4.AllergyIntoleranceCategory{r4.AllergyIntoleranceCategoryFood}}, nil,
			`{"resourceType":"AllergyIntolerance","category":["food"],"patient":{"reference":"Patient/1"}}`},
		{"of a required choice one way is enough",
			r4.Communication{Status: r4.EventStatusCompleted, Payload: []r4.CommunicationPayload{{ContentString: "hello"}}}, nil,
			`{"resourceType":"Communication","status":"completed","payload":[{"contentString":"hello"}]}`},
		{"a required string of samply's is a code too",
			r4.MedicationRequest{Status: "active", Intent: "order", Subject: ref("Patient/1"), MedicationCodeableConcept: text("m")}, nil,
			`{"resourceType":"MedicationRequest","status":"active","intent":"order","medicationCodeableConcept":{"text":"m"},"subject":{"reference":"Patient/1"}}`},
		{"a Set reaches into arrays",
			r4.Appointment{Status: r4.AppointmentStatusBooked, Participant: []r4.AppointmentParticipant{{Actor: new(ref("Patient/1"))}}}, []fhir.Set{{"participant[0].status", "accepted"}},
			`{"resourceType":"Appointment","status":"booked","participant":[{"actor":{"reference":"Patient/1"},"status":"accepted"}]}`},
		{"primitive extensions",
			r4.Patient{BirthDate: new("1970")}, []fhir.Set{{"_birthDate", fhir.Object{{"extension", []any{fhir.Object{{"url", "http://x"}, {"valueTime", "10:00:00"}}}}}}},
			`{"resourceType":"Patient","birthDate":"1970","_birthDate":{"extension":[{"url":"http://x","valueTime":"10:00:00"}]}}`},
		{"a primitive's extension stands for a required value",
			r4.Observation{Code: text("x")}, []fhir.Set{{"_status", absent()}},
			`{"resourceType":"Observation","code":{"text":"x"},"_status":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}`},
		{"an item's extension leaves holes before it",
			r4.Patient{Name: []r4.HumanName{{Given: []string{"A", "B"}}}}, []fhir.Set{{"name[0]._given[1].id", "x"}},
			`{"resourceType":"Patient","name":[{"given":["A","B"],"_given":[null,{"id":"x"}]}]}`},
		{"contained resources",
			r4.Observation{Status: r4.ObservationStatusFinal, Code: text("x")}, []fhir.Set{{"contained", []fhir.Resource{must(fhir.Parse([]byte(`{ "resourceType":"Patient", "id":"p", "name":[] }`)))}}},
			`{"resourceType":"Observation","status":"final","code":{"text":"x"},"contained":[{"resourceType":"Patient","id":"p"}]}`},
		{"a Set into a struct that is not there",
			r4.Encounter{Status: r4.EncounterStatusPlanned + 1, Class: r4.Coding{Code: new("AMB")}}, []fhir.Set{{"hospitalization.dischargeDisposition.text", "home"}, {"location[0].location.display", "W"}},
			`{"resourceType":"Encounter","status":"arrived","class":{"code":"AMB"},"hospitalization":{"dischargeDisposition":{"text":"home"}},"location":[{"location":{"display":"W"}}]}`},
		{"an Object is a model",
			fhir.Object{{"resourceType", "Binary"}, {"contentType", "text/plain"}, {"data", ""}}, nil,
			`{"resourceType":"Binary","contentType":"text/plain"}`},
		{"a Set replaces what the struct says",
			r4.Patient{Active: new(true)}, []fhir.Set{{"active", false}},
			`{"resourceType":"Patient","active":false}`},
		{"raw JSON keeps holes beside extensions, loses empties",
			fhir.Object{{"resourceType", "Patient"}, {"name", json.RawMessage(` [ {"given":[null,"B"], "_given":[{"id":"1"},null], "suffix":[""] } ]`)}}, nil,
			`{"resourceType":"Patient","name":[{"given":[null,"B"],"_given":[{"id":"1"},null]}]}`},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			r, err := fhir.New(tt.model, tt.also...)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.JSON()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if again, err := fhir.Parse(r.JSON()); err != nil || again.Ref() != r.Ref() {
				t.Errorf("what New made does not parse: %v", err)
			}
		})
	}
}

func TestNewRefusesWithThePlace(t *testing.T) {
	for _, tt := range []struct {
		claim string
		model any
		also  []fhir.Set
		place string
	}{
		{"no status is made up", r4.Observation{Code: text("x")}, nil, "Observation.status"},
		{"a required object", r4.Observation{Status: r4.ObservationStatusFinal}, nil, "Observation.code"},
		{"a required code in an array", r4.Appointment{Status: r4.AppointmentStatusBooked, Participant: []r4.AppointmentParticipant{{}, {Actor: new(ref("Patient/1"))}}}, nil, "Appointment.participant[1].status"},
		{"a required choice", r4.MedicationRequest{Status: "active", Intent: "order", Subject: ref("Patient/1")}, nil, "MedicationRequest.medication[x]"},
		{"a choice made twice", r4.MedicationRequest{Status: "active", Intent: "order", Subject: ref("Patient/1"), MedicationCodeableConcept: text("a"), MedicationReference: ref("Medication/1")}, nil, "MedicationRequest.medication[x]"},
		{"a number that is none", r4.Observation{Status: r4.ObservationStatusFinal, Code: text("x"), ValueQuantity: &r4.Quantity{Value: new(json.Number("<5"))}}, nil, "Observation.valueQuantity.value"},
		{"a number JSON writes otherwise", r4.Observation{Status: r4.ObservationStatusFinal, Code: text("x"), ValueQuantity: &r4.Quantity{Value: new(json.Number(".5"))}}, nil, "Observation.valueQuantity.value"},
		{"a code outside its list", r4.Observation{Status: 99, Code: text("x")}, nil, "Observation.status"},
		{"bytes that are no text", r4.Patient{Name: []r4.HumanName{{Family: new("\xff")}}}, nil, "Patient.name[0].family"},
		{"a malformed id", r4.Patient{Id: new("a b")}, nil, "Patient.id"},
		{"a Go type without place", r4.Patient{}, []fhir.Set{{"x", 1.5}}, "Patient.x"},
		{"broken raw JSON", r4.Patient{}, []fhir.Set{{"contained", json.RawMessage(`[{]`)}}, "Patient.contained"},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			_, err := fhir.New(tt.model, tt.also...)
			e, ok := errors.AsType[*fhir.Error](err)
			if !ok || e.Expression != tt.place {
				t.Errorf("got %v, want an error at %s", err, tt.place)
			}
		})
	}
	for _, bad := range []any{nil, (*r4.Patient)(nil)} {
		if _, err := fhir.New(bad); err == nil {
			t.Errorf("New(%T) gave no error", bad)
		}
	}
	if _, err := fhir.New(r4.Patient{}, fhir.Set{Path: "name[x]", Value: 1}); err == nil {
		t.Error("a Set with a broken path gave no error")
	}
}

func text(s string) r4.CodeableConcept { return r4.CodeableConcept{Text: &s} }
func ref(s string) r4.Reference        { return r4.Reference{Reference: &s} }

func absent() fhir.Object {
	return fhir.Object{{"extension", []any{fhir.Object{{"url", "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}, {"valueCode", "unknown"}}}}}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func BenchmarkNewObservation(b *testing.B) {
	o := typicalObservation()
	for b.Loop() {
		if _, err := fhir.New(o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSamplyMarshalObservation(b *testing.B) {
	o := typicalObservation()
	for b.Loop() {
		if _, err := json.Marshal(o); err != nil {
			b.Fatal(err)
		}
	}
}

func typicalObservation() r4.Observation {
	coding := func(system, code, display string) r4.CodeableConcept {
		return r4.CodeableConcept{Coding: []r4.Coding{{System: &system, Code: &code, Display: &display}}, Text: &display}
	}
	return r4.Observation{
		Id:                new("abcdefghijklmnop-abcdefghijklmnopqrst"),
		Identifier:        []r4.Identifier{{System: new("urn:x"), Value: new("12345-1")}},
		Status:            r4.ObservationStatusFinal,
		Category:          []r4.CodeableConcept{coding("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Laboratory")},
		Code:              coding("http://loinc.org", "718-7", "Hemoglobin [Mass/volume] in Blood"),
		Subject:           &r4.Reference{Reference: new("Patient/abcdefghijklmnop")},
		Encounter:         &r4.Reference{Reference: new("Encounter/abcdefghijklmnop-abcdefghijklmnopqrst")},
		EffectiveDateTime: new("2026-01-02T03:04:05+01:00"),
		Issued:            new("2026-01-02T03:04:05+01:00"),
		Performer:         []r4.Reference{{Reference: new("Organization/abcdefghijklmnop-abcdefghijklmnopqrst"), Display: new("Laboratory")}},
		ValueQuantity:     &r4.Quantity{Value: new(json.Number("13.50")), Unit: new("g/dL"), System: new("http://unitsofmeasure.org"), Code: new("g/dL")},
		Interpretation:    []r4.CodeableConcept{coding("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "H", "High")},
		ReferenceRange:    []r4.ObservationReferenceRange{{Low: &r4.Quantity{Value: new(json.Number("12"))}, High: &r4.Quantity{Value: new(json.Number("16"))}, Text: new("12-16")}},
	}
}
