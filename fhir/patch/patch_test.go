package patch_test

import (
	"errors"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/patch"
)

const ada = `{"resourceType":"Patient","id":"a","name":[{"family":"Oak","given":["Ada","May"]},{"family":"Ash"}],"_birthDate":{"extension":[{"url":"u","valueString":"x"}]},"birthDate":"1980-01-02","deceasedBoolean":false,"extension":[{"url":"n","valueDecimal":1.50}]}`

func parse(t testing.TB, s string) fhir.Resource {
	t.Helper()
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// check holds a patch to what it should make of ada; want is text to be replaced and
// its replacement, or "!" and the status and place of an error.
func check(t *testing.T, name string, got fhir.Resource, err error, want ...string) {
	t.Helper()
	if want[0] == "!" {
		var e *fhir.Error
		if !errors.As(err, &e) || [2]string{map[int]string{400: "400", 422: "422"}[e.Status], e.Expression} != [2]string{want[1], want[2]} {
			t.Errorf("%s: %v, want %s at %q (%+v)", name, err, want[1], want[2], e)
		}
		return
	}
	text := ada
	for i := 0; i < len(want); i += 2 {
		if !strings.Contains(text, want[i]) {
			t.Fatalf("%s: the test is wrong", name)
		}
		text = strings.Replace(text, want[i], want[i+1], 1)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	} else if string(got.JSON()) != text {
		t.Errorf("%s:\n%s, want\n%s", name, got.JSON(), text)
	}
}

// Every operation of RFC 6902, and what it says of errors. All else stays byte for byte.
func TestJSONPatch(t *testing.T) {
	for name, c := range map[string]struct {
		doc  string
		want []string
	}{
		"nothing":              {`[]`, []string{"", ""}},
		"replace":              {`[{"op":"replace","path":"/birthDate","value":"1980-01-03"}]`, []string{"01-02", "01-03"}},
		"add to a list":        {`[{"op":"add","path":"/name/0/given/-","value":"Zoe"}]`, []string{`"May"]`, `"May","Zoe"]`}},
		"add into a list":      {`[{"op":"add","path":"/name/0/given/1","value":"Zoe"}]`, []string{`"Ada"`, `"Ada","Zoe"`}},
		"remove":               {`[{"op":"remove","path":"/name/1"}]`, []string{`,{"family":"Ash"}`, ``}},
		"test, then replace":   {`[{"op":"test","path":"/name/1/family","value":"Ash"},{"op":"replace","path":"/name/1/family","value":"Elm"}]`, []string{"Ash", "Elm"}},
		"a test that fails":    {`[{"op":"replace","path":"/birthDate","value":"1980"},{"op":"test","path":"/name/1/family","value":"Elm"}]`, []string{"!", "422", "[1]"}},
		"move":                 {`[{"op":"move","from":"/name/1","path":"/name/0"}]`, []string{`{"family":"Oak","given":["Ada","May"]},{"family":"Ash"}`, `{"family":"Ash"},{"family":"Oak","given":["Ada","May"]}`}},
		"copy":                 {`[{"op":"copy","from":"/name/1","path":"/name/-"}]`, []string{`{"family":"Ash"}`, `{"family":"Ash"},{"family":"Ash"}`}},
		"nowhere":              {`[{"op":"replace","path":"/gender","value":"female"}]`, []string{"!", "422", "[0]"}},
		"remove nothing":       {`[{"op":"remove","path":"/gender"}]`, []string{"!", "422", "[0]"}},
		"below nothing":        {`[{"op":"add","path":"/contact/0/name","value":{}}]`, []string{"!", "422", "[0]"}},
		"beyond the end":       {`[{"op":"add","path":"/name/7","value":{}}]`, []string{"!", "422", "[0]"}},
		"from the end":         {`[{"op":"remove","path":"/name/-1"}]`, []string{"!", "422", "[0]"}},
		"no resource":          {`[{"op":"replace","path":"","value":[]}]`, []string{"!", "422", ""}},
		"no list":              {`{"op":"remove","path":"/name"}`, []string{"!", "400", ""}},
		"a name twice":         {`[{"op":"remove","path":"/name","path":"/birthDate"}]`, []string{"!", "400", ""}},
		"no path":              {`[{"op":"remove"}]`, []string{"!", "400", "[0]"}},
		"a path in other case": {`[{"op":"remove","Path":"/name"}]`, []string{"!", "400", "[0]"}},
		"not a pointer":        {`[{"op":"remove","path":"name"}]`, []string{"!", "400", "[0]"}},
		"no value":             {`[{"op":"add","path":"/gender"}]`, []string{"!", "400", "[0]"}},
		"no from":              {`[{"op":"copy","path":"/gender"}]`, []string{"!", "400", "[0]"}},
		"no such operation":    {`[{"op":"merge","path":"/gender"}]`, []string{"!", "400", "[0]"}},
	} {
		got, err := patch.JSON(parse(t, ada), []byte(c.doc))
		check(t, name, got, err, c.want...)
	}
}

func operation(typ, path string, parts ...string) string {
	s := `{"name":"operation","part":[{"name":"type","valueCode":"` + typ + `"},{"name":"path","valueString":"` + path + `"}`
	for _, p := range parts {
		s += "," + p
	}
	return s + "]}"
}

// Every operation of R4 fhirpatch.html.
func TestFHIRPathPatch(t *testing.T) {
	const first = "Parameters.parameter[0]"
	number := func(name, n string) string { return `{"name":"` + name + `","valueInteger":` + n + `}` }
	add := func(path, name, value string) string {
		return operation("add", path, `{"name":"name","valueString":"`+name+`"}`, `{"name":"value",`+value+`}`)
	}
	for name, c := range map[string]struct {
		ops  string
		want []string
	}{
		"add what can be one":              {add("Patient", "gender", `"valueCode":"female"`), []string{`1.50}]}`, `1.50}],"gender":"female"}`}},
		"add to a list":                    {add("Patient.name[0]", "given", `"valueString":"Zoe"`), []string{`"May"]`, `"May","Zoe"]`}},
		"add the first of a list":          {add("Patient.name[1]", "given", `"valueString":"Zoe"`), []string{`"Ash"`, `"Ash","given":["Zoe"]`}},
		"add a choice":                     {add("Patient", "multipleBirth", `"valueInteger":2`), []string{`1.50}]}`, `1.50}],"multipleBirthInteger":2}`}},
		"add parts":                        {add("Patient", "contact", `"part":[{"name":"name","valueHumanName":{"family":"Elm"}},{"name":"relationship","valueCodeableConcept":{"text":"x"}},{"name":"relationship","valueCodeableConcept":{"text":"y"}}]`), []string{`1.50}]}`, `1.50}],"contact":[{"name":{"family":"Elm"},"relationship":[{"text":"x"},{"text":"y"}]}]}`}},
		"add what is there":                {add("Patient", "birthDate", `"valueDate":"1980"`), []string{"!", "422", first}},
		"add a choice that is there":       {add("Patient", "deceased", `"valueBoolean":true`), []string{"!", "422", first}},
		"add what there is not":            {add("Patient", "colour", `"valueCode":"red"`), []string{"!", "422", first}},
		"add a choice of a wrong type":     {add("Patient", "multipleBirth", `"valueDate":"1980"`), []string{"!", "422", first}},
		"insert":                           {operation("insert", "Patient.name[0].given", number("index", "1"), `{"name":"value","valueString":"Zoe"}`), []string{`"Ada"`, `"Ada","Zoe"`}},
		"insert at the end":                {operation("insert", "Patient.name[0].given", number("index", "2"), `{"name":"value","valueString":"Zoe"}`), []string{`"May"`, `"May","Zoe"`}},
		"insert beyond":                    {operation("insert", "Patient.name[0].given", number("index", "3"), `{"name":"value","valueString":"Zoe"}`), []string{"!", "422", first}},
		"insert into part of a list":       {operation("insert", "Patient.name.where(family='Ash')", number("index", "0"), `{"name":"value","valueHumanName":{}}`), []string{"!", "422", first}},
		"delete one":                       {operation("delete", "Patient.name.where(family = 'Ash')"), []string{`,{"family":"Ash"}`, ``}},
		"delete the last of a list":        {operation("delete", "Patient.extension[0]"), []string{`,"extension":[{"url":"n","valueDecimal":1.50}]`, ``}},
		"delete what has extensions":       {operation("delete", "Patient.birthDate"), []string{`"_birthDate":{"extension":[{"url":"u","valueString":"x"}]},"birthDate":"1980-01-02",`, ``}},
		"delete nothing":                   {operation("delete", "Patient.gender"), []string{"", ""}},
		"delete several":                   {operation("delete", "Patient.name"), []string{"!", "422", first}},
		"delete the resource":              {operation("delete", "Patient"), []string{"!", "422", first}},
		"replace":                          {operation("replace", "Patient.name[1].family", `{"name":"value","valueString":"Elm"}`), []string{"Ash", "Elm"}},
		"replace a choice by another":      {operation("replace", "Patient.deceased", `{"name":"value","valueDateTime":"2020"}`), []string{`"deceasedBoolean":false,`, ``, `1.50}]}`, `1.50}],"deceasedDateTime":"2020"}`}},
		"replace nothing":                  {operation("replace", "Patient.gender", `{"name":"value","valueCode":"female"}`), []string{"!", "422", first}},
		"move":                             {operation("move", "Patient.name[0].given", number("source", "1"), number("destination", "0")), []string{`"Ada","May"`, `"May","Ada"`}},
		"move beyond":                      {operation("move", "Patient.name[0].given", number("source", "1"), number("destination", "2")), []string{"!", "422", first}},
		"two, the second of the first":     {add("Patient", "gender", `"valueCode":"female"`) + "," + operation("replace", "Patient.gender", `{"name":"value","valueCode":"other"}`), []string{`1.50}]}`, `1.50}],"gender":"other"}`}},
		"two, the second wrong":            {add("Patient", "gender", `"valueCode":"female"`) + "," + operation("replace", "Patient.photo", `{"name":"value","valueCode":"other"}`), []string{"!", "422", "Parameters.parameter[1]"}},
		"a path that computes":             {operation("replace", "Patient.name.count()", `{"name":"value","valueInteger":1}`), []string{"!", "422", first}},
		"a path that is none":              {operation("delete", "Patient.("), []string{"!", "400", first}},
		"no path":                          {operation("delete", ""), []string{"!", "400", first}},
		"no such type":                     {operation("merge", "Patient"), []string{"!", "400", first}},
		"no value":                         {operation("replace", "Patient.birthDate"), []string{"!", "400", first}},
		"a number below 0":                 {operation("insert", "Patient.name", number("index", "-1"), `{"name":"value","valueHumanName":{}}`), []string{"!", "400", first}},
		"a part that there is not":         {operation("delete", "Patient.name[0]", `{"name":"force","valueBoolean":true}`), []string{"!", "400", first}},
		"a parameter that is no operation": {`{"name":"x"}`, []string{"!", "400", first}},
	} {
		got, err := patch.Path(parse(t, ada), parse(t, `{"resourceType":"Parameters","parameter":[`+c.ops+`]}`))
		check(t, name, got, err, c.want...)
	}
	_, err := patch.Path(parse(t, ada), parse(t, ada))
	check(t, "no Parameters", fhir.Resource{}, err, "!", "400", "Patient")
}

// Whatever a patch says, what comes of it is a resource, or a refusal with its place.
func FuzzPatch(f *testing.F) {
	f.Add([]byte(`[{"op":"move","from":"/name/1","path":"/name/0"},{"op":"copy","from":"","path":"/contained/-"}]`))
	f.Add([]byte(`{"resourceType":"Parameters","parameter":[` + operation("delete", "Patient.name[0].given[1]") + `]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r := parse(t, ada)
		out, err := patch.JSON(r, doc)
		if p, bad := fhir.Parse(doc); bad == nil {
			out, err = patch.Path(r, p)
		}
		if err == nil {
			parse(t, string(out.JSON()))
			return
		}
		var e *fhir.Error
		if !errors.As(err, &e) || e.Status != 400 && e.Status != 422 {
			t.Errorf("%v", err)
		}
	})
}
