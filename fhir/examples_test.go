package fhir_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/internal/corpus"
)

func decode[T any](b []byte) (any, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}

// Official examples, read into samply's structs and built again, say nothing
// that they did not say, and are sound. What samply cannot hold is lost, and a
// required code that is the first of its list has to be set: New asks for it.
func TestNewInventsNothing(t *testing.T) {
	models := map[string]func([]byte) (any, error){
		"AllergyIntolerance": decode[r4.AllergyIntolerance], "Appointment": decode[r4.Appointment], "Binary": decode[r4.Binary],
		"Communication": decode[r4.Communication], "Condition": decode[r4.Condition], "Coverage": decode[r4.Coverage],
		"DiagnosticReport": decode[r4.DiagnosticReport], "DocumentReference": decode[r4.DocumentReference], "Encounter": decode[r4.Encounter],
		"Immunization": decode[r4.Immunization], "Location": decode[r4.Location], "MedicationRequest": decode[r4.MedicationRequest],
		"Observation": decode[r4.Observation], "Organization": decode[r4.Organization], "Patient": decode[r4.Patient],
		"Practitioner": decode[r4.Practitioner], "Procedure": decode[r4.Procedure], "Provenance": decode[r4.Provenance],
		"RelatedPerson": decode[r4.RelatedPerson], "Schedule": decode[r4.Schedule], "ServiceRequest": decode[r4.ServiceRequest],
		"Slot": decode[r4.Slot], "Specimen": decode[r4.Specimen],
	}
	built, asked := 0, 0
	for _, line := range corpus.Lines(t, "r4def/testdata/examples.ndjson.gz") {
		in := must(fhir.Parse(line))
		read := models[in.Type()]
		if read == nil {
			continue
		}
		model, err := read(in.JSON())
		if err != nil {
			t.Errorf("%s: %v", in.Ref(), err)
			continue
		}
		var also []fhir.Set
		out, err := fhir.New(model)
		for err != nil && len(also) < 20 {
			e, ok := errors.AsType[*fhir.Error](err)
			if !ok || e.Code != "required" {
				t.Fatalf("%s: %v", in.Ref(), err)
			}
			path := strings.TrimPrefix(e.Expression, in.Type()+".")
			if stem, choice := strings.CutSuffix(path, "[x]"); choice { // a false or 0 in a choice
				path = stem + "Boolean"
			}
			was := at(in.Root(), path)
			if was.Kind() != '"' && was.Kind() != 'f' {
				t.Fatalf("%s: %v, and it was not there", in.Ref(), err)
			}
			asked++
			also = append(also, fhir.Set{Path: path, Value: json.RawMessage(was.Raw())})
			out, err = fhir.New(model, also...)
		}
		if err != nil {
			t.Fatal(err)
		}
		built++
		had := leaves(in.Root())
		for leaf, n := range leaves(out.Root()) {
			if n > had[leaf] {
				t.Errorf("%s: %s was made up", in.Ref(), leaf)
			}
		}
		for _, p := range r4def.Check(out) {
			if !strings.Contains(p.Text, "contained resource that is not there") && len(r4def.Check(in)) == 0 {
				t.Errorf("%s: %s", in.Ref(), p)
			}
		}
	}
	if built < 200 || asked < 20 {
		t.Errorf("%d built, %d codes asked for", built, asked)
	}
}

// leaves counts the literals of n by where they stand, places in arrays left out.
func leaves(n fhir.Node) map[string]int {
	all := map[string]int{}
	var walk func(path string, n fhir.Node)
	walk = func(path string, n fhir.Node) {
		switch n.Kind() {
		case '{':
			for name, v := range n.Members() {
				walk(path+"."+name, v)
			}
		case '[':
			for v := range n.Slots() {
				walk(path, v)
			}
		case 'n':
		case '"':
			all[path+" \""+n.Text()]++
		default:
			all[path+" "+string(n.Raw())]++
		}
	}
	walk("", n)
	return all
}

// at follows a path with indexes.
func at(n fhir.Node, path string) fhir.Node {
	for step := range strings.SplitSeq(path, ".") {
		name, index, indexed := strings.Cut(step, "[")
		n = n.Get(name)
		if !indexed {
			continue
		}
		want, _ := strconv.Atoi(strings.TrimSuffix(index, "]"))
		i, found := 0, fhir.Node{}
		for v := range n.Slots() {
			if i == want {
				found = v
			}
			i++
		}
		n = found
	}
	return n
}

// The choices that samply makes required all at once are the ones that R4
// requires: New asks for one of each, and for no other.
func TestRequiredChoicesAreR4s(t *testing.T) {
	types := map[string]string{} // "CommunicationPayload" to "Communication.payload"
	var name func(r4name string)
	name = func(r4name string) {
		key := ""
		for part := range strings.SplitSeq(r4name, ".") {
			key += strings.ToUpper(part[:1]) + part[1:]
		}
		if _, known := types[key]; known || r4def.Lookup(r4name) == nil {
			return
		}
		types[key] = r4name
		for _, e := range r4def.Lookup(r4name).Elements {
			for _, x := range e.Types {
				name(x.Type)
			}
		}
	}
	for _, typ := range fhir.Types() {
		name(typ)
	}
	seen, asked := map[reflect.Type]bool{}, 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		definition := r4def.Lookup(types[typ.Name()])
		if definition == nil {
			t.Errorf("%s is not of R4", typ.Name())
			return
		}
		var want []string
		for _, e := range definition.Elements {
			if e.Choice && e.Min > 0 {
				want = append(want, e.Name)
			}
		}
		if got := fhir.RequiredChoices(typ); !slices.Equal(got, want) {
			t.Errorf("%s asks for %v, R4 for %v", typ.Name(), got, want)
		}
		asked += len(want)
		for f := range typ.Fields() {
			walk(f.Type)
		}
	}
	for _, model := range []any{r4.ActivityDefinition{}, r4.AllergyIntolerance{}, r4.Appointment{}, r4.CarePlan{}, r4.Claim{}, r4.Communication{}, r4.Composition{},
		r4.Condition{}, r4.Consent{}, r4.Contract{}, r4.Coverage{}, r4.DeviceUseStatement{}, r4.DiagnosticReport{}, r4.DocumentReference{}, r4.Encounter{}, r4.ExplanationOfBenefit{},
		r4.Immunization{}, r4.Location{}, r4.MedicationAdministration{}, r4.MedicationDispense{}, r4.MedicationRequest{}, r4.MedicationStatement{}, r4.MessageHeader{}, r4.Observation{},
		r4.Patient{}, r4.Practitioner{}, r4.Procedure{}, r4.Provenance{}, r4.RelatedPerson{}, r4.RequestGroup{}, r4.ServiceRequest{}, r4.Specimen{}, r4.SupplyRequest{}, r4.Task{}} {
		walk(reflect.TypeOf(model))
	}
	if asked < 15 {
		t.Errorf("only %d choices", asked)
	}
}
