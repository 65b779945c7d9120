package conformance_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// coreSearch is a type of US Core: a resource with all that its searches ask for, of
// the patient uc-p, and of each parameter a value that finds it and one that does not.
type coreSearch struct {
	typ      string
	resource string // without type, id and patient
	subject  string // the element that names the patient; "" for none
	values   map[string][2]string
	together string // "a+b a+c+d": the searches, besides that of each patient
}

const day = "2026-03-04"

func coded(system, code string) string {
	return fmt.Sprintf(`{"coding":[{"system":%q,"code":%q}]}`, system, code)
}

// core are the searches that US Core asks of a server.
//
// Source: US Core's CapabilityStatement for servers, 3.1.1 to 8.0.0, SHALL and SHOULD.
var core = []coreSearch{
	{typ: "Patient", resource: `"identifier":[{"system":"urn:uc","value":"1"}],"name":[{"family":"Coremann","given":["Una"]}],"gender":"female","birthDate":"1980-05-06","deceasedDateTime":"2026-03-04",` +
		`"extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2028-9"}},{"url":"text","valueString":"Asian"}]},` +
		`{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2186-5"}},{"url":"text","valueString":"Not Hispanic"}]},` +
		`{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-genderIdentity","valueCodeableConcept":{"coding":[{"system":"http://snomed.info/sct","code":"446141000124107"}]}}]`,
		values: map[string][2]string{"_id": {"uc-Patient", "none"}, "identifier": {"urn:uc|1", "urn:uc|2"}, "name": {"coremann", "nobody"}, "family": {"Coremann", "nobody"}, "birthdate": {"1980-05-06", "1980-05-07"}, "gender": {"female", "male"},
			"death-date": {"ge" + day, "lt" + day}, "race": {"2028-9", "2054-5"}, "ethnicity": {"urn:oid:2.16.840.1.113883.6.238|2186-5", "2135-2"}, "gender-identity": {"446141000124107", "446151000124109"}},
		together: "_id identifier birthdate+family birthdate+name death-date+family family+gender gender+name _id+race _id+ethnicity _id+gender-identity"},
	{typ: "AllergyIntolerance", subject: "patient", resource: `"clinicalStatus":` + coded("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active") + `,"code":{"text":"Latex"}`,
		values: map[string][2]string{"clinical-status": {"active", "resolved"}}, together: "patient+clinical-status"},
	{typ: "CarePlan", subject: "subject", resource: `"status":"active","intent":"order","category":[` + coded("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan") + `],"period":{"start":"` + day + `"}`,
		values: map[string][2]string{"category": {"assess-plan", "other"}, "status": {"active", "revoked"}, "date": {"ge" + day, "lt" + day}}, together: "patient+category patient+category+date patient+category+status patient+category+status+date"},
	{typ: "CareTeam", subject: "subject", resource: `"status":"active","participant":[{"role":[` + coded("http://snomed.info/sct", "17561000") + `],"member":{"reference":"Patient/uc-Patient"}}]`,
		values: map[string][2]string{"status": {"active", "proposed"}, "role": {"http://snomed.info/sct|17561000", "309343006"}}, together: "patient+status patient+role role"},
	{typ: "Condition", subject: "subject", resource: `"clinicalStatus":` + coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "resolved") + `,"category":[` + coded("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis") + `],"code":` + coded("http://snomed.info/sct", "195662009") +
		`,"encounter":{"reference":"Encounter/uc-Encounter"},"onsetDateTime":"2026-03-04","abatementDateTime":"2026-03-05","recordedDate":"2026-03-04","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/condition-assertedDate","valueDateTime":"2026-03-04"}]`,
		values: map[string][2]string{"category": {"encounter-diagnosis", "problem-list-item"}, "clinical-status": {"resolved", "active"}, "encounter": {"Encounter/uc-Encounter", "Encounter/none"}, "code": {"http://snomed.info/sct|195662009", "none"}, "onset-date": {"ge" + day, "lt" + day},
			"abatement-date": {"gt" + day, "le" + day}, "asserted-date": {day, "2026-03-05"}, "recorded-date": {day, "2026-03-05"}, "_lastUpdated": {"ge2020-01-01", "lt2020-01-01"}},
		together: "patient+category patient+clinical-status patient+category+clinical-status patient+category+encounter patient+code patient+onset-date patient+abatement-date patient+asserted-date patient+recorded-date patient+_lastUpdated"},
	{typ: "Coverage", subject: "beneficiary", resource: `"status":"active","relationship":` + coded("http://terminology.hl7.org/CodeSystem/subscriber-relationship", "self") + `,"payor":[{"display":"Plan"}]`},
	{typ: "Device", subject: "patient", resource: `"status":"active","type":` + coded("http://snomed.info/sct", "14106009"),
		values: map[string][2]string{"type": {"14106009", "none"}, "status": {"active", "inactive"}}, together: "patient+type patient+status"},
	{typ: "DiagnosticReport", subject: "subject", resource: `"status":"final","category":[` + coded("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB") + `],"code":` + coded("http://loinc.org", "58410-2") + `,"effectiveDateTime":"2026-03-04","issued":"2026-03-04T08:00:00Z"`,
		values:   map[string][2]string{"category": {"http://terminology.hl7.org/CodeSystem/v2-0074|LAB", "RAD"}, "code": {"58410-2", "none"}, "date": {day, "2026-03-05"}, "status": {"final,amended", "preliminary"}, "_lastUpdated": {"ge2020-01-01", "lt2020-01-01"}},
		together: "patient+category patient+category+date patient+category+_lastUpdated patient+code patient+code+date patient+status"},
	{typ: "DocumentReference", subject: "subject", resource: `"status":"current","type":` + coded("http://loinc.org", "18842-5") + `,"category":[` + coded("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note") + `],"date":"2026-03-04T08:00:00Z","content":[{"attachment":{"contentType":"text/plain","data":"eA=="}}],"context":{"period":{"start":"2026-03-04","end":"2026-03-05"}}`,
		values:   map[string][2]string{"_id": {"uc-DocumentReference", "none"}, "category": {"clinical-note", "none"}, "date": {"ge" + day, "lt" + day}, "type": {"http://loinc.org|18842-5", "none"}, "period": {"ge" + day, "lt" + day}, "status": {"current", "superseded"}},
		together: "_id patient+category patient+category+date patient+type patient+type+period patient+status"},
	{typ: "Encounter", subject: "subject", resource: `"status":"finished","identifier":[{"system":"urn:uc","value":"visit"}],"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"type":[` + coded("http://www.ama-assn.org/go/cpt", "99213") + `],"period":{"start":"2026-03-04","end":"2026-03-05"},"hospitalization":{"dischargeDisposition":` + coded("http://terminology.hl7.org/CodeSystem/discharge-disposition", "home") + `},"location":[{"location":{"reference":"Location/uc-Location"}}]`,
		values:   map[string][2]string{"_id": {"uc-Encounter", "none"}, "class": {"AMB", "EMER"}, "date": {"ge" + day, "lt" + day}, "identifier": {"urn:uc|visit", "urn:uc|none"}, "discharge-disposition": {"home", "exp"}, "location": {"Location/uc-Location", "Location/none"}, "status": {"finished", "planned"}, "type": {"99213", "none"}, "_lastUpdated": {"ge2020-01-01", "lt2020-01-01"}},
		together: "_id identifier date+patient class+patient patient+discharge-disposition patient+location patient+status patient+type patient+_lastUpdated"},
	{typ: "Goal", subject: "subject", resource: `"lifecycleStatus":"active","description":` + coded("http://snomed.info/sct", "281665004") + `,"target":[{"dueDate":"2026-03-04"}]`,
		values: map[string][2]string{"lifecycle-status": {"active", "rejected"}, "description": {"281665004", "none"}, "target-date": {day, "2026-03-05"}}, together: "patient+lifecycle-status patient+description patient+target-date"},
	{typ: "Immunization", subject: "patient", resource: `"status":"completed","vaccineCode":` + coded("http://hl7.org/fhir/sid/cvx", "140") + `,"occurrenceDateTime":"2026-03-04"`,
		values: map[string][2]string{"status": {"completed", "not-done"}, "date": {day, "2026-03-05"}}, together: "patient+status patient+date"},
	{typ: "Location", resource: `"name":"Coremann Clinic","address":{"line":["1 Oak Street"],"city":"Uctown","state":"UC","postalCode":"99999"}`,
		values:   map[string][2]string{"name": {"coremann", "nowhere"}, "address": {"1 oak", "2 oak"}, "address-city": {"uctown", "nowhere"}, "address-state": {"UC", "nowhere"}, "address-postalcode": {"99999", "nowhere"}},
		together: "name address+name address-city address-state+name address-postalcode+name"},
	{typ: "MedicationDispense", subject: "subject", resource: `"status":"completed","type":` + coded("http://terminology.hl7.org/CodeSystem/v3-ActCode", "FF") + `,"medicationCodeableConcept":{"text":"Iron"}`,
		values: map[string][2]string{"status": {"completed", "declined"}, "type": {"FF", "none"}}, together: "patient+status patient+status+type"},
	{typ: "MedicationRequest", subject: "subject", resource: `"status":"active","intent":"order","medicationCodeableConcept":{"text":"Iron"},"encounter":{"reference":"Encounter/uc-Encounter"},"authoredOn":"2026-03-04"`,
		values:   map[string][2]string{"intent": {"proposal,plan,order", "proposal"}, "status": {"active", "draft"}, "encounter": {"Encounter/uc-Encounter", "Encounter/none"}, "authoredon": {day, "2026-03-05"}},
		together: "patient+intent patient+intent+status patient+intent+encounter patient+intent+authoredon"},
	{typ: "Observation", subject: "subject", resource: `"status":"final","category":[` + coded("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory") + `],"code":` + coded("http://loinc.org", "718-7") + `,"effectiveDateTime":"2026-03-04","valueQuantity":{"value":140,"unit":"g/L"}`,
		values:   map[string][2]string{"category": {"laboratory", "vital-signs"}, "code": {"http://loinc.org|718-7,http://loinc.org|2951-2", "none"}, "date": {"ge" + day, "lt" + day}, "status": {"final", "cancelled"}, "_lastUpdated": {"ge2020-01-01", "lt2020-01-01"}},
		together: "patient+category patient+category+date patient+category+status patient+category+_lastUpdated patient+code patient+code+date"},
	{typ: "Organization", resource: `"name":"Coremann Hospital","address":[{"city":"Uctown"}]`,
		values: map[string][2]string{"name": {"coremann", "nowhere"}, "address": {"uctown", "nowhere"}}, together: "name address"},
	{typ: "Practitioner", resource: `"identifier":[{"system":"http://hl7.org/fhir/sid/us-npi","value":"9941339108"}],"name":[{"family":"Coremanndoc"}]`,
		values: map[string][2]string{"_id": {"uc-Practitioner", "none"}, "name": {"coremanndoc", "nobody"}, "identifier": {"http://hl7.org/fhir/sid/us-npi|9941339108", "none"}}, together: "_id name identifier"},
	{typ: "PractitionerRole", resource: `"practitioner":{"reference":"Practitioner/uc-Practitioner"},"specialty":[` + coded("http://nucc.org/provider-taxonomy", "208D00000X") + `]`,
		values: map[string][2]string{"specialty": {"208D00000X", "none"}, "practitioner": {"Practitioner/uc-Practitioner", "Practitioner/none"}}, together: "specialty practitioner"},
	{typ: "Procedure", subject: "subject", resource: `"status":"completed","code":` + coded("http://snomed.info/sct", "80146002") + `,"performedDateTime":"2026-03-04"`,
		values: map[string][2]string{"status": {"completed", "preparation"}, "date": {"ge" + day, "lt" + day}, "code": {"80146002", "none"}}, together: "patient+date patient+status patient+code+date"},
	{typ: "QuestionnaireResponse", subject: "subject", resource: `"status":"completed","questionnaire":"http://example.org/Questionnaire/q","authored":"2026-03-04"`,
		values:   map[string][2]string{"_id": {"uc-QuestionnaireResponse", "none"}, "status": {"completed", "stopped"}, "authored": {"ge" + day, "lt" + day}, "questionnaire": {"http://example.org/Questionnaire/q", "Questionnaire/none"}},
		together: "_id patient+status patient+authored patient+questionnaire"},
	{typ: "RelatedPerson", subject: "patient", resource: `"active":true,"name":[{"family":"Coremann"}],"relationship":[` + coded("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH") + `]`,
		values: map[string][2]string{"_id": {"uc-RelatedPerson", "none"}, "name": {"coremann", "nobody"}}, together: "_id patient+name"},
	{typ: "ServiceRequest", subject: "subject", resource: `"status":"active","intent":"order","category":[` + coded("http://snomed.info/sct", "108252007") + `],"code":` + coded("http://loinc.org", "24356-8") + `,"authoredOn":"2026-03-04"`,
		values:   map[string][2]string{"_id": {"uc-ServiceRequest", "none"}, "category": {"108252007", "none"}, "code": {"24356-8", "none"}, "authored": {"ge" + day, "lt" + day}, "status": {"active", "draft"}},
		together: "_id patient+category patient+category+authored patient+code patient+code+authored patient+status"},
	{typ: "Specimen", subject: "subject", resource: `"type":` + coded("http://snomed.info/sct", "119297000"), values: map[string][2]string{"_id": {"uc-Specimen", "none"}}, together: "_id"},
}

// usCore asks US Core's searches, by GET and by POST, and looks each combination up in
// the CapabilityStatement.
func (a *apps) usCore(t *testing.T, token string) {
	entries := make([]string, len(core))
	for i, c := range core {
		of := ""
		if c.subject != "" {
			of = fmt.Sprintf(`,%q:{"reference":"Patient/uc-Patient"}`, c.subject)
		}
		entries[i] = entry("PUT", c.typ+"/uc-"+c.typ, fmt.Sprintf(`{"resourceType":%q,"id":"uc-%s"%s,%s}`, c.typ, c.typ, of, c.resource))
	}
	a.claimed(claim{ask: "POST ", head: fhirJSON, body: bundle("transaction", entries...), want: 200}, token, nil)
	_, _, body := a.send(claim{ask: "GET metadata"}, token, nil)
	var statement struct {
		Rest []struct {
			Resource []struct {
				Type             string
				SupportedProfile []string
				Extension        []struct {
					URL       string
					Extension []struct{ ValueString string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &statement); err != nil || !strings.Contains(body, `"http://hl7.org/fhir/us/core/CapabilityStatement/us-core-server"`) {
		a.t.Errorf("metadata: %v", err)
	}
	declared := map[string]bool{}
	for _, r := range statement.Rest[0].Resource {
		for _, x := range r.Extension {
			names := []string{r.Type}
			for _, required := range x.Extension {
				names = append(names, required.ValueString)
			}
			declared[strings.Join(names, "+")] = x.URL == "http://hl7.org/fhir/StructureDefinition/capabilitystatement-search-parameter-combination"
		}
		if r.Type == "Patient" && !slices.Contains(r.SupportedProfile, "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient") {
			a.t.Errorf("supported profiles of Patient: %v", r.SupportedProfile)
		}
	}
	for _, c := range core {
		asked := strings.Fields(c.together)
		if c.subject != "" {
			asked = append(asked, "patient")
		}
		for _, together := range asked {
			names := strings.Split(together, "+")
			if len(names) > 1 && slices.Contains(names, "patient") || c.typ == "Patient" && !strings.HasPrefix(together, "_id") && len(names) > 1 {
				if !declared[c.typ+"+"+together] {
					a.t.Errorf("%s by %s is not declared", c.typ, together)
				}
			}
			for wrong := range len(names) + 1 { // the last: none is
				v, total := url.Values{"_total": {"accurate"}}, 1
				for i, name := range names {
					values, ok := c.values[name], true
					if name == "patient" {
						values = [2]string{"uc-Patient", "Patient/none"}
					} else if values, ok = c.values[name]; !ok {
						a.t.Fatalf("%s: no value of %s", c.typ, name)
					}
					if v.Set(name, values[0]); i == wrong {
						v.Set(name, values[1])
						total = 0
					}
				}
				said := []string{fmt.Sprintf(`"total":%d\b`, total)}
				if total > 0 {
					said = append(said, `"fullUrl":"[^"]*/`+c.typ+`/uc-`+c.typ+`"`)
				}
				a.claimed(claim{ask: "GET " + c.typ + "?" + v.Encode(), head: "Prefer: handling=strict", want: 200, says: said}, token, nil)
				a.claimed(claim{ask: "POST " + c.typ + "/_search", head: asForm + "Prefer: handling=strict", body: v.Encode(), want: 200, says: said}, token, nil)
			}
		}
	}
}
