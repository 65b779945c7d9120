package conformance_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// claim is one line of docs/conformance.md, asked for.
type claim struct {
	name string
	ask  string // "GET Patient/$P"; $ names what an earlier claim kept
	head string // "Name: value", one a line
	body string
	want int
	says []string // regular expressions on "Name: value" of each header, and on the body
	not  string   // what the answer may not have
	keep string   // name of what the first group of says[0] is
}

const (
	fhirJSON  = "Content-Type: application/fhir+json\n"
	jsonPatch = "Content-Type: application/json-patch+json\n"
	asForm    = "Content-Type: application/x-www-form-urlencoded\n"
)

func patient(number, family string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:c","value":%q}],"name":[{"family":%q,"given":["Ada"]}],"gender":"female","birthDate":"1980-01-02"}`, number, family)
}

func entry(method, url, resource string) string {
	return fmt.Sprintf(`{"fullUrl":"urn:uuid:00000000-0000-4000-8000-%012d","resource":%s,"request":{"method":%q,"url":%q}}`, len(resource), resource, method, url)
}

func bundle(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func sodium(number, day, value string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","identifier":[{"system":"urn:c","value":%q}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":"2951-2","display":"Sodium"}]},"subject":{"reference":"Patient/$P"},"effectiveDateTime":%q,"valueQuantity":{"value":%s,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}}`, number, day, value)
}

var claims = []claim{
	{name: "create", ask: "POST Patient", head: fhirJSON, body: patient("C-1", "Conform"), want: 201, says: []string{`Location: .*/fhir/Patient/([^/]+)/_history/`, `Etag: W/"`, `Last-Modified: `}, keep: "P"},
	{name: "a Subscription to an address that nobody allowed is refused", ask: "POST Subscription", head: fhirJSON, body: `{"resourceType":"Subscription","status":"requested","reason":"x","criteria":"Observation","channel":{"type":"rest-hook","endpoint":"https://ehr.test/"}}`, want: 422, says: []string{`not-supported`}},
	{name: "create, if none exists", ask: "POST Patient", head: fhirJSON + "If-None-Exist: identifier=urn:c|C-1", body: patient("C-1", "Conform"), want: 200},
	{name: "Prefer: return=minimal", ask: "PUT Patient/$P", head: fhirJSON + "Prefer: return=minimal", body: `{"id":"$P",` + patient("C-1", "Conformer")[1:], want: 200, not: "Conformer"},
	{name: "read", ask: "GET Patient/$P", want: 200, says: []string{`Etag: W/"([^"]+)"`, `Conformer`, `Content-Type: application/fhir\+json`, `Cache-Control: .*no-store`}, keep: "V"},
	{name: "HEAD", ask: "HEAD Patient/$P", want: 200, says: []string{`Last-Modified: (.+)`}, keep: "AT"},
	{name: "vread", ask: "GET Patient/$P/_history/$V", want: 200, says: []string{`"versionId":"$V"`}},
	{name: "If-None-Match", ask: "GET Patient/$P", head: `If-None-Match: W/"$V"`, want: 304},
	{name: "If-Modified-Since", ask: "GET Patient/$P", head: "If-Modified-Since: $AT", want: 304},
	{name: "update, If-Match", ask: "PUT Patient/$P", head: fhirJSON + `If-Match: W/"$V"`, body: `{"id":"$P",` + patient("C-1", "Conform")[1:], want: 200},
	{name: "update, If-Match of an old version", ask: "PUT Patient/$P", head: fhirJSON + `If-Match: W/"$V"`, body: `{"id":"$P",` + patient("C-1", "Lost")[1:], want: 412},
	{name: "update, If-None-Match of what is there", ask: "PUT Patient/$P", head: fhirJSON + "If-None-Match: *", body: `{"id":"$P",` + patient("C-1", "Lost")[1:], want: 412},
	{name: "a transaction of which one entry expects an old version", ask: "POST ", head: fhirJSON, body: bundle("transaction", entry("POST", "Observation", sodium("O-55555", "2026-05-01", "144")), `{"resource":{"id":"$P",`+patient("C-1", "Lost")[1:]+`,"request":{"method":"PUT","url":"Patient/$P","ifMatch":"W/\"none\""}}`), want: 412, says: []string{`Bundle\.entry\[1\]`}},
	{name: "nothing of it is there", ask: "GET Observation?identifier=urn:c|O-55555", want: 200, not: `"entry"`},
	{name: "delete, If-Match of an old version", ask: "DELETE Patient/$P", head: `If-Match: W/"none"`, want: 412},
	{name: "update, conditional", ask: "PUT Patient?identifier=urn:c|C-1", head: fhirJSON, body: patient("C-1", "Conform"), want: 200},
	{name: "JSON Patch", ask: "PATCH Patient/$P", head: jsonPatch, body: `[{"op":"replace","path":"/name/0/given/0","value":"Grace"}]`, want: 200, says: []string{`Grace`}},
	{name: "FHIRPath Patch", ask: "PATCH Patient/$P", head: fhirJSON, body: `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.birthDate"},{"name":"value","valueDate":"1981-01-02"}]}]}`, want: 200, says: []string{`1981-01-02`}},
	{name: "patch, conditional", ask: "PATCH Patient?identifier=urn:c|C-1", head: jsonPatch, body: `[{"op":"replace","path":"/name/0/given/0","value":"Ada"}]`, want: 200},
	{name: "history of one resource", ask: "GET Patient/$P/_history?_count=2", want: 200, says: []string{`"type":"history"`, `"relation":"next"`}},
	{name: "history of a type", ask: "GET Patient/_history?_count=1&_since=2026-01-01T00:00:00Z", want: 200, says: []string{`"type":"history"`, `"total":[1-9]`, `"versionId"`}},
	{name: "history of the system", ask: "GET _history?_count=1", want: 200, says: []string{`"type":"history"`, `"relation":"next"`}},
	{name: "an invalid resource names its element", ask: "POST Observation", head: fhirJSON, body: `{"resourceType":"Observation","status":"surely","code":{"text":"x"},"subject":{"reference":"Patient/$P"}}`, want: 422, says: []string{`Observation\.status`}},
	{name: "a script in a narrative is refused", ask: "POST Observation", head: fhirJSON, body: `{"resourceType":"Observation","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>"},"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/$P"}}`, want: 422},
	{name: "415", ask: "POST Patient", head: "Content-Type: text/csv", body: "a,b", want: 415},
	{name: "406", ask: "GET Patient/$P", head: "Accept: image/png", want: 406},

	{name: "transaction", ask: "POST ", head: fhirJSON, body: bundle("transaction", entry("POST", "Observation", sodium("O-1", "2026-01-01", "140")), entry("POST", "Observation", sodium("O-22", "2026-02-01", "141")), entry("POST", "Observation", sodium("O-333", "2026-03-01", "150"))), want: 200, says: []string{`Observation/([^/"]+)/_history`, `"type":"transaction-response"`}, keep: "O"},
	{name: "a transaction is whole or nothing", ask: "POST ", head: fhirJSON, body: bundle("transaction", entry("POST", "Observation", sodium("O-4444", "2026-04-01", "144")), entry("POST", "Observation", `{"resourceType":"Observation","status":"surely"}`)), want: 422},
	{name: "of it nothing is there", ask: "GET Observation?identifier=urn:c|O-4444", want: 200, not: `"entry"`},
	{name: "batch", ask: "POST ", head: fhirJSON, body: `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/$P"}},{"request":{"method":"GET","url":"Patient/none"}}]}`, want: 200, says: []string{`"type":"batch-response"`, `"status":"200`, `"status":"404`}},

	{name: "search by GET", ask: "GET Observation?patient=$P&code=http://loinc.org|2951-2", want: 200, says: []string{`"total":3`, `"relation":"self","url":"[^"]*code=`}},
	{name: "search by POST", ask: "POST Observation/_search", head: asForm, body: "patient=$P&code=2951-2", want: 200, says: []string{`"total":3`}},
	{name: "prefixes", ask: "GET Observation?patient=$P&date=ge2026-02-01&value-quantity=lt150", want: 200, says: []string{`"total":1`}},
	{name: ":exact", ask: "GET Patient?family:exact=Conform&_id=$P", want: 200, says: []string{`"total":1`}},
	{name: ":contains", ask: "GET Patient?family:contains=nfor&_id=$P", want: 200, says: []string{`"total":1`}},
	{name: "phonetic", ask: "GET Patient?phonetic=kanform&_id=$P", want: 200, says: []string{`"total":1`}},
	{name: "phonetic of another sound", ask: "GET Patient?phonetic=perform&_id=$P", want: 200, says: []string{`"total":0`}},
	{name: "a place", ask: "POST Location", head: fhirJSON, body: `{"resourceType":"Location","name":"Harbour","position":{"longitude":-123.1236,"latitude":49.2616}}`, want: 201},
	{name: "near", ask: "GET Location?near=49.2806|-123.1282|3|km", want: 200, says: []string{`"name":"Harbour"`}},
	{name: "near, but farther", ask: "GET Location?near=49.2806|-123.1282|2|km", want: 200, not: `"name":"Harbour"`},
	{name: ":missing", ask: "GET Patient?birthdate:missing=true&_id=$P", want: 200, says: []string{`"total":0`}},
	{name: ":not", ask: "GET Patient?gender:not=male&_id=$P", want: 200, says: []string{`"total":1`}},
	{name: ":text", ask: "GET Observation?patient=$P&code:text=sod", want: 200, says: []string{`"total":3`}},
	{name: "composite", ask: "GET Observation?patient=$P&code-value-quantity=2951-2$gt145", want: 200, says: []string{`"total":1`}},
	{name: "chain", ask: "GET Observation?patient=$P&subject:Patient.family=conform", want: 200, says: []string{`"total":3`}},
	{name: "_has", ask: "GET Patient?_id=$P&_has:Observation:patient:code=2951-2", want: 200, says: []string{`"total":1`}},
	{name: "_include", ask: "GET Observation?patient=$P&_include=Observation:subject", want: 200, says: []string{`"mode":"include"`, `"resourceType":"Patient"`}},
	{name: "_revinclude", ask: "GET Patient?_id=$P&_revinclude=Observation:patient", want: 200, says: []string{`"mode":"include"`, `"resourceType":"Observation"`}},
	{name: "_sort by several", ask: "GET Observation?patient=$P&_sort=code,-date&_count=1", want: 200, says: []string{`2026-03-01`}},
	{name: "_count=0 is the total alone", ask: "GET Observation?patient=$P&_count=0", want: 200, says: []string{`"total":3`}, not: `"entry"`},
	{name: "_total", ask: "GET Observation?patient=$P&_total=accurate&_count=1", want: 200, says: []string{`"total":3`}},
	{name: "_summary", ask: "GET Observation?patient=$P&_summary=true", want: 200, says: []string{`SUBSETTED`}},
	{name: "_elements", ask: "GET Patient?_id=$P&_elements=name", want: 200, says: []string{`SUBSETTED`}, not: `birthDate`},
	{name: "_lastUpdated", ask: "GET Observation?patient=$P&_lastUpdated=gt2999-01-01", want: 200, says: []string{`"total":0`}},
	{name: "of several types", ask: "GET ?_type=Observation,Condition&patient=$P", want: 200, says: []string{`"resourceType":"Observation"`}},
	{name: "compartment", ask: "GET Patient/$P/Observation?code=2951-2", want: 200, says: []string{`"total":3`}},
	{name: ":in", ask: "GET Observation?patient=$P&status:in=http://hl7.org/fhir/ValueSet/observation-status", want: 200, says: []string{`"total":3`}},
	{name: ":in, by the value set's id", ask: "GET Observation?patient=$P&code:in=ValueSet/observation-vitalsignresult", want: 200, says: []string{`"total":0`}},
	{name: ":not-in", ask: "GET Observation?patient=$P&code:not-in=http://hl7.org/fhir/ValueSet/observation-vitalsignresult|4.0.1", want: 200, says: []string{`"total":3`}},
	{name: ":in of what is not known", ask: "GET Observation?patient=$P&code:in=http://example.org/none", head: "Prefer: handling=lenient", want: 400, says: []string{`There is no value set http://example.org/none here`}},
	{name: "a relapse", ask: "POST Condition", head: fhirJSON, body: `{"resourceType":"Condition","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"relapse"}]},"code":{"text":"Asthma"},"subject":{"reference":"Patient/$P"}}`, want: 201},
	{name: ":below of codes", ask: "GET Condition?patient=$P&clinical-status:below=active", want: 200, says: []string{`"total":1`}},
	{name: ":above of codes", ask: "GET Condition?patient=$P&clinical-status:above=http://terminology.hl7.org/CodeSystem/condition-clinical|relapse", want: 200, says: []string{`"total":1`}},
	{name: ":below of a system that is not known", ask: "GET Observation?patient=$P&code:below=http://loinc.org|2951-2", want: 400, says: []string{`http://loinc.org`}},
	{name: "chain and _has with them", ask: "GET Patient?_id=$P&_has:Condition:patient:clinical-status:below=active&gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", want: 200, says: []string{`"total":1`}},
	{name: "handling=strict", ask: "GET Patient?nonsense=1", head: "Prefer: handling=strict", want: 400},
	{name: "handling=lenient leaves it out of self", ask: "GET Patient?nonsense=1&_id=$P", head: "Prefer: handling=lenient", want: 200, not: `self[^}]*nonsense`},

	{name: "XML by Accept", ask: "GET Patient/$P", head: "Accept: application/fhir+xml", want: 200, says: []string{`<Patient xmlns="http://hl7.org/fhir">`, `Content-Type: application/fhir\+xml`}},
	{name: "XML by _format", ask: "GET Observation?patient=$P&_format=xml", want: 200, says: []string{`<Bundle xmlns="http://hl7.org/fhir">`}},
	{name: "XML taken", ask: "POST $validate", head: "Content-Type: application/fhir+xml", body: `<Patient xmlns="http://hl7.org/fhir"><gender value="female"/></Patient>`, want: 404},
	{name: "_pretty", ask: "GET Patient/$P?_pretty=true", want: 200, says: []string{`\n  "resourceType": "Patient"`}},
	{name: "_pretty in XML", ask: "GET Patient/$P?_pretty=true&_format=xml", want: 200, says: []string{`\n  <id value="`}},
	{name: "the next page in the format of this one", ask: "GET Observation?patient=$P&_count=1&_format=xml", want: 200, says: []string{`_format=xml"/>`}},
	{name: "gzip", ask: "GET Patient/$P/$everything", head: "Accept-Encoding: gzip", want: 200, says: []string{`Content-Encoding: gzip`}},
	{name: "CORS", ask: "OPTIONS Patient/$P", head: "Origin: https://app.test\nAccess-Control-Request-Method: GET\nAccess-Control-Request-Headers: authorization", want: 204, says: []string{`Access-Control-Allow-Origin: \*`, `(?i)Access-Control-Allow-Headers: .*authorization`}},

	{name: "$everything by POST", ask: "POST Patient/$P/$everything", head: fhirJSON, body: `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Observation"}]}`, want: 200, says: []string{`"resourceType":"Observation"`}, not: `"resourceType":"Patient"`},
	{name: "$lastn by POST", ask: "POST Observation/$lastn", head: fhirJSON, body: `{"resourceType":"Parameters","parameter":[{"name":"patient","valueString":"$P"},{"name":"code","valueString":"2951-2"},{"name":"max","valuePositiveInt":1}]}`, want: 200, says: []string{`"total":1`}},
	{name: "$everything", ask: "GET Patient/$P/$everything", want: 200, says: []string{`"resourceType":"Observation"`, `"resourceType":"Patient"`}},
	{name: "$everything by _type", ask: "GET Patient/$P/$everything?_type=Observation", want: 200, not: `"resourceType":"Patient"`},
	{name: "$expand", ask: "GET ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/condition-clinical&filter=rela", want: 200, says: []string{`"code":"relapse"`, `"total":1`}},
	{name: "$expand by POST", ask: "POST ValueSet/$expand", head: fhirJSON, body: `{"resourceType":"Parameters","parameter":[{"name":"url","valueUri":"http://hl7.org/fhir/ValueSet/condition-clinical"}]}`, want: 200, says: []string{`"total":6`}},
	{name: "$validate-code", ask: "GET ValueSet/condition-clinical/$validate-code?system=http://terminology.hl7.org/CodeSystem/condition-clinical&code=relapse", want: 200, says: []string{`"valueBoolean":true`}},
	{name: "$lookup", ask: "GET CodeSystem/$lookup?system=http://terminology.hl7.org/CodeSystem/condition-clinical&code=relapse", want: 200, says: []string{`"valueString":"Relapse"`, `"valueCode":"parent"`}},
	{name: "$lastn", ask: "GET Observation/$lastn?patient=$P", want: 200, says: []string{`2026-03-01`}, not: `2026-01-01`},
	{name: "$docref", ask: "GET DocumentReference/$docref?patient=$P", want: 200, says: []string{`"type":"searchset"`}},
	{name: "$summary", ask: "GET Patient/$P/$summary", want: 200, says: []string{`"type":"document"`, `60591-5`, `2026-03-01`, `"emptyReason":\{"coding":\[\{"code":"unavailable"`}, not: `2026-01-01|nilknown|withheld`},
	{name: "$match", ask: "POST Patient/$match", head: fhirJSON, body: `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":` + patient("C-1", "Conform") + `}]}`, want: 200, says: []string{`match-grade`}},
	{name: "$validate", ask: "POST Patient/$validate", head: fhirJSON, body: `{"resourceType":"Patient","gender":"maybe"}`, want: 200, says: []string{`"resourceType":"OperationOutcome"`, `Patient\.gender`}},
	{name: "$export", ask: "GET $export?_type=Observation", head: "Accept: application/fhir+json\nPrefer: respond-async", want: 202, says: []string{`Content-Location: .*/fhir/(bulk/.+)`}, keep: "JOB"},
	{name: "$export by POST, with all in the query", ask: "POST $export?_type=Nothing", head: "Accept: application/fhir+json\nPrefer: respond-async", want: 400, says: []string{`http\._type`}},
	{name: "$export of some elements, refused where none has them", ask: "GET $export?_type=Patient&_elements=wings", head: "Accept: application/fhir+json\nPrefer: respond-async", want: 400, says: []string{`http\._elements`}},
	{name: "$export from the future", ask: "GET $export?_since=2999-01-01T00:00:00Z", head: "Accept: application/fhir+json\nPrefer: respond-async", want: 400, says: []string{`http\._since`}},
	{name: "$export with Provenance", ask: "GET $export?_type=Patient&includeAssociatedData=LatestProvenanceResources", head: "Accept: application/fhir+json\nPrefer: respond-async", want: 202},
	{name: "$export is cancelled", ask: "DELETE $JOB", want: 202},
	{name: "and gone", ask: "GET $JOB", want: 404},
	{name: "CapabilityStatement", ask: "GET metadata", want: 200, says: []string{`"fhirVersion":"4.0.1"`, `SMART-on-FHIR`, `StructureDefinition/oauth-uris`, `\{"url":"token","valueUri":"http[^"]*/oauth/token"\}`}},
	{name: "SearchParameter", ask: "GET SearchParameter?base=Observation&code=date", want: 200, says: []string{`"resourceType":"SearchParameter"`}},
	{name: "StructureDefinition", ask: "GET StructureDefinition/Observation", want: 200, says: []string{`"path":"Observation\.component\.code"`}},
	{name: "ValueSet", ask: "GET ValueSet?url=http://hl7.org/fhir/ValueSet/administrative-gender", want: 200, says: []string{`"id":"administrative-gender"`}},
	{name: "CodeSystem", ask: "GET CodeSystem/condition-clinical", want: 200, says: []string{`"code":"relapse"`}},
	{name: "OperationDefinition", ask: "GET OperationDefinition?code=lastn", want: 200, says: []string{`Observation-lastn`}},

	{name: "delete, conditional", ask: "DELETE Observation?identifier=urn:c|O-333", want: 204},
	{name: "delete", ask: "DELETE Observation/$O", want: 204},
	{name: "what its client deleted", ask: "GET Observation/$O", want: 410, says: []string{`"code":"deleted"`}},
	{name: "HEAD of it", ask: "HEAD Observation/$O", want: 410},
	{name: "its history tells of the deletion", ask: "GET Observation/$O/_history", want: 200, says: []string{`"request":\{"method":"DELETE","url":"Observation/$O"\},"response":\{"status":"204","etag":"W/\\"([^\\]+)`, `"method":"POST"`}, keep: "D"},
	{name: "vread of the deletion", ask: "GET Observation/$O/_history/$D", want: 410},
	{name: "the history of the type tells of it", ask: "GET Observation/_history?_count=1000", want: 200, says: []string{`"method":"DELETE","url":"Observation/$O"`}},
	{name: "the history of the system tells of it", ask: "GET _history?_count=1000", want: 200, says: []string{`"method":"DELETE","url":"Observation/$O"`}},
	{name: "what never was", ask: "GET Observation/none", want: 404},
}

// rest asks for every claim in turn, as a backend that writes and reads.
func (a *apps) rest(t *testing.T) {
	a.t = t
	token := a.system("system/*.cruds")
	kept := map[string]string{}
	for _, c := range slices.Concat(claims, ihe) {
		t.Run(c.name, func(t *testing.T) {
			a.t = t
			a.claimed(c, token, kept)
		})
	}
	a.t = t
	t.Run("pages neither lose nor repeat", func(t *testing.T) {
		a.t = t
		a.pages(token, kept["P"])
	})
	t.Run("US Core's searches, declared and true", func(t *testing.T) {
		a.t = t
		a.usCore(t, token)
	})
	t.Run("a roster, for who looks across records", func(t *testing.T) {
		a.t = t
		a.roster(token)
	})
	t.Run("scopes bind", func(t *testing.T) {
		a.t = t
		a.bound(kept["P"])
	})
}

// system is a backend service's token.
func (a *apps) system(scope string) string {
	a.t.Helper()
	return a.systemAs("demo-backend", scope)
}

func (a *apps) systemAs(client, scope string) string {
	a.t.Helper()
	as := func(c *jwt.Claims, _ *jose.SignerOptions) { c.Issuer, c.Subject = client, client }
	form := asserted(a.asserts(fmt.Sprintf("rest %x", sha256.Sum256([]byte(client+scope+a.t.Name()))), as, a.key, jose.ES384))
	form.Set("scope", scope)
	status, got := a.post("/oauth/token", form)
	if status != http.StatusOK {
		a.t.Fatalf("no token for %s: %d %v", scope, status, got)
	}
	return fmt.Sprint(got["access_token"])
}

// send asks, with the names of what was kept filled in, and gives status,
// headers a line each, and body.
func (a *apps) send(c claim, token string, kept map[string]string) (status int, head, body string) {
	a.t.Helper()
	fill := func(s string) string {
		names := []string{"JOB", "AT", "P", "V", "O", "G", "A", "B", "H", "D"} // a longer name first
		for _, name := range names {
			s = regexp.MustCompile(`\$`+name+`\b`).ReplaceAllLiteralString(s, kept[name])
		}
		return s
	}
	method, path, _ := strings.Cut(c.ask, " ")
	to := a.base + "/fhir"
	if path != "" && path[0] != '?' {
		to += "/"
	}
	r, err := http.NewRequest(method, to+strings.ReplaceAll(fill(path), "|", "%7C"), strings.NewReader(fill(c.body)))
	if err != nil {
		a.t.Fatal(err)
	}
	for line := range strings.Lines(fill(c.head)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		r.Header.Set(name, value)
	}
	if method != http.MethodOptions { // a browser asks first, without it
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var lines []string
	for name, values := range resp.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	return resp.StatusCode, strings.Join(lines, "\n"), string(b)
}

func (a *apps) claimed(c claim, token string, kept map[string]string) {
	a.t.Helper()
	status, head, body := a.send(c, token, kept)
	if status != c.want {
		a.t.Errorf("%s: %d, want %d: %.600s", c.ask, status, c.want, body)
	}
	for i, want := range c.says {
		want = strings.NewReplacer("$V", kept["V"], "$O", kept["O"]).Replace(want)
		found := regexp.MustCompile(want).FindStringSubmatch(head + "\n\n" + body)
		if found == nil {
			a.t.Errorf("%s does not say %s:\n%s\n\n%.900s", c.ask, want, head, body)
		} else if i == 0 && c.keep != "" {
			kept[c.keep] = strings.TrimSpace(found[1])
		}
	}
	if c.not != "" && regexp.MustCompile(c.not).MatchString(body) {
		a.t.Errorf("%s says %s: %.600s", c.ask, c.not, body)
	}
}

var ids = regexp.MustCompile(`"fullUrl":"[^"]*/([^"/]+)"`)
var nextLink = regexp.MustCompile(`"relation":"next","url":"[^"]*/fhir/([^"]+)"`)

// pages reads results one to a page, while another comes in at the front.
func (a *apps) pages(token, id string) {
	kept := map[string]string{"P": id}
	for i := range 4 {
		a.claimed(claim{ask: "POST Observation", head: fhirJSON, body: sodium(fmt.Sprint("N-", i), "2026-05-01", "139"), want: 201}, token, kept)
	}
	_, _, body := a.send(claim{ask: "GET Observation?patient=$P&date=2026-05-01"}, token, kept)
	var want []string
	for _, m := range ids.FindAllStringSubmatch(body, -1) {
		want = append(want, m[1])
	}
	var got []string
	for ask := "Observation?patient=" + id + "&date=2026-05-01&_count=1&_sort=-_lastUpdated"; ask != ""; {
		_, _, body := a.send(claim{ask: "GET " + ask}, token, nil)
		for _, m := range ids.FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		if len(got) == 1 {
			a.claimed(claim{ask: "POST Observation", head: fhirJSON, body: sodium("N-late", "2026-05-01", "138"), want: 201}, token, kept)
		}
		ask = ""
		if next := nextLink.FindStringSubmatch(body); next != nil {
			ask = strings.ReplaceAll(next[1], `\u0026`, "&")
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) != 4 || !slices.Equal(want, got) {
		a.t.Errorf("pages gave %v, all at once %v", got, want)
	}
}

// bound asks what a scope leaves out: by every way that could lead there.
func (a *apps) bound(id string) {
	kept := map[string]string{"P": id}
	read, search, patients := a.system("system/Observation.r"), a.system("system/Observation.s"), a.system("system/Patient.rs")
	_, _, body := a.send(claim{ask: "GET Observation?patient=$P&_count=1"}, search, kept)
	found := ids.FindStringSubmatch(body)
	if found == nil {
		a.t.Fatalf("a search by .s finds nothing: %s", body)
	}
	kept["O"] = found[1]
	for _, c := range []struct {
		token string
		claim
	}{
		{read, claim{ask: "GET Observation/$O", want: 200}},
		{read, claim{ask: "GET Observation?patient=$P", want: 403}},
		{read, claim{ask: "POST Observation/_search", head: asForm, body: "patient=$P", want: 403}},
		{search, claim{ask: "GET Observation/$O", want: 403}},
		{search, claim{ask: "GET Observation/$O/_history", want: 403}},
		{search, claim{ask: "PUT Observation/$O", head: fhirJSON, body: `{"resourceType":"Observation"}`, want: 403}},
		{patients, claim{ask: "GET Patient?_id=$P&_revinclude=Observation:patient", want: 200, not: `"resourceType":"Observation"`}},
		{patients, claim{ask: "GET Patient?_id=$P&_has:Observation:patient:code=2951-2", want: 403}},
		{patients, claim{ask: "GET $export?_type=Patient&_typeFilter=Patient?_has:Observation:patient:code%3D2951-2", head: "Accept: application/fhir+json\nPrefer: respond-async", want: 403}},
		{search, claim{ask: "GET Observation?subject:Patient.family=conform", want: 403}},
		{patients, claim{ask: "GET Patient/$P/$everything", want: 200, not: `"resourceType":"Observation"`}},
		{patients, claim{ask: "GET Patient/$P/Observation", want: 403}},
		{patients, claim{ask: "POST ", head: fhirJSON, body: `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Observation/$O"}}]}`, want: 200, says: []string{`"status":"403`}}},
	} {
		a.claimed(c.claim, c.token, kept)
	}
}
