package fhirapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"firebreak/label"
	"firebreak/mapping"
	"firebreak/pipeline"
)

// jane is a Patient of a number, known by the system urn:mrn.
func jane(number, family string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":%q}],"name":[{"family":%q,"given":["Jane"]}],"birthDate":"1970-01-31"}`, number, family)
}

// result is an Observation of a patient, under a number.
func result(number, patient, value string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","identifier":[{"system":"urn:acc","value":%q}],"status":"final","code":{"text":"Sodium"},"subject":{"reference":%q},"valueString":%q}`, number, patient, value)
}

const ifNone = "If-None-Exist: identifier=urn:mrn|"

// made is the Type/id of an answer's Location.
func (a answer) made(t testing.TB) string {
	t.Helper()
	at, _, _ := strings.Cut(strings.TrimPrefix(a.Header().Get("Location"), base+"/"), "/_history/")
	if at == "" {
		t.Errorf("no Location: %d %s", a.Code, a.body)
	}
	return at
}

// conditions adds ifNoneExist to the entries of a Bundle that create: the nth
// that POSTs has the nth; "" none.
func conditions(bundle string, all ...string) string {
	for _, c := range all {
		with := `"method": "POST"`
		if c != "" {
			with = `"ifNoneExist":"` + c + `","method": "POST"`
		}
		bundle = strings.Replace(bundle, `"method":"POST"`, with, 1)
	}
	return bundle
}

// A creation creates nothing where the source has what it describes.
//
// Source: R4 http.html#ccreate.
func TestConditionalCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	first := w.do(post(ehr, "/Patient", jane("1", "Roe"), ifNone+"1")).want(t, 201)
	again := w.do(post(ehr, "/Patient", jane("1", "Roe-Smith"), ifNone+"1")).want(t, 200)
	if again.made(t) != first.made(t) || !bytes.Equal(again.body, first.body) || again.Header().Get("ETag") != first.Header().Get("ETag") {
		t.Errorf("made %s, then answered %v %s", first.made(t), again.Header(), again.body)
	}
	if other := w.do(post(ehr, "/Patient", jane("2", "Roe"), ifNone+"2")).want(t, 201); other.made(t) == first.made(t) {
		t.Error("another number is the same patient")
	}
	for name, condition := range map[string]string{
		"as a query":                      "?identifier=urn%3Amrn%7C1",
		"no system":                       "identifier=1",
		"one of two":                      "identifier=urn:mrn|7,urn:mrn|1",
		"more criteria":                   "identifier=urn:mrn|1&family=roe&birthdate=1970-01-31",
		"its id":                          "_id=" + strings.TrimPrefix(first.made(t), "Patient/"),
		"over two headers":                "identifier=urn:mrn|1\nIf-None-Exist: family=Roe",
		"a format, which is no criterion": "identifier=urn:mrn|1&_format=json",
	} {
		headers := strings.Split("If-None-Exist: "+condition, "\n")
		if got := w.do(post(ehr, "/Patient", jane("1", "Roe"), headers...)).want(t, 200); got.made(t) != first.made(t) {
			t.Errorf("%s: found %s", name, got.made(t))
		}
	}
	for name, condition := range map[string]string{
		"another system":    "identifier=urn:other|1",
		"another criterion": "identifier=urn:mrn|1&family=doe",
		"another id":        "_id=none",
	} {
		if got := w.do(post(ehr, "/Group", `{"resourceType":"Group","type":"person","actual":true}`, "If-None-Exist: identifier=urn:mrn|1")).want(t, 201); name == "" {
			t.Error(got)
		}
		if got := w.do(post(ehr, "/Patient", strings.Replace(jane("1", "Roe"), `"1"`, `"n-`+strings.ReplaceAll(name, " ", "")+`"`, 1), "If-None-Exist: "+condition)).want(t, 201); got.made(t) == first.made(t) {
			t.Errorf("%s: found all the same", name)
		}
	}
	// Two match: none is chosen, nothing is made.
	w.do(post(ehr, "/Patient", jane("1", "Roe"))).want(t, 201)
	many := w.do(post(ehr, "/Patient", jane("1", "Roe"), ifNone+"1")).want(t, 412)
	if many.place(t) != "http.If-None-Exist" {
		t.Errorf("%s", many.body)
	}
	if n := w.get(ehr, "/Patient?identifier=urn:mrn|1").total(t); n != "2" {
		t.Errorf("%s patients", n)
	}
	// What was deleted is not there.
	w.do(remove(ehr, "/"+first.made(t))).want(t, 204)
	w.do(post(ehr, "/Patient", jane("1", "Roe"), ifNone+"1")).want(t, 200)
	// Who may not read learns where it is, and nothing of it.
	if blind := w.do(post(client(t, "ehr", "system/*.c"), "/Patient", jane("2", "Roe"), ifNone+"2")).want(t, 200); len(blind.body) > 0 || blind.made(t) == "" {
		t.Errorf("%v %s", blind.Header(), blind.body)
	}
	// Identifiers of every type count, and so does an identifier that is no list.
	for _, r := range []string{
		result("7", "Patient/x", "1"),
		`{"resourceType":"Composition","identifier":{"system":"urn:acc","value":"7"},"status":"final","type":{"text":"x"},"date":"2026-01-01","author":[{"display":"x"}],"title":"x"}`,
		`{"resourceType":"DocumentReference","masterIdentifier":{"system":"urn:acc","value":"7"},"status":"current","content":[{"attachment":{"title":"x"}}]}`,
	} {
		typ, _, _ := strings.Cut(strings.TrimPrefix(r, `{"resourceType":"`), `"`)
		made := w.do(post(ehr, "/"+typ, r, "If-None-Exist: identifier=urn:acc|7")).want(t, 201).made(t)
		if found := w.do(post(ehr, "/"+typ, r, "If-None-Exist: identifier=urn:acc|7")).want(t, 200).made(t); found != made {
			t.Errorf("%s: made %s, found %s", typ, made, found)
		}
	}
}

// An update finds what it changes, creates what is not there, and says when it
// cannot tell.
//
// Source: R4 http.html#cond-update.
func TestConditionalUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	const where = "/Patient?identifier=urn:mrn%7C1"
	first := w.do(put(ehr, where, jane("1", "Roe"))).want(t, 201)
	w.later(1e9)
	second := w.do(put(ehr, where, jane("1", "Poe"))).want(t, 200)
	if second.made(t) != first.made(t) || !bytes.Contains(second.body, []byte("Poe")) {
		t.Errorf("made %s, updated %s: %s", first.made(t), second.made(t), second.body)
	}
	if read := w.get(ehr, "/"+first.made(t)).want(t, 200); !bytes.Equal(read.body, second.body) {
		t.Errorf("%s", read.body)
	}
	with := func(id string) string { return strings.Replace(jane("1", "Doe"), `{`, `{"id":"`+id+`",`, 1) }
	id := strings.TrimPrefix(first.made(t), "Patient/")
	w.do(put(ehr, where, with(id))).want(t, 200)
	if got := w.do(put(ehr, where, with("other"))).want(t, 400); got.place(t) != "Patient.id" {
		t.Errorf("%s", got.body)
	}
	// None matches: it is made under the id that it says, unless something is there.
	if got := w.do(put(ehr, "/Patient?identifier=urn:mrn%7C2", strings.Replace(with("mine"), `"1"`, `"2"`, 1))).want(t, 201); got.made(t) != "Patient/mine" {
		t.Errorf("%v", got.Header())
	}
	w.do(put(ehr, "/Patient?identifier=urn:mrn%7C3", strings.Replace(with("mine"), `"1"`, `"3"`, 1))).want(t, 409)
	// Versions count too.
	etag := w.get(ehr, "/"+first.made(t)).Header().Get("ETag")
	w.later(1e9)
	w.do(put(ehr, where, jane("1", "Coe"), `If-Match: W/"none"`)).want(t, 412)
	w.do(put(ehr, where, jane("1", "Coe"), "If-None-Match: *")).want(t, 412)
	w.do(put(ehr, where, jane("1", "Coe"), "If-Match: "+etag)).want(t, 200)
	w.do(put(ehr, "/Patient?identifier=urn:mrn%7C9", jane("9", "Coe"), "If-Match: *")).want(t, 412)

	w.do(post(ehr, "/Patient", jane("1", "Roe"))).want(t, 201)
	if got := w.do(put(ehr, where, jane("1", "Roe"))).want(t, 412); got.place(t) != "Patient" {
		t.Errorf("%s", got.body)
	}
	if got := w.do(remove(ehr, where)).want(t, 412); got.place(t) != "Patient" {
		t.Errorf("%s", got.body)
	}
	// A deletion ends the one that matches, and is done when none does.
	w.do(remove(ehr, where+"&family=coe")).want(t, 204)
	w.get(ehr, "/"+first.made(t)).want(t, 410)
	w.do(remove(ehr, where+"&family=coe")).want(t, 204)
	if n := w.get(ehr, "/Patient?identifier=urn:mrn|1").total(t); n != "1" {
		t.Errorf("%s are left", n)
	}
}

// A transaction may leave it to us which of its source's resources it means, in
// its entries and in its references.
//
// Source: R4 http.html#trules.
func TestConditionalTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	send := func(status int, conditioned string) (statuses, places []string) {
		t.Helper()
		got := w.do(post(ehr, "", conditioned)).want(t, status)
		if status != 200 {
			return []string{got.place(t)}, nil
		}
		r := got.resource(t)
		for _, l := range texts(r, "entry.response.location") {
			at, _, _ := strings.Cut(l, "/_history/")
			places = append(places, at)
		}
		return texts(r, "entry.response.status"), places
	}
	visit := func(value string) string {
		return conditions(bundle("transaction",
			`POST Patient|urn:uuid:1|`+jane("1", "Roe"),
			`POST Practitioner|urn:uuid:2|{"resourceType":"Practitioner","identifier":[{"system":"urn:dr","value":"1"}],"name":[{"family":"Good"}]}`,
			`PUT Observation?identifier=urn:acc%7C5||`+strings.Replace(result("5", "urn:uuid:1", value), `"subject"`, `"performer":[{"reference":"urn:uuid:2"}],"subject"`, 1),
		), "identifier=urn:mrn|1", "identifier=urn:dr|1")
	}
	status, made := send(200, visit("140"))
	if !slices.Equal(status, []string{"201", "201", "201"}) {
		t.Errorf("%v", status)
	}
	w.later(1e9)
	status, found := send(200, visit("141"))
	if !slices.Equal(status, []string{"200", "200", "200"}) || !slices.Equal(found, made) {
		t.Errorf("%v: made %v, found %v", status, made, found)
	}
	got := w.get(w.physician(), "/Observation?patient="+made[0]+"&_include=*").want(t, 200)
	if !slices.Equal(got.ids(t, "match"), made[2:]) || !slices.Contains(got.ids(t, "include"), made[1]) || !bytes.Contains(got.body, []byte(`"141"`)) {
		t.Errorf("%s", got.body)
	}
	// References: to what was there, and to what the same Bundle brings, changes or ends.
	const who = "Patient?identifier=urn:mrn|"
	refer := func(number string, more ...string) string {
		return bundle("transaction", append(more, `POST Observation||`+result("6", who+number, "1"))...)
	}
	if _, at := send(200, refer("1")); !bytes.Contains(w.get(ehr, "/"+at[0]).want(t, 200).body, []byte(`"subject":{"reference":"`+made[0]+`"}`)) {
		t.Error("it does not name the patient")
	}
	if _, at := send(200, refer("3", `POST Patient||`+jane("3", "New"))); !bytes.Contains(w.get(ehr, "/"+at[1]).body, []byte(`"reference":"`+at[0]+`"`)) {
		t.Error("it does not name the patient of the same Bundle")
	}
	for name, c := range map[string]struct {
		body   string
		status int
		place  string
	}{
		"nobody":                      {refer("4"), 422, "Bundle.entry[0].resource"},
		"one whom the Bundle ends":    {refer("1", `DELETE `+made[0]), 422, "Bundle.entry[1].resource"},
		"one whom the Bundle renames": {refer("1", `PUT `+made[0]+`||`+strings.Replace(jane("8", "Roe"), `{`, `{"id":"`+strings.TrimPrefix(made[0], "Patient/")+`",`, 1)), 422, "Bundle.entry[1].resource"},
		"two":                         {refer("1", `POST Patient||`+jane("1", "Roe")), 412, "Bundle.entry[1].resource"},
		"one target twice":            {bundle("transaction", `DELETE `+made[2], `PUT Observation?identifier=urn:acc%7C5||`+result("5", made[0], "1")), 400, "Bundle.entry[1]"},
		"a condition that is none":    {conditions(refer("1"), "code=1"), 400, "Bundle.entry[0].request.ifNoneExist"},
		"a reference that is none":    {strings.Replace(refer("1"), "identifier=urn:mrn|1", "family=Roe", 1), 400, "Bundle.entry[0].resource"},
	} {
		if at, _ := send(c.status, c.body); at[0] != c.place {
			t.Errorf("%s: the place is %q, want %q", name, at[0], c.place)
		}
	}
	// Alone and in a batch they are followed too, and each entry is its own.
	alone := w.do(post(ehr, "/Observation", result("7", base+"/"+who+"1", "1"))).want(t, 201)
	if !bytes.Contains(alone.body, []byte(`"reference":"`+made[0]+`"`)) {
		t.Errorf("%s", alone.body)
	}
	if got := w.do(post(ehr, "/Observation", result("7", who+"4", "1"))).want(t, 422); got.place(t) != "Observation" {
		t.Errorf("%s", got.body)
	}
	batch := w.do(post(ehr, "", conditions(bundle("batch",
		`POST Patient||`+jane("1", "Roe"), `POST Patient||`+jane("5", "Roe"), `PUT Patient?family=Roe||`+jane("5", "Roe"), `DELETE Observation?identifier=urn:acc%7C7`, `POST Observation||`+result("9", who+"4", "1"),
	), "identifier=urn:mrn|1", "identifier=urn:mrn|5"))).want(t, 200).resource(t)
	if got := strings.Join(texts(batch, "entry.response.status"), " "); got != "200 201 400 204 422" {
		t.Errorf("the batch: %s", got)
	}
	if got := texts(batch, "entry.response.outcome.issue.expression"); !slices.Equal(got, []string{"Bundle.entry[2].request.url", "Bundle.entry[4].resource"}) {
		t.Errorf("the batch's places: %q", got)
	}
}

// Of many who would create the same at once, one does; all are told which.
func TestConditionalCreateAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all sync.WaitGroup
	made := make([]string, 24)
	status := make([]int, len(made))
	for i := range made {
		all.Go(func() {
			a := post(w.backend(), "/Patient", jane("1", "Roe"), ifNone+"1")
			switch i % 4 {
			case 1:
				a = post(w.backend(), "/Patient", jane("1", "Roe"), "If-None-Exist: identifier=1")
			case 2:
				a = put(w.backend(), "/Patient?identifier=urn:mrn%7C1", jane("1", "Roe"))
			case 3:
				a = post(w.backend(), "", conditions(bundle("transaction", `POST Patient|urn:uuid:1|`+jane("1", "Roe"), `POST Observation||`+result(fmt.Sprint(i), "urn:uuid:1", "1")), "identifier=urn:mrn|1", ""))
			}
			got := w.do(a)
			if status[i] = got.Code; i%4 == 3 {
				at := texts(got.want(t, 200).resource(t), "entry.response.location")
				made[i], _, _ = strings.Cut(at[0], "/_history/")
				return
			}
			made[i] = got.made(t)
		})
	}
	all.Wait()
	if len(slices.Compact(slices.Sorted(slices.Values(made)))) != 1 {
		t.Errorf("made %v %v", made, status)
	}
	if n := w.get(w.backend(), "/Patient?_summary=count").total(t); n != "1" {
		t.Errorf("%s patients", n)
	}
	if n := w.get(w.backend(), "/Observation?patient="+made[0]).total(t); n != "6" {
		t.Errorf("%s results", n)
	}
}

// What others have makes no difference, and what is the source's own is found
// whatever its labels.
func TestConditionsAreAboutOnesOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr, lab := w.backend(), client(t, "lab", "system/*.cruds")
	theirs := w.do(post(ehr, "/Patient", jane("1", "Roe"), ifNone+"1")).want(t, 201).made(t)
	w.put(ehr, patientX)
	for _, a := range []ask{
		post(lab, "", bundle("transaction", `POST Observation||`+result("1", "Patient?identifier=urn:mrn|1", "1"))),
		post(lab, "", bundle("transaction", `POST Observation||`+result("1", "Patient?_id=x", "1"))),
		post(lab, "/Observation", result("1", "Patient?identifier=urn:mrn|none", "1")),
	} {
		w.do(a).want(t, 422)
	}
	w.do(remove(lab, "/Patient?identifier=urn:mrn%7C1")).want(t, 204)
	w.do(remove(lab, "/Patient?_id=x")).want(t, 204)
	w.get(ehr, "/"+theirs).want(t, 200)
	w.get(ehr, "/Patient/x").want(t, 200)
	mine := w.do(post(lab, "/Patient", jane("1", "Other"), ifNone+"1")).want(t, 201).made(t)
	if updated := w.do(put(lab, "/Patient?identifier=urn:mrn%7C1", jane("1", "Another"))).want(t, 200).made(t); updated != mine || mine == theirs {
		t.Errorf("the lab changed %s", updated)
	}
	if got := w.get(ehr, "/"+theirs); !bytes.Contains(got.body, []byte(`"Roe"`)) {
		t.Errorf("%s", got.body)
	}
	// Sensitive, and with what a sensitive message brought along.
	const hiv = `{"resourceType":"Observation","identifier":[{"system":"urn:acc","value":"h"}],"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"56888-1"}]},"subject":{"reference":"urn:uuid:1"}}`
	secret := func() (places []string) {
		r := w.do(post(ehr, "", conditions(bundle("transaction", `POST Patient|urn:uuid:1|`+jane("2", "Hid"), `POST Observation||`+hiv), "identifier=urn:mrn|2", "identifier=urn:acc|h"))).want(t, 200).resource(t)
		for _, l := range texts(r, "entry.response.location") {
			at, _, _ := strings.Cut(l, "/_history/")
			places = append(places, at)
		}
		return places
	}
	made := secret()
	if again := secret(); !slices.Equal(again, made) {
		t.Errorf("made %v, then %v", made, again)
	}
	w.get(w.physician(), "/"+made[0]).want(t, 404) // known from it alone
	// Who is known from that alone is known to all when something harmless names
	// the same, by the number: as if the first had never been.
	r := w.do(post(ehr, "", conditions(bundle("transaction", `POST Patient|urn:uuid:1|`+jane("2", "Hid"), `POST Observation||`+result("n", "urn:uuid:1", "140")), "identifier=urn:mrn|2", ""))).want(t, 200).resource(t)
	if got := texts(r, "entry.response.status"); !slices.Equal(got, []string{"200", "201"}) {
		t.Errorf("%v", got)
	}
	w.get(w.physician(), "/"+made[0]).want(t, 200)
	if n := w.get(w.physician(), "/Observation?patient="+made[0]).total(t); n != "1" {
		t.Errorf("the physician sees %s", n)
	}
}

// The same stored again, on whichever node, after whatever end of the process:
// what a message found stays what it found.
func TestWhatWasFoundStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do(post(w.backend(), "/Patient", jane("1", "Roe"), ifNone+"1")).want(t, 201).made(t)
	w.do(post(w.backend(), "/Observation", result("1", "Patient?identifier=urn:mrn|1", "1"))).want(t, 201)
	w.do(post(w.backend(), "/Patient", jane("1", "Roe"))).want(t, 201) // now two match
	before := w.get(w.backend(), "/Observation").body
	stats, err := w.record.Stats(t.Context())
	must(t, err)
	for id := stats.Last; id > 0; id-- {
		must(t, w.pipe.Replay(t.Context(), id))
		must(t, w.pipe.Applied(t.Context(), id))
	}
	if after := w.get(w.backend(), "/Observation").body; !bytes.Equal(before, after) {
		t.Errorf("a replay changed\n%s\nto\n%s", before, after)
	}
	rules, err := label.Default()
	must(t, err)
	for id := stats.Last; id > 0; id-- {
		m, err := w.record.Queue().Message(t.Context(), id)
		must(t, err)
		if all, err := pipeline.Remake(mapping.NewKeys([]byte("0123456789abcdef")))(m); err != nil || len(all) != 1 || len(rules.Label("ehr", all)) != 1 {
			t.Errorf("message %d is made again as %v, %v", id, all, err)
		}
	}
	if n := w.get(w.backend(), "/Observation?patient="+made).total(t); n != "1" {
		t.Errorf("%s results of %s", n, made)
	}
	w.do(ask{method: http.MethodPost, path: "/Patient", token: w.backend(), body: jane("1", "Roe"), headers: []string{ifNone + "1"}}).want(t, 412)
}

// Two people under one number are no one's guess: the source is told where it
// contradicts itself, and learns nothing of what others say of the number.
func TestDoubtfulPatientsAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr, lab := w.backend(), client(t, "lab", "system/*.cruds")
	w.do(post(ehr, "/Patient", jane("1", "Roe"), ifNone+"1")).want(t, 201)
	other := strings.Replace(jane("1", "Doe"), "1970-01-31", "1984-07-12", 1)
	for place, a := range map[string]ask{
		"Patient.birthDate":                  post(ehr, "/Patient", other, ifNone+"1"),
		"Bundle.entry[1].resource.birthDate": post(ehr, "", conditions(bundle("transaction", `POST Observation||`+result("1", "urn:uuid:1", "1"), `POST Patient|urn:uuid:1|`+other), "", "identifier=urn:mrn|1")),
		"Bundle.entry[2].resource.birthDate": post(ehr, "", bundle("transaction", `POST Observation||`+result("1", "urn:uuid:1", "1"), `POST Patient|urn:uuid:1|`+jane("5", "Roe"), `POST Patient|urn:uuid:2|`+strings.Replace(other, `"1"`, `"5"`, 1))),
	} {
		got := w.do(a).want(t, 422)
		if got.place(t) != place || bytes.Contains(got.body, []byte("19")) {
			t.Errorf("%s: %s", place, got.body)
		}
	}
	w.do(post(lab, "/Patient", other, ifNone+"1")).want(t, 201)
	if n := w.get(ehr, "/Observation?_summary=count").total(t); n != "0" {
		t.Errorf("%s results of nobody", n)
	}
}
