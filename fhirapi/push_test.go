package fhirapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"firebreak/fhir"
)

func post(token, path, body string, headers ...string) ask {
	return ask{method: http.MethodPost, path: path, token: token, body: body, headers: headers}
}

func put(token, path, body string, headers ...string) ask {
	return ask{method: http.MethodPut, path: path, token: token, body: body, headers: headers}
}

func remove(token, path string, headers ...string) ask {
	return ask{method: http.MethodDelete, path: path, token: token, headers: headers}
}

var newIDs = regexp.MustCompile(`^https://gateway\.test/fhir/([A-Z][A-Za-z]+/[a-z2-7]{26})/_history/([A-Za-z0-9\-.]+)$`)

func TestCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	got := w.do(post(w.backend(), "/Observation", sodium)).want(t, 201)
	m := newIDs.FindStringSubmatch(got.Header().Get("Location"))
	if m == nil || got.Header().Get("ETag") != `W/"`+m[2]+`"` || got.Header().Get("Last-Modified") == "" {
		t.Fatalf("%v", got.Header())
	}
	read := w.get(w.backend(), "/"+m[1]).want(t, 200)
	if !bytes.Equal(read.body, got.body) || "Observation/"+read.resource(t).ID() != m[1] {
		t.Errorf("created %s\nread %s", got.body, read.body)
	}
	w.get(w.backend(), "/Observation/na").want(t, 404) // the id in the body counts for nothing
	again := w.do(post(w.backend(), "/Observation", sodium)).want(t, 201)
	if again.Header().Get("Location") == got.Header().Get("Location") {
		t.Error("two creations made one resource")
	}
	minimal := w.do(post(w.backend(), "/Observation", sodium, "Prefer: return=minimal")).want(t, 201)
	if len(minimal.body) > 0 || !newIDs.MatchString(minimal.Header().Get("Location")) {
		t.Errorf("%v %s", minimal.Header(), minimal.body)
	}
	outcome := w.do(post(w.backend(), "/Observation", sodium, "Prefer: return=OperationOutcome")).want(t, 201)
	if outcome.resource(t).Type() != "OperationOutcome" {
		t.Errorf("%s", outcome.body)
	}
	// Who may not read still learns where it is, and nothing of it.
	blind := w.do(post(client(t, "ehr", "system/*.c"), "/Observation", sodium)).want(t, 201)
	if len(blind.body) > 0 || !newIDs.MatchString(blind.Header().Get("Location")) {
		t.Errorf("%v %s", blind.Header(), blind.body)
	}
}

func TestUpdateAndDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(put(w.backend(), "/Patient/x", patientX)).want(t, 201)
	first := w.do(put(w.backend(), "/Observation/na", sodium)).want(t, 201)
	w.later(1e9)
	// The same again is the same version.
	same := w.do(put(w.backend(), "/Observation/na", sodium)).want(t, 200)
	if same.Header().Get("ETag") != first.Header().Get("ETag") || !bytes.Equal(same.body, first.body) {
		t.Errorf("%s became %s", first.body, same.body)
	}
	second := w.do(put(w.backend(), "/Observation/na", strings.Replace(sodium, "140.0", "141.50", 1))).want(t, 200)
	if second.Header().Get("ETag") == first.Header().Get("ETag") || !bytes.Contains(second.body, []byte("141.50")) {
		t.Errorf("%s", second.body)
	}
	if n := w.get(w.backend(), "/Observation/na/_history").total(t); n != "2" {
		t.Errorf("%s versions", n)
	}
	blind := w.do(put(client(t, "ehr", "system/*.u"), "/Observation/na", sodium)).want(t, 200)
	if len(blind.body) > 0 {
		t.Errorf("%s", blind.body)
	}

	w.do(remove(w.backend(), "/Observation/na")).want(t, 204)
	none := w.get(w.backend(), "/Observation/none").want(t, 404)
	for _, path := range []string{"/Observation/na", "/Observation/na/_history", "/Observation/na/_history/" + strings.Trim(first.Header().Get("ETag"), `W/"`)} {
		if got := w.get(w.physician(), path).want(t, 404); !bytes.Equal(got.body, none.body) { // 410 is for its source alone, see TestGone
			t.Errorf("%s: %s", path, got.body)
		}
	}
	if total := w.get(w.physician(), "/Observation?patient=x").total(t); total != "0" {
		t.Errorf("a search finds %s", total)
	}
	w.do(remove(w.backend(), "/Observation/na")).want(t, 204)
	w.do(remove(w.backend(), "/Observation/none")).want(t, 204)
	w.do(put(w.backend(), "/Observation/na", sodium)).want(t, 201)
	w.get(w.physician(), "/Observation/na").want(t, 200)
}

// A write can be made to depend on the version its sender knows.
func TestConditionalWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	v1 := w.do(put(ehr, "/Patient/x", patientX, "If-None-Match: *")).want(t, 201).Header().Get("ETag")
	w.do(put(ehr, "/Patient/x", patientX, "If-None-Match: *")).want(t, 412)
	w.later(1e9)
	v2 := w.do(put(ehr, "/Patient/x", strings.Replace(patientX, "Oak", "Ash", 1), "If-Match: "+v1)).want(t, 200).Header().Get("ETag")
	w.do(put(ehr, "/Patient/x", patientX, "If-Match: "+v1)).want(t, 412)
	w.do(remove(ehr, "/Patient/x", "If-Match: "+v1)).want(t, 412)
	w.do(put(ehr, "/Patient/none", strings.Replace(patientX, `"x"`, `"none"`, 1), "If-Match: *")).want(t, 412)
	if got := w.get(ehr, "/Patient/x"); !bytes.Contains(got.body, []byte("Ash")) {
		t.Errorf("%s", got.body)
	}
	// Of many who know one version, one changes it.
	var ok sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			got := w.do(put(ehr, "/Patient/x", strings.Replace(patientX, "Oak", fmt.Sprint("Elm", i), 1), "If-Match: "+v2))
			if got.Code == 200 {
				ok.Store(i, true)
			} else {
				got.want(t, 412)
			}
		})
	}
	all.Wait()
	n := 0
	ok.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d changed the same version", n)
	}
	w.do(remove(ehr, "/Patient/x", "If-Match: *")).want(t, 204)
}

// What is wrong is said with its place, and nothing is stored.
func TestBadPushes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	const gzipped = "Content-Encoding: gzip"
	for name, c := range map[string]struct {
		ask
		status int
		place  string
	}{
		"no JSON":                    {put(ehr, "/Patient/a", `{`), 400, ""},
		"an array":                   {put(ehr, "/Patient/a", `[]`), 400, ""},
		"a name twice":               {put(ehr, "/Patient/a", `{"resourceType":"Patient","id":"a","id":"a"}`), 400, ""},
		"no resourceType":            {put(ehr, "/Patient/a", `{"id":"a"}`), 400, "resourceType"},
		"bad UTF-8":                  {put(ehr, "/Patient/a", "{\"resourceType\":\"Patient\",\"id\":\"a\",\"language\":\"\xff\"}"), 400, ""},
		"two resources":              {put(ehr, "/Patient/a", `{"resourceType":"Patient","id":"a"}{}`), 400, ""},
		"another type":               {put(ehr, "/Patient/a", `{"resourceType":"Group","id":"a"}`), 400, "Group"},
		"another id":                 {put(ehr, "/Patient/a", `{"resourceType":"Patient","id":"b"}`), 400, "Patient.id"},
		"no id":                      {put(ehr, "/Patient/a", `{"resourceType":"Patient"}`), 400, "Patient.id"},
		"an unknown element":         {put(ehr, "/Patient/a", `{"resourceType":"Patient","id":"a","wings":2}`), 422, "Patient"},
		"a missing element":          {post(ehr, "/Observation", `{"resourceType":"Observation","status":"final"}`), 422, "Observation.code"},
		"a code that is none":        {post(ehr, "/Observation", `{"resourceType":"Observation","status":"XYZZY","code":{"text":"x"}}`), 422, "Observation.status"},
		"a date that is none":        {put(ehr, "/Patient/a", `{"resourceType":"Patient","id":"a","birthDate":"XYZZY"}`), 422, "Patient.birthDate"},
		"an empty element":           {put(ehr, "/Patient/a", `{"resourceType":"Patient","id":"a","name":[]}`), 422, "Patient.name"},
		"Turtle":                     {put(ehr, "/Patient/a", `<x> a <y> .`, "Content-Type: text/turtle"), 415, ""},
		"XML of no namespace":        {put(ehr, "/Patient/a", `<Patient/>`, "Content-Type: application/fhir+xml"), 400, ""},
		"another charset":            {put(ehr, "/Patient/a", patientX, "Content-Type: application/fhir+json; charset=iso-8859-1"), 415, ""},
		"compressed":                 {put(ehr, "/Patient/a", patientX, gzipped), 415, ""},
		"no content type":            {put(ehr, "/Patient/a", patientX, "Content-Type: "), 415, ""},
		"a Bundle that is none":      {post(ehr, "", `{"resourceType":"Patient"}`), 400, "Patient"},
		"a Bundle of another kind":   {post(ehr, "", bundle("document")), 400, "Bundle.type"},
		"a Bundle of no kind":        {post(ehr, "", `{"resourceType":"Bundle"}`), 400, "Bundle.type"},
		"an entry that reads":        {post(ehr, "", bundle("transaction", "PUT Patient/a||"+patientA, "GET Patient/a")), 400, "Bundle.entry[1].request.method"},
		"an entry that patches":      {post(ehr, "", bundle("transaction", "PATCH Patient/a||"+patientA)), 400, "Bundle.entry[0].request.method"},
		"an entry without request":   {post(ehr, "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+patientA+`}]}`), 400, "Bundle.entry[0].request.method"},
		"an entry without resource":  {post(ehr, "", bundle("transaction", "PUT Patient/a")), 400, "Bundle.entry[0].resource"},
		"an operation":               {post(ehr, "", bundle("transaction", "POST Patient/$match||"+patientA)), 400, "Bundle.entry[0].request.url"},
		"an update by nothing":       {post(ehr, "", bundle("transaction", "PUT Patient?||"+patientA)), 400, "Bundle.entry[0].request.url"},
		"an update by a name":        {post(ehr, "", bundle("transaction", "PUT Patient?family=a||"+patientA)), 400, "Bundle.entry[0].request.url"},
		"an update by a system":      {post(ehr, "", bundle("transaction", "PUT Patient?identifier=urn:x%7C||"+patientA)), 400, "Bundle.entry[0].request.url"},
		"an update by a chain":       {put(ehr, "/Observation?identifier=1&subject:Patient.family=a", sodium), 400, "Observation"},
		"an update by a parameter":   {put(ehr, "/Patient?identifier=1&_has:Observation:patient:code=1", patientA), 400, "Patient"},
		"an update by no parameter":  {put(ehr, "/Patient?identifier=1&wings=XYZZY", patientA), 400, "Patient"},
		"an update of all":           {put(ehr, "/Patient", patientA), 400, "Patient"},
		"a deletion of all":          {remove(ehr, "/Patient"), 400, "Patient"},
		"a deletion by a date":       {remove(ehr, "/Patient?birthdate=1970"), 400, "Patient"},
		"a creation by nothing":      {post(ehr, "/Observation", sodium, "If-None-Exist: "), 400, "http.If-None-Exist"},
		"a creation by a code":       {post(ehr, "/Observation", sodium, "If-None-Exist: code=1"), 400, "http.If-None-Exist"},
		"a condition to delete":      {post(ehr, "", strings.Replace(bundle("transaction", "DELETE Patient/a"), `"url"`, `"ifNoneExist":"identifier=1","url"`, 1)), 400, "Bundle.entry[0].request.ifNoneExist"},
		"an entry of a version":      {post(ehr, "", strings.Replace(bundle("transaction", "PUT Patient/a||"+patientA), `"url"`, `"ifMatch":"1","url"`, 1)), 412, "Bundle.entry[0]"},
		"a creation of a version":    {post(ehr, "", strings.Replace(bundle("transaction", "POST Patient||"+patientA), `"url"`, `"ifMatch":"1","url"`, 1)), 400, "Bundle.entry[0].request.ifMatch"},
		"the same creation twice":    {post(ehr, "", strings.ReplaceAll(bundle("transaction", "POST Patient||"+patientA, "POST Patient||"+patientA), `"url"`, `"ifNoneExist":"identifier=1","url"`)), 400, "Bundle.entry[1]"},
		"a whole address":            {post(ehr, "", bundle("transaction", "PUT https://gateway.test/fhir/Patient/a||"+patientA)), 400, "Bundle.entry[0].request.url"},
		"one target twice":           {post(ehr, "", bundle("transaction", "PUT Patient/a||"+patientA, "DELETE Patient/a")), 400, "Bundle.entry[1]"},
		"one fullUrl twice":          {post(ehr, "", bundle("transaction", "POST Patient|urn:uuid:1|"+patientA, "POST Patient|urn:uuid:1|"+patientA)), 400, "Bundle.entry[1]"},
		"another type in an entry":   {post(ehr, "", bundle("transaction", "PUT Group/a||"+patientA)), 400, "Bundle.entry[0].resource"},
		"a bad entry":                {post(ehr, "", bundle("transaction", "PUT Patient/a||"+patientA, `POST Observation||{"resourceType":"Observation","status":"final"}`)), 422, "Bundle.entry[1].resource.code"},
		"an unresolved reference":    {post(ehr, "", bundle("transaction", "PUT Patient/a||"+patientA, `POST Observation||{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:7"}}`)), 422, "Bundle.entry[1].resource"},
		"a conditional reference":    {post(ehr, "", bundle("transaction", `POST Observation||{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=1"}}`)), 422, "Bundle.entry[0].resource"},
		"scopes for another type":    {post(client(t, "ehr", "system/Patient.cu"), "", bundle("transaction", "PUT Patient/a||"+patientA, "DELETE Observation/a")), 403, "Bundle.entry[1]"},
		"more than is taken at once": {post(ehr, "", bundle("transaction", slices.Repeat([]string{"DELETE Patient/a"}, 10_001)...)), 422, "Bundle.entry"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.do(c.ask).want(t, c.status)
			if got.Code >= 400 && got.place(t) != c.place {
				t.Errorf("the place is %q, want %q: %s", got.place(t), c.place, got.body)
			}
			if bytes.Contains(got.body, []byte("XYZZY")) {
				t.Errorf("a value is repeated: %s", got.body)
			}
		})
	}
	w.get(ehr, "/Patient/a").want(t, 404)
	if total := w.get(ehr, "/Observation?_summary=count").total(t); total != "0" {
		t.Errorf("%s observations were stored", total)
	}
}

const patientA = `{"resourceType":"Patient","id":"a"}`

func TestTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	w.put(ehr, patientX)
	w.put(ehr, sodium)
	w.put(ehr, strings.Replace(sodium, `"na"`, `"old"`, 1))
	got := w.do(post(ehr, "", bundle("transaction",
		`POST Observation|urn:uuid:1|{"resourceType":"Observation","status":"final","code":{"text":"Potassium"},"subject":{"reference":"urn:uuid:2"},"valueQuantity":{"value":4.10}}`,
		`POST Patient|urn:uuid:2|{"resourceType":"Patient","name":[{"family":"New"}]}`,
		`PUT Observation/na||`+strings.Replace(sodium, "140.0", "139", 1),
		`PUT Observation/k||`+strings.Replace(sodium, `"na"`, `"k"`, 1),
		`DELETE Observation/old`,
	))).want(t, 200)
	r := got.resource(t)
	status := strings.Join(texts(r, "entry.response.status"), " ")
	if r.Get("type").Text() != "transaction-response" || status != "201 201 200 201 204" {
		t.Errorf("%s %s", r.Get("type").Text(), status)
	}
	locations := texts(r, "entry.response.location")
	if len(locations) != 4 {
		t.Fatalf("locations %v", locations)
	}
	for i, etag := range texts(r, "entry.response.etag") {
		v := w.get(ehr, "/"+locations[i]).want(t, 200)
		if v.Header().Get("ETag") != etag {
			t.Errorf("%s has %s, was said to have %s", locations[i], v.Header().Get("ETag"), etag)
		}
	}
	made := w.get(ehr, "/"+locations[0])
	patient, _, _ := strings.Cut(locations[1], "/_history/")
	if !bytes.Contains(made.body, []byte(`"subject":{"reference":"`+patient+`"},"valueQuantity":{"value":4.10}`)) {
		t.Errorf("%s", made.body)
	}
	w.get(ehr, "/Observation/old").want(t, 410)
	if v := w.get(w.physician(), "/Observation?patient="+patient).total(t); v != "1" {
		t.Errorf("the new chart holds %s", v)
	}
	empty := w.do(post(ehr, "", bundle("transaction"))).want(t, 200)
	if len(empty.resource(t).Root().At("entry").Raw()) > 0 {
		t.Errorf("%s", empty.body)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	w.put(ehr, patientX)
	got := w.do(post(ehr, "", bundle("batch",
		`PUT Patient/x||`+strings.Replace(patientX, "Oak", "Ash", 1),
		`GET Patient/x`,
		`POST Observation||{"resourceType":"Observation","status":"final"}`,
		`POST Observation||`+sodium,
		`DELETE Observation/none`,
		`PUT Patient/x||`+patientX,
		`PUT Group/aaaaaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaa||{"resourceType":"Group","id":"aaaaaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaa","type":"person","actual":true}`,
	))).want(t, 200)
	r := got.resource(t)
	if status := strings.Join(texts(r, "entry.response.status"), " "); r.Get("type").Text() != "batch-response" || status != "200 200 422 201 204 400 422" {
		t.Errorf("%s: %s", status, got.body)
	}
	if n := len(texts(r, "entry.response.outcome.resourceType")); n != 3 {
		t.Errorf("%d outcomes", n)
	}
	if places := texts(r, "entry.response.outcome.issue.expression"); !slices.Equal(places, []string{"Bundle.entry[2].resource.code", "Bundle.entry[5]"}) {
		t.Errorf("places %q", places)
	}
	if v := w.get(ehr, "/Patient/x"); !bytes.Contains(v.body, []byte("Ash")) {
		t.Errorf("%s", v.body)
	}
}

// A source changes only what it sent. Whether an id or a patient is another's,
// the hospital's or was never there makes no difference that it can see.
func TestSourcesDoNotMix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	ayan := w.ayan()
	ehr, lab := w.backend(), client(t, "lab", "system/*.cruds")
	w.put(ehr, patientX)
	w.put(ehr, sodium)
	w.put(ehr, `{"resourceType":"Practitioner","id":"dr","name":[{"family":"Good"}]}`)
	// What the lab sees and did not send.
	for _, a := range []ask{
		put(lab, "/Observation/na", sodium), remove(lab, "/Observation/na"), put(lab, "/Patient/x", patientX), put(lab, "/Patient/"+ayan, strings.Replace(patientX, `"x"`, `"`+ayan+`"`, 1)),
		put(lab, "/Practitioner/dr", `{"resourceType":"Practitioner","id":"dr"}`), remove(lab, "/Patient/"+ayan), remove(ehr, "/Patient/"+ayan),
		post(lab, "", bundle("transaction", "DELETE Observation/na")),
	} {
		w.do(a).want(t, 403)
	}
	// What it does not see: no scope, no sight. All refusals are alike.
	blind := client(t, "lab", "system/*.cud")
	var first []byte
	of := func(patient string) string { return strings.Replace(sodium, "Patient/x", "Patient/"+patient, 1) }
	named := func(id string) string { return strings.Replace(sodium, `"na"`, `"`+id+`"`, 1) }
	for _, a := range []ask{
		put(blind, "/Observation/na", sodium),
		post(blind, "/Observation", of("x")),
		put(blind, "/Observation/new", strings.Replace(of("x"), `"na"`, `"new"`, 1)),
		put(blind, "/Observation/na", of("own")),
		post(lab, "/Observation", of("x")),
	} {
		got := w.do(a).want(t, 422)
		if first == nil {
			first = got.body
		}
		if !bytes.Equal(got.body, first) {
			t.Errorf("%s %s is refused in other words: %s", a.method, a.path, got.body)
		}
	}
	// Ids and patients of the gateway's own form: there or not, the same words.
	here, gone := strings.Repeat("a", 16), ayan
	for _, pair := range [][2]ask{
		{post(lab, "/Observation", of(here)), post(lab, "/Observation", of(gone))},
		{put(blind, "/Patient/"+here, strings.Replace(patientX, `"x"`, `"`+here+`"`, 1)), put(blind, "/Patient/"+gone, strings.Replace(patientX, `"x"`, `"`+gone+`"`, 1))},
		{put(blind, "/Observation/"+here+"-"+here+"aaaa", named(here+"-"+here+"aaaa")), put(blind, "/Observation/"+gone+"-"+here+"aaaa", named(gone+"-"+here+"aaaa"))},
	} {
		a, b := w.do(pair[0]).want(t, 422), w.do(pair[1]).want(t, 422)
		if !bytes.Equal(a.body, b.body) {
			t.Errorf("%s\n%s", a.body, b.body)
		}
	}
	// Deleting what is not one's own, unseen, does nothing and says nothing.
	w.do(remove(blind, "/Observation/na")).want(t, 204)
	w.do(remove(blind, "/Patient/"+ayan)).want(t, 204)
	w.do(post(blind, "", bundle("transaction", "DELETE Observation/na"))).want(t, 200)
	for path, text := range map[string]string{"/Observation/na": "140.0", "/Patient/x": "Oak", "/Patient/" + ayan: "Ayan", "/Practitioner/dr": "Good"} {
		if got := w.get(w.backend(), path).want(t, 200); !bytes.Contains(got.body, []byte(text)) {
			t.Errorf("%s is now %s", path, got.body)
		}
	}
	if total := w.get(ehr, "/Observation?patient=x").total(t); total != "1" {
		t.Errorf("the chart holds %s", total)
	}
	// One refused entry undoes its transaction.
	w.do(post(blind, "", bundle("transaction", "PUT Patient/own||"+strings.Replace(patientX, `"x"`, `"own"`, 1), "PUT Observation/na||"+of("own")))).want(t, 422)
	w.get(lab, "/Patient/own").want(t, 404)
	// An app that sees only what it sent itself sees no more.
	source := client(t, "lab/source", "system/*.cruds")
	w.put(source, strings.Replace(patientX, `"x"`, `"mine"`, 1))
	for path, status := range map[string]int{"/Patient/mine": 200, "/Patient/x": 404, "/Patient/" + ayan: 404, "/Observation/na": 404} {
		w.get(source, path).want(t, status)
	}
	if got := w.get(source, "/Patient").want(t, 200).ids(t, ""); !slices.Equal(got, []string{"Patient/mine"}) {
		t.Errorf("it finds %v", got)
	}
	w.do(remove(source, "/Patient/x")).want(t, 204)
	w.get(ehr, "/Patient/x").want(t, 200)
}

// A practitioner that came with one patient can be changed alone, and named by
// other records.
func TestWhatBelongsToNobodyCanBeShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	got := w.do(post(ehr, "", bundle("transaction",
		`POST Patient|urn:uuid:1|`+patientA,
		`POST Practitioner|urn:uuid:2|{"resourceType":"Practitioner","name":[{"family":"Good"}]}`,
		`POST Observation||`+strings.ReplaceAll(strings.Replace(sodium, `"subject"`, `"performer":[{"reference":"urn:uuid:2"}],"subject"`, 1), "Patient/x", "urn:uuid:1"),
	))).want(t, 200)
	practitioner, _, _ := strings.Cut(texts(got.resource(t), "entry.response.location")[1], "/_history/")
	w.get(w.physician(), "/"+practitioner).want(t, 200)
	if found := w.get(client(t, "reader/reader", "system/*.rs"), "/Practitioner?family=good").want(t, 200).ids(t, "match"); !slices.Equal(found, []string{practitioner}) {
		t.Errorf("found %v", found)
	}
	id := strings.TrimPrefix(practitioner, "Practitioner/")
	w.do(put(ehr, "/"+practitioner, `{"resourceType":"Practitioner","id":"`+id+`","name":[{"family":"Better"}]}`)).want(t, 200)
	w.put(ehr, patientX)
	w.put(ehr, strings.Replace(sodium, `"subject"`, `"performer":[{"reference":"`+practitioner+`"}],"subject"`, 1))
	inc := w.get(w.physician(), "/Observation?patient=x&_include=Observation:performer").want(t, 200)
	if !slices.Equal(inc.ids(t, "include"), []string{practitioner}) || !bytes.Contains(inc.body, []byte("Better")) {
		t.Errorf("%s", inc.body)
	}
}

// References by our own whole address are ours.
func TestOwnAddressIsLocal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	w.put(w.backend(), strings.Replace(sodium, `"Patient/x"`, `"`+base+`/Patient/x"`, 1))
	if ids := w.get(w.physician(), "/Observation?patient=x").ids(t, "match"); !slices.Equal(ids, []string{"Observation/na"}) {
		t.Errorf("found %v", ids)
	}
	if got := w.get(w.backend(), "/Observation/na"); !bytes.Contains(got.body, []byte(`{"reference":"Patient/x"}`)) {
		t.Errorf("%s", got.body)
	}
}

// What a source marks as sensitive, and what the rules find, is withheld from
// people; the source itself sees what it sent, as it sent it.
func TestPushedSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	w.put(w.backend(), sodium)
	before := w.get(w.physician(), "/Observation?patient=x&_include=*")
	const secret = `{"resourceType":"Observation","id":"hiv","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"56888-1"}],"text":"CANARY"},"subject":{"reference":"Patient/x"},"performer":[{"reference":"Practitioner/secret"}]}`
	w.put(w.backend(), `{"resourceType":"Practitioner","id":"secret","name":[{"family":"CANARY"}]}`)
	w.put(w.backend(), secret)
	after := w.get(w.physician(), "/Observation?patient=x&_include=*")
	if !bytes.Equal(before.body, after.body) {
		t.Errorf("before %s\nafter %s", before.body, after.body)
	}
	other := client(t, "reader/reader", "system/*.rs")
	for _, token := range []string{w.physician(), other, person(t, "physician", "patient/*.rs", "x")} {
		none := w.get(token, "/Observation/none").want(t, 404)
		if got := w.get(token, "/Observation/hiv").want(t, 404); !bytes.Equal(got.body, none.body) {
			t.Errorf("%s", got.body)
		}
	}
	mine := w.get(w.backend(), "/Observation/hiv").want(t, 200)
	if !bytes.Contains(mine.body, []byte(`"code":"R"`)) || !bytes.Contains(mine.body, []byte("CANARY")) {
		t.Errorf("the source reads %s", mine.body)
	}
	plain, err := fhir.Parse([]byte(secret))
	must(t, err)
	if got := mine.resource(t); got.Root().At("code.text").Text() != plain.Root().At("code.text").Text() {
		t.Errorf("%s", mine.body)
	}
}
