package conformance_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// roster asks for a Group of patients of several records, as its source and as a
// system that looks across records, which sees of its members those whom it knows.
func (a *apps) roster(source string) {
	reader, kept := a.systemAs("demo-analytics", "system/*.rs"), map[string]string{}
	async := "Accept: application/fhir+json\nPrefer: respond-async"
	for key, number := range map[string]string{"A": "R-1", "B": "R-2"} {
		a.claimed(claim{ask: "POST Patient", head: fhirJSON, body: patient(number, "Roster"), want: 201, says: []string{`Location: .*/fhir/Patient/([^/]+)/_history/`}, keep: key}, source, kept)
	}
	hidden := bundle("transaction",
		`{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":`+patient("R-3", "Roster")+`,"request":{"method":"POST","url":"Patient"}}`,
		`{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000002","resource":{"resourceType":"Condition","subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"B20"}]}},"request":{"method":"POST","url":"Condition"}}`)
	a.claimed(claim{ask: "POST ", head: fhirJSON, body: hidden, want: 200, says: []string{`Patient/([^/"]+)/_history`}, keep: "H"}, source, kept)
	group := func(name string, members ...string) string {
		r := fmt.Sprintf(`{"resourceType":"Group","identifier":[{"system":"urn:c","value":"G-1"}],"type":"person","actual":true,"name":%q,"quantity":%d,"member":[`, name, len(members))
		for i, m := range members {
			members[i] = `{"entity":{"reference":"Patient/` + m + `"}` + map[bool]string{true: `,"inactive":true`}[m == "$B"] + `}`
		}
		return r + strings.Join(members, ",") + "]}"
	}
	for _, c := range []struct {
		token string
		claim
	}{
		{source, claim{ask: "POST Group", head: fhirJSON, body: group("Panel of Oak Street", "$A"), want: 201, says: []string{`Location: .*/fhir/Group/([^/]+)/_history/`}, keep: "G"}},
		{source, claim{ask: "PUT Group?identifier=urn:c|G-1", head: fhirJSON, body: group("Panel of Oak Street", "$A", "$H", "$B"), want: 200}},
		{source, claim{ask: "GET Group/$G", want: 200, says: []string{`"quantity":3`, `Patient/` + kept["H"]}}},
		{reader, claim{ask: "GET Group/$G", want: 200, says: []string{`Etag: W/"([^"]+)"`, `"member":\[\{"entity":\{"reference":"Patient/` + kept["A"] + `"\}\},\{"entity":\{"reference":"Patient/` + kept["B"] + `"\},"inactive":true\}\]`}, not: `quantity`, keep: "V"}},
		{reader, claim{ask: "GET Group/$G/_history", want: 200, says: []string{`"total":1`}}},
		{reader, claim{ask: "GET Group?identifier=urn:c|G-1", want: 200, says: []string{`Group/` + kept["G"]}}},
		{reader, claim{ask: "GET Group?member=Patient/$A&type=person&_total=accurate", want: 200, says: []string{`"total":1`}}},
		{reader, claim{ask: "GET Group?member=Patient/$H", want: 200, not: `"entry"`}},
		{reader, claim{ask: "GET Patient/$A/Group", want: 200, says: []string{`"resourceType":"Group"`}}},
		{reader, claim{ask: "GET Patient?_has:Group:member:_id=$G", want: 400, says: []string{`export`}}},
		{source, claim{ask: "PUT Group?identifier=urn:c|G-1", head: fhirJSON, body: group("Panel of Oak Street", "$A", "$B"), want: 200}},
		{reader, claim{ask: "GET Group/$G", head: `If-None-Match: W/"$V"`, want: 304}},
	} {
		a.claimed(c.claim, c.token, kept)
	}
	a.claimed(claim{ask: "GET Group/$G/$export?_type=Patient", head: async, want: 202, says: []string{`Content-Location: .*/fhir/(bulk/.+)`}, keep: "JOB"}, reader, kept)
	if got := a.fetched(reader, kept); len(got) != 1 || !strings.Contains(got[0], `"id":"`+kept["A"]+`"`) {
		a.t.Errorf("exported %q, want the one who is in it now", got)
	}
	for _, c := range []struct {
		token string
		claim
	}{
		{source, claim{ask: "PUT Group?identifier=urn:c|G-1", head: fhirJSON, body: group("HIV clinic cohort", "$A", "$B"), want: 200}},
		{reader, claim{ask: "GET Group/$G", want: 404}},
		{reader, claim{ask: "GET Group?identifier=urn:c|G-1", want: 200, not: `"entry"`}},
		{reader, claim{ask: "GET Group/$G/$export", head: async, want: 404}},
		{source, claim{ask: "DELETE Group/$G", want: 204}},
		{source, claim{ask: "GET Group/$G", want: 404}},
	} {
		a.claimed(c.claim, c.token, kept)
	}
}

// fetched are the lines of all files of an export.
func (a *apps) fetched(token string, kept map[string]string) (all []string) {
	a.t.Helper()
	var manifest struct{ Output []struct{ URL string } }
	for range 1000 {
		status, _, body := a.send(claim{ask: "GET $JOB"}, token, kept)
		if status == 200 {
			if err := json.Unmarshal([]byte(body), &manifest); err != nil {
				a.t.Fatal(err)
			}
			break
		}
		if status != 202 {
			a.t.Fatal(status, body)
		}
	}
	for _, file := range manifest.Output {
		u, err := url.Parse(file.URL)
		if err != nil {
			a.t.Fatal(err)
		}
		_, _, body := a.send(claim{ask: "GET " + strings.TrimPrefix(u.Path, "/fhir/")}, token, kept)
		all = slices.AppendSeq(all, strings.Lines(body))
	}
	return all
}
