package mapping

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/corpus"
)

var pushKeys = NewKeys([]byte("0123456789abcdef"))

func interaction(i rest.Interaction) inbox.Message {
	return inbox.Message{Source: "ehr", Kind: inbox.FHIR, Received: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Body: i.Encode()}
}

// entries is a transaction: each is "METHOD address|fullUrl|resource".
func entries(all ...string) rest.Interaction {
	i := rest.Interaction{Method: http.MethodPost, Base: "https://gw.test/fhir"}
	var b strings.Builder
	b.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
	for n, e := range all {
		request, rest, _ := strings.Cut(e, "|")
		full, resource, _ := strings.Cut(rest, "|")
		method, address, _ := strings.Cut(request, " ")
		id := ""
		if method == http.MethodPost {
			id = "new" + strconv.Itoa(n)
		}
		i.Assigned = append(i.Assigned, id)
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('{')
		if full != "" {
			fmt.Fprintf(&b, `"fullUrl":%q,`, full)
		}
		if resource != "" {
			fmt.Fprintf(&b, `"resource":%s,`, resource)
		}
		fmt.Fprintf(&b, `"request":{"method":%q,"url":%q}}`, method, address)
	}
	b.WriteString(`]}`)
	i.Resource = []byte(b.String())
	return i
}

func put(address, resource string) rest.Interaction {
	return rest.Interaction{Method: http.MethodPut, Path: address, Resource: []byte(resource), Base: "https://gw.test/fhir"}
}

func mapped(t *testing.T, i rest.Interaction) Result {
	t.Helper()
	r, err := Map(pushKeys, interaction(i))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPushKeepsBytesAndIds(t *testing.T) {
	body := `{"resourceType":"Observation","id":"o-1","status":"final","subject":{"reference":"Patient/p1"},"valueQuantity":{"value":200.00}}`
	r := mapped(t, put("Observation/o-1", body))
	if len(r.Resources) != 1 || string(r.Resources[0].JSON()) != body || !r.Resources[0].Given {
		t.Errorf("got %+v", r)
	}
}

// Every resource of the corpus keeps its bytes.
func TestPushKeepsTheCorpus(t *testing.T) {
	n := 0
	for name, all := range corpus.FHIR(t) {
		for _, b := range all {
			res, err := fhir.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if res.ID() == "" {
				continue
			}
			if res.Type() == "Patient" && ours(res.Ref()) {
				t.Errorf("%s: %s has an id of our form", name, res.Ref())
			}
			r := mapped(t, put(res.Ref().String(), string(b)))
			if !bytes.Equal(r.Resources[0].JSON(), b) {
				t.Errorf("%s: %s changed", name, res.Ref())
			}
			n++
		}
	}
	if n < 300 {
		t.Errorf("only %d resources tried", n)
	}
}

// Where a pushed resource lies decides who can see it.
func TestPushPlacesResources(t *testing.T) {
	const (
		patient      = `{"resourceType":"Patient","id":"p"}`
		observation  = `{"resourceType":"Observation","id":"o"%s}`
		practitioner = `{"resourceType":"Practitioner","id":"d"}`
		twoPatients  = `{"resourceType":"Appointment","id":"a","participant":[{"actor":{"reference":"Patient/p"}},{"actor":{"reference":"Patient/q"}}]}`
	)
	of := func(id string) string {
		return fmt.Sprintf(observation, `,"subject":{"reference":"`+id+`"}`)
	}
	nobodys := fmt.Sprintf(observation, "")
	directory := pushKeys.digest(chartBytes, "ehr", "directory")
	nobody := pushKeys.digest(chartBytes, "ehr", "nobody")
	group := "~" + pushKeys.digest(chartBytes, "ehr", "Group", "g")
	for name, c := range map[string]struct {
		i     rest.Interaction
		want  []string // charts; "+" after one that is for new ids only
		order string   // the chart that orders it
	}{
		"a patient":                         {put("Patient/p", patient), []string{"p"}, "p"},
		"a patient's observation":           {put("Observation/o", of("Patient/p")), []string{"p"}, "p"},
		"the patient by our whole address":  {put("Observation/o", of("https://gw.test/fhir/Patient/p")), []string{"p"}, "p"},
		"a version of the patient":          {put("Observation/o", of("Patient/p/_history/3")), []string{"p"}, "p"},
		"a patient elsewhere":               {put("Observation/o", of("https://other.test/fhir/Patient/p")), []string{nobody + "+"}, directory},
		"an observation of nobody":          {put("Observation/o", nobodys), []string{nobody + "+"}, directory},
		"a practitioner":                    {put("Practitioner/d", practitioner), []string{directory + "+"}, directory},
		"two patients' appointment":         {put("Appointment/a", twoPatients), []string{nobody}, directory},
		"created with the patient":          {entries("POST Patient||"+patient, "POST Practitioner||"+practitioner, "POST Observation||"+nobodys), []string{"new0", "new0+", "new0+"}, "new0"},
		"a known one with the patient":      {entries("PUT Patient/p||"+patient, "PUT Practitioner/d||"+practitioner), []string{"p", directory + "+"}, "p"},
		"two patients":                      {entries("POST Patient||"+patient, "POST Patient||"+patient, "POST Practitioner||"+practitioner), []string{"new0", "new1", directory + "+"}, directory},
		"two patients' beside one":          {entries("PUT Patient/p||"+patient, "PUT Appointment/a||"+twoPatients), []string{"p", nobody}, directory},
		"a deletion, wherever it lies":      {entries("DELETE Observation/o"), []string{""}, directory},
		"a deletion beside a patient":       {entries("PUT Patient/p||"+patient, "DELETE Observation/o"), []string{"p", ""}, "p"},
		"nothing":                           {entries(), nil, directory},
		"a group of several":                {put("Group/g", `{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/p"}},{"entity":{"reference":"Patient/q"}}]}`), []string{group + "+"}, directory},
		"a group of one":                    {put("Group/g", `{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/p"}}]}`), []string{group + "+"}, directory},
		"a group of another's patient":      {put("Group/g", `{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/`+pushKeys.Patient("lab", "x", "1")+`"}}]}`), []string{group + "+"}, directory},
		"a group beside one of its members": {entries("PUT Patient/p||"+patient, `PUT Group/g||{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/q"}}]}`, "POST Practitioner||"+practitioner), []string{"p", group + "+", "p+"}, "p"},
		"a file that says whose it is":      {put("Binary/b", `{"resourceType":"Binary","id":"b","securityContext":{"reference":"Patient/p"}}`), []string{"p"}, "p"},
		"a file that does not":              {put("Binary/b", `{"resourceType":"Binary","id":"b"}`), []string{directory + "+"}, directory},
		"a file beside its letter":          {entries(`PUT Binary/b||{"resourceType":"Binary","id":"b"}`, `PUT DocumentReference/l||{"resourceType":"DocumentReference","id":"l","subject":{"reference":"Patient/p"}}`), []string{"p+", "p"}, "p"},
		"a known file with the patient":     {entries("PUT Patient/p||"+patient, `PUT Binary/b||{"resourceType":"Binary","id":"b"}`), []string{"p", "p+"}, "p"},
		"a patient named by a contained id": {put("Observation/o", of("#p")), []string{nobody + "+"}, directory},
	} {
		t.Run(name, func(t *testing.T) {
			r := mapped(t, c.i)
			var got []string
			for _, x := range r.Resources {
				chart := x.Chart
				if x.Stays {
					chart += "+"
				}
				if x.Deleted != (chart == "") || !x.Given {
					t.Errorf("%+v", x)
				}
				got = append(got, chart)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || r.Patient.ID != c.order {
				t.Errorf("lie in %v, ordered by %s; want %v, %s", got, r.Patient.ID, c.want, c.order)
			}
			if key, err := PatientKey(pushKeys, interaction(c.i)); err != nil || key != c.order {
				t.Errorf("PatientKey says %s, %v", key, err)
			}
		})
	}
	m := interaction(put("Practitioner/d", practitioner))
	m.Source = "other"
	if r, err := Map(pushKeys, m); err != nil || r.Resources[0].Chart == directory {
		t.Error("a directory must be one for each source")
	}
}

func TestTransactionResolvesReferences(t *testing.T) {
	r := mapped(t, entries(
		`POST Observation|urn:uuid:2|{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"},"performer":[{"reference":"Practitioner/d"},{"reference":"Practitioner/elsewhere"}],"derivedFrom":[{"reference":"https://ehr.test/Observation/old"}],"hasMember":[{"reference":"https://other.test/Observation/old"}],"focus":[{"reference":"urn:uuid:1#part"}]}`,
		`POST Patient|urn:uuid:1|{"resourceType":"Patient","photo":[{"url":"https://gw.test/fhir/Binary/x"},{"url":"https://gw.test/fhir/other/page"}]}`,
		`PUT Practitioner/d|urn:uuid:3|{"resourceType":"Practitioner","id":"d"}`,
		`POST Observation|https://ehr.test/Observation/old|{"resourceType":"Observation","id":"old","subject":{"reference":"urn:uuid:1"},"basedOn":[{"reference":"Observation/old"}]}`,
		`POST Questionnaire|https://ehr.test/Questionnaire/q|{"resourceType":"Questionnaire","id":"q","url":"https://ehr.test/Questionnaire/q"}`,
	))
	for n, want := range []string{
		`{"resourceType":"Observation","id":"new0","subject":{"reference":"Patient/new1"},"performer":[{"reference":"Practitioner/d"},{"reference":"Practitioner/elsewhere"}],"derivedFrom":[{"reference":"Observation/new3"}],"hasMember":[{"reference":"https://other.test/Observation/old"}],"focus":[{"reference":"Patient/new1#part"}]}`,
		`{"resourceType":"Patient","id":"new1","photo":[{"url":"Binary/x"},{"url":"https://gw.test/fhir/other/page"}]}`,
		`{"resourceType":"Practitioner","id":"d"}`,
		`{"resourceType":"Observation","id":"new3","subject":{"reference":"Patient/new1"},"basedOn":[{"reference":"Observation/new3"}]}`,
		`{"resourceType":"Questionnaire","id":"new4","url":"https://ehr.test/Questionnaire/q"}`,
	} {
		if got := string(r.Resources[n].JSON()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestPushIsHeldWithItsPlace(t *testing.T) {
	one := func(resource string) rest.Interaction { return entries("POST Observation||" + resource) }
	chart := pushKeys.Patient("ehr", "x", "1")
	for name, c := range map[string]struct {
		i     rest.Interaction
		place string
	}{
		"a type that is none":         {put("Sample/1", `{"resourceType":"Sample","id":"1"}`), "Sample"},
		"another type than it says":   {put("Group/1", `{"resourceType":"List","id":"1"}`), "Group"},
		"not a resource":              {put("Group/1", `{"resourceType":"Group","id":1}`), "Group"},
		"a group of too many":         {put("Group/1", `{"resourceType":"Group","id":"1","member":[`+strings.Repeat(`{"entity":{"reference":"Patient/p"}},`, 10_000)+`{"entity":{"reference":"Patient/p"}}]}`), "Group.member"},
		"no id":                       {rest.Interaction{Method: http.MethodPost, Path: "Group", Resource: []byte(`{"resourceType":"Group"}`)}, "Interaction.assigned"},
		"not a Bundle":                {rest.Interaction{Method: http.MethodPost, Resource: []byte(`{"resourceType":"Group"}`)}, "Bundle"},
		"an entry without an id":      {rest.Interaction{Method: http.MethodPost, Resource: one(`{"resourceType":"Observation"}`).Resource}, "Bundle.entry[0]"},
		"a dangling urn":              {one(`{"resourceType":"Observation","subject":{"reference":"urn:uuid:9"}}`), "Bundle.entry[0].resource"},
		"a conditional reference":     {one(`{"resourceType":"Observation","subject":{"reference":"Patient?identifier=1"}}`), "Bundle.entry[0].resource"},
		"the second entry":            {entries(`POST Patient||{"resourceType":"Patient"}`, `POST Group||{}`), "Bundle.entry[1]"},
		"a reading":                   {entries(`GET Patient/1`), "Bundle.entry[0]"},
		"one fullUrl for two":         {entries(`POST Patient|urn:uuid:1|{"resourceType":"Patient"}`, `POST Patient|urn:uuid:1|{"resourceType":"Patient"}`), "Bundle.entry[1].fullUrl"},
		"a Patient's id as we make":   {put("Patient/"+chart, `{"resourceType":"Patient","id":"`+chart+`"}`), "Patient"},
		"another's id as we make":     {put("Group/"+chart+"-aaaaaaaaaaaaaaaaaaaa", `{"resourceType":"Group","id":"`+chart+`-aaaaaaaaaaaaaaaaaaaa"}`), "Group"},
		"a patient who is the feed's": {put("Observation/o", `{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/`+chart+`"}}`), "Observation"},
		"such a patient in a Bundle":  {entries(`POST Observation||{"resourceType":"Observation","subject":{"reference":"Patient/` + chart + `"}}`), "Bundle.entry[0]"},
	} {
		_, err := Map(pushKeys, interaction(c.i))
		if e, ok := err.(*Error); !ok || e.Segment != c.place {
			t.Errorf("%s: got %v, want the place %s", name, err, c.place)
		}
	}
}

func FuzzPush(f *testing.F) {
	f.Add(entries(`POST Patient|urn:uuid:1|{"resourceType":"Patient"}`, `PUT Observation/o||{"resourceType":"Observation","id":"o","subject":{"reference":"urn:uuid:1"}}`).Encode())
	f.Add(put("Group/1", `{"resourceType":"Group","id":"1","member":[{"entity":{"reference":"Patient/q"}}]}`).Encode())
	f.Add(rest.Interaction{Method: http.MethodDelete, Path: "Group/1"}.Encode())
	f.Fuzz(func(t *testing.T, body []byte) {
		m := inbox.Message{Source: "ehr", Kind: inbox.FHIR, Body: body}
		r, err := Map(pushKeys, m)
		key, keyErr := PatientKey(pushKeys, m)
		if (err == nil) != (keyErr == nil) || err == nil && key != r.Patient.ID {
			t.Fatalf("%v, %v", err, keyErr)
		}
		for _, x := range r.Resources {
			if x.IsZero() || x.ID() == "" || !x.Given || x.Deleted == (x.Chart != "") {
				t.Fatalf("%+v", x)
			}
		}
	})
}
