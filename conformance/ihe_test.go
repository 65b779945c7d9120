package conformance_test

const (
	crossed  = `{"resourceType":"Patient","id":"ihe-1","active":true,"identifier":[{"system":"urn:oid:1.2.3","value":"145"},{"system":"urn:oid:1.2.4","value":"946"}],"name":[{"family":"Mohr","given":["Alice"]}],"gender":"female","birthDate":"1958-01-30","telecom":[{"system":"phone","value":"604-555-0123"}],"address":[{"line":["1 Oak Street"],"city":"Victoria","state":"BC","postalCode":"V8V 1A1","country":"CA"}],"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName","valueString":"Berg"}]}`
	lettered = `{"resourceType":"DocumentReference","id":"ihe-2","status":"current","identifier":[{"system":"urn:d","value":"1"}],"type":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]},"category":[{"coding":[{"system":"urn:class","code":"REPORTS"}]}],"subject":{"reference":"Patient/ihe-1"},"date":"2026-02-03T04:05:06Z","securityLabel":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]}],"content":[{"attachment":{"contentType":"text/plain","url":"Binary/ihe-3","creation":"2026-02-01T00:00:00Z"},"format":{"system":"urn:f","code":"text"}}],"context":{"period":{"start":"2026-01-01","end":"2026-01-31"},"facilityType":{"coding":[{"system":"urn:k","code":"clinic"}]},"practiceSetting":{"coding":[{"system":"urn:s","code":"general"}]},"event":[{"coding":[{"system":"urn:e","code":"visit"}]}]},"author":[{"reference":"Practitioner/ihe-5"}]}`
	listed   = `{"resourceType":"List","id":"ihe-4","status":"current","mode":"working","identifier":[{"system":"urn:l","value":"1"}],"code":{"coding":[{"system":"https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes","code":"submissionset"}]},"subject":{"reference":"Patient/ihe-1"},"date":"2026-02-03T04:05:06Z","source":{"reference":"Practitioner/ihe-5"},"entry":[{"item":{"reference":"DocumentReference/ihe-2"}}],"extension":[{"url":"https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType","valueCodeableConcept":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]}},{"url":"https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-sourceId","valueIdentifier":{"value":"urn:oid:1.2.3.4"}}]}`
)

// ihe are the read sides of PDQm, PIXm and MHD.
var ihe = []claim{
	{name: "IHE: declared", ask: "GET metadata", want: 200, says: []string{`PDQm/CapabilityStatement/IHE\.PDQm\.PatientDemographicsSupplierMatch`, `PIXm/CapabilityStatement/IHE\.PIXm\.Manager`, `MHD/CapabilityStatement/IHE\.MHD\.DocumentResponder`, `"name":"ihe-pix"`}},
	{name: "IHE PIXm ITI-104: a number is fed by conditional update", ask: "PUT Patient?identifier=urn:oid:1.2.9|104", head: fhirJSON, body: `{"resourceType":"Patient","identifier":[{"system":"urn:oid:1.2.9","value":"104"}],"name":[{"family":"Feed"}]}`, want: 201},
	{name: "IHE: a person, a document, its list, its file", ask: "POST ", head: fhirJSON, body: bundle("transaction", entry("PUT", "Patient/ihe-1", crossed), entry("PUT", "Practitioner/ihe-5", `{"resourceType":"Practitioner","id":"ihe-5","name":[{"family":"Welby","given":["Marcus"]}]}`),
		entry("PUT", "Binary/ihe-3", `{"resourceType":"Binary","id":"ihe-3","contentType":"text/plain","securityContext":{"reference":"Patient/ihe-1"},"data":"VGhlIGZpbGUgaXRzZWxm"}`), entry("PUT", "DocumentReference/ihe-2", lettered), entry("PUT", "List/ihe-4", listed)), want: 200},

	{name: "IHE PDQm ITI-78: _id, active", ask: "GET Patient?_id=ihe-1&active=true", want: 200, says: []string{`"total":1`}},
	{name: "IHE PDQm ITI-78: family, given", ask: "GET Patient?family=mohr&given:exact=Alice&_total=accurate", want: 200, says: []string{`"total":1`, `ihe-1`}},
	{name: "IHE PDQm ITI-78: family and gender", ask: "GET Patient?family=MOHR&gender=female&_total=accurate", want: 200, says: []string{`"total":1`}},
	{name: "IHE PDQm ITI-78: family and birthdate", ask: "GET Patient?family=MOHR&birthdate=1958-01-30", want: 200, says: []string{`"total":1`}},
	{name: "IHE PDQm ITI-78: each of two identifiers", ask: "GET Patient?identifier=urn:oid:1.2.3|145&identifier=urn:oid:1.2.4|946", want: 200, says: []string{`"total":1`}},
	{name: "IHE PDQm ITI-78: telecom, address and its parts", ask: "GET Patient?_id=ihe-1&telecom=604-555-0123&address=1+oak&address-city=victoria&address-state=bc&address-postalcode=V8V&address-country=ca", want: 200, says: []string{`"total":1`}},
	{name: "IHE PDQm ITI-78: mothersMaidenName", ask: "GET Patient?_id=ihe-1&mothersMaidenName=berg", want: 200, says: []string{`"total":1`}},
	{name: "IHE PDQm ITI-78: by POST, in XML", ask: "POST Patient/_search", head: asForm + "Accept: application/fhir+xml", body: "identifier=urn:oid:1.2.3%7C145", want: 200, says: []string{`<total value="1"/>`}},
	{name: "IHE PDQm ITI-78: which domains are returned", ask: "GET Patient?identifier=urn:oid:1.2.3|&_id=ihe-1", want: 200, says: []string{`"145"`, `SUBSETTED`}, not: `"946"`},
	{name: "IHE PDQm ITI-78: nobody", ask: "GET Patient?identifier=urn:oid:1.2.3|none", want: 200, says: []string{`"total":0`}, not: `"entry"`},
	{name: "IHE PDQm ITI-78: 406", ask: "GET Patient?_id=ihe-1&_format=text/turtle", want: 406, says: []string{`not-supported`}},
	{name: "IHE PDQm ITI-119: $match", ask: "POST Patient/$match", head: fhirJSON, body: `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","name":[{"family":"Mohr","given":["Alice"]}],"birthDate":"1958-01-30"}},{"name":"onlyCertainMatches","valueBoolean":false},{"name":"count","valueInteger":5}]}`, want: 200, says: []string{`"valueCode":"probable"`, `"score":0\.8`}},
	{name: "IHE PDQm ITI-119: nobody", ask: "POST Patient/$match", head: fhirJSON, body: `{"resourceType":"Patient","name":[{"family":"Nobody"}],"birthDate":"1958-01-30"}`, want: 200, says: []string{`"total":0`}},

	{name: "IHE PIXm ITI-83: all numbers and ids", ask: "GET Patient/$ihe-pix?sourceIdentifier=urn:oid:1.2.3|145", want: 200, says: []string{`"targetIdentifier","valueIdentifier":\{"system":"urn:oid:1.2.4","value":"946"`, `"targetId","valueReference":\{"reference":"Patient/ihe-1"`}, not: `"145"`},
	{name: "IHE PIXm ITI-83: of some domains", ask: "GET Patient/$ihe-pix?sourceIdentifier=urn:oid:1.2.3|145&targetSystem=urn:oid:1.2.4&targetSystem=urn:oid:1.2.5", want: 200, says: []string{`"946"`}, not: `targetId"`},
	{name: "IHE PIXm ITI-83: in XML", ask: "GET Patient/$ihe-pix?sourceIdentifier=urn:oid:1.2.3|145&_format=xml", want: 200, says: []string{`<name value="targetIdentifier"/><valueIdentifier>`}},
	{name: "IHE PIXm ITI-83: a number that nobody has", ask: "GET Patient/$ihe-pix?sourceIdentifier=urn:oid:1.2.3|none", want: 404, says: []string{`"code":"not-found","diagnostics":"sourceIdentifier Patient Identifier not found`}},
	{name: "IHE PIXm ITI-83: a domain that nobody has is the same", ask: "GET Patient/$ihe-pix?sourceIdentifier=urn:oid:9.9.9|145", want: 404, says: []string{`"code":"not-found","diagnostics":"sourceIdentifier Patient Identifier not found`}},
	{name: "IHE PIXm ITI-83: no domain", ask: "GET Patient/$ihe-pix?sourceIdentifier=145", want: 400, says: []string{`"code":"code-invalid","diagnostics":"sourceIdentifier Assigning Authority not found`}},

	{name: "IHE MHD ITI-66: patient, code, status", ask: "GET List?patient=ihe-1&code=submissionset&status=current", want: 200, says: []string{`"total":1`, `List/ihe-4`}},
	{name: "IHE MHD ITI-66: designationType, sourceId", ask: "GET List?patient.identifier=urn:oid:1.2.3|145&code=submissionset&status=current&designationType=http://loinc.org|34133-9&sourceId=urn:oid:1.2.3.4", want: 200, says: []string{`"total":1`}},
	{name: "IHE MHD ITI-66: date, identifier, source.given, source.family", ask: "GET List?patient=ihe-1&code=submissionset&status=current&date=ge2026-02-01&identifier=urn:l|1&source.given=marcus&source.family=welby", want: 200, says: []string{`"total":1`}},
	{name: "IHE MHD ITI-66: by POST", ask: "POST List/_search", head: asForm, body: "patient=ihe-1&code=folder&status=current", want: 200, says: []string{`"total":0`}},
	{name: "IHE MHD ITI-67: patient, status", ask: "GET DocumentReference?patient=ihe-1&status=current", want: 200, says: []string{`"total":1`, `"url":"Binary/ihe-3"`}},
	{name: "IHE MHD ITI-67: patient.identifier", ask: "GET DocumentReference?patient.identifier=urn:oid:1.2.3|145&status=current", want: 200, says: []string{`"total":1`}},
	{name: "IHE MHD ITI-67: author, category, type, event, facility, format, setting, security-label", ask: "GET DocumentReference?patient=ihe-1&status=current&author.given=marcus&author.family=welby&category=urn:class|REPORTS&type=http://loinc.org|34133-9&event=urn:e|visit&facility=urn:k|clinic&format=urn:f|text&setting=urn:s|general&security-label=N", want: 200, says: []string{`"total":1`}},
	{name: "IHE MHD ITI-67: creation, date, period, identifier", ask: "GET DocumentReference?patient=ihe-1&status=current&creation=2026-02-01&date=ge2026-02-03&period=ge2026-01-15&period=le2026-01-15&identifier=urn:d|1", want: 200, says: []string{`"total":1`}},
	{name: "IHE MHD ITI-67: related", ask: "GET DocumentReference?patient=ihe-1&status=current&related:identifier=urn:acc|1", want: 200, says: []string{`"total":0`}},
	{name: "IHE MHD ITI-67: by POST", ask: "POST DocumentReference/_search", head: asForm, body: "patient=ihe-1&status=superseded", want: 200, says: []string{`"total":0`}},
	{name: "IHE MHD ITI-68: the file", ask: "GET Binary/ihe-3", head: "Accept: text/plain", want: 200, says: []string{`Content-Type: text/plain`, `(?s)\n\nThe file itself$`, `Content-Disposition: attachment`}},
	{name: "IHE MHD ITI-68: the file, whatever is accepted", ask: "GET Binary/ihe-3", want: 200, says: []string{`(?s)\n\nThe file itself$`}},
	{name: "IHE MHD ITI-68: 406", ask: "GET Binary/ihe-3", head: "Accept: application/pdf", want: 406},
	{name: "IHE MHD ITI-68: as FHIR", ask: "GET Binary/ihe-3", head: "Accept: application/fhir+json", want: 200, says: []string{`"resourceType":"Binary"`}},
	{name: "IHE MHD ITI-68: none", ask: "GET Binary/none", head: "Accept: text/plain", want: 404},
}
