package search_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/internal/corpus"
	"firebreak/search"
)

func indexOf(t testing.TB, resources ...string) *search.Index[item] {
	t.Helper()
	var items []item
	for _, s := range resources {
		items = append(items, item{parse(t, s)})
	}
	return search.NewIndex(items)
}

func ids(items []item) string {
	var all []string
	for _, i := range items {
		all = append(all, i.r.Ref().String())
	}
	return strings.Join(all, " ")
}

// matching tells whether the one resource matches each search.
func matching(t *testing.T, resource string, want map[string]bool, opts ...search.Option) {
	t.Helper()
	x := indexOf(t, resource)
	typ := x.All()[0].r.Type()
	for raw, yes := range want {
		if got := x.Count(query(t, typ, raw, opts...)) == 1; got != yes {
			t.Errorf("%s?%s: got %v, want %v", typ, raw, got, yes)
		}
	}
}

func TestTokens(t *testing.T) {
	matching(t, `{"resourceType":"Observation","id":"o","status":"final","identifier":[{"system":"urn:i","value":"A|1,2"},{"value":"bare"}],
		"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hémoglobine in blood"},{"code":"HB"}],"text":"Hb"}}`, map[string]bool{
		"code=718-7": true, "code=http://loinc.org|718-7": true, "code=http://loinc.org|": true, "code=urn:x|718-7": false,
		"code=|718-7": false, "code=|HB": true, "code=hb": true, "code=http://LOINC.org|718-7": false, "code=x,HB": true, "code=x&code=HB": false,
		"code:not=718-7": false, "code:not=x": true, "code:not=x,HB": false,
		"code:text=hemo": true, "code:text=HB": true, "code:text=blood": false,
		"identifier=urn:i|A%5C|1%5C,2": true, "identifier=urn:i|A|1%5C,2": true, "identifier=bare": true, "identifier=|bare": true, "identifier=urn:i|": true,
		"status=final": true, "status=http://hl7.org/fhir/observation-status|final": true, "status=|final": false,
		"code:missing=false": true, "category:missing=true": true, "category:not=x": true,
	})
	matching(t, `{"resourceType":"Patient","id":"p","active":true,"telecom":[{"system":"phone","value":"555"},{"system":"email","value":"A@b"}],"deceasedDateTime":"2026"}`, map[string]bool{
		"active=true": true, "active=false": false, "deceased=true": true, "deceased=false": false,
		"phone=555": true, "email=555": false, "email=a@B": true, "telecom=555": true, "_id=p": true, "_id=P": false,
	})
	matching(t, `{"resourceType":"Patient","id":"p","deceasedBoolean":false}`, map[string]bool{"deceased=false": true, "deceased=true": false, "active:missing=true": true})
}

func TestStrings(t *testing.T) {
	matching(t, `{"resourceType":"Patient","id":"p","name":[{"family":"van  der Müller-Łęcki","given":["Éva","Q,x"],"text":"whole"}],"address":[{"line":["1 Main St"],"city":"Genève","postalCode":"12-3"}]}`, map[string]bool{
		"family=van": true, "family=VAN DER mul": true, "family=muller": false, "family:contains=MULLER-lecki": true, "family:exact=van  der Müller-Łęcki": true,
		"family:exact=van": false, "given=eva": true, "given=ÉV": true, "name=whole": true, "name=q%5C,x": true, "name=zz,eva": true, "name=eva&name=van": true,
		"address=1 main": true, "address=main": false, "address-city=geneve": true, "address-postalcode=12": true, "name:missing=false": true,
	})
}

func TestSounds(t *testing.T) {
	matching(t, `{"resourceType":"Patient","id":"p","name":[{"family":"O'Reilly-Schmidt","given":["Catherine","Philippa"],"prefix":["Dr"]},{"text":"Kees Wright"},{"family":"李"}]}`, map[string]bool{
		"phonetic=Kathryn": true, "phonetic=katherine": true, "phonetic=Filipa": true, "phonetic=oreiley": true, "phonetic=Rite": true, "phonetic=kase": true,
		"phonetic=Robert": false, "phonetic=Kath": false, "phonetic=Catherine O'Reilly": true, "phonetic=Catherine Jones": false, "phonetic=Jones,Catherine": true,
		"phonetic=dr": false, "phonetic=%E6%9D%8E": true, "phonetic=%E7%8E%8B": false, "phonetic:missing=false": true,
	})
	matching(t, `{"resourceType":"Patient","id":"p"}`, map[string]bool{"phonetic=a": false, "phonetic:missing=true": true})
	matching(t, `{"resourceType":"Organization","id":"o","name":"Saint Paul's Hospital","alias":["Sisters of Providence"]}`, map[string]bool{"phonetic=Pauls": true, "phonetic=hospitel sent": true, "phonetic=hospitel same": false, "phonetic=hospitel pols saint": true, "phonetic=sisters": false})
	for _, same := range []string{"smith smyth", "stephen steven", "meyer meier mayer", "knight nite", "shaw shah", "jackson jaxon", "thompson thompsen", "pacheco pachecko", "wong wang", "deborah debora",
		"charlotte charlot", "christine kristin", "schultz shults", "bridge brij", "sioux siox", "x x", "cyril siril", "pneuman newman", "lamb lam", "xavier savier"} {
		names := strings.Fields(same)
		for _, name := range names[1:] {
			x := indexOf(t, `{"resourceType":"Practitioner","id":"p","name":[{"family":"`+names[0]+`"}]}`)
			if x.Count(query(t, "Practitioner", "phonetic="+name)) != 1 {
				t.Errorf("%s does not sound as %s", name, names[0])
			}
		}
	}
	for _, other := range []string{"smith smit", "anna hanna", "lee leigh-ann", "ito ota-ko", "chan khan", "sun zhen-yi", "paul polk"} {
		names := strings.Fields(other)
		x := indexOf(t, `{"resourceType":"Practitioner","id":"p","name":[{"family":"`+names[0]+`"}]}`)
		if x.Count(query(t, "Practitioner", "phonetic="+names[1])) != 0 {
			t.Errorf("%s sounds as %s", names[1], names[0])
		}
	}
}

// One degree of a great circle is 111.195 km: the first two places are 2.139 km apart.
func TestNear(t *testing.T) {
	matching(t, `{"resourceType":"Location","id":"l","position":{"longitude":-123.1236,"latitude":49.2616}}`, map[string]bool{
		"near=49.2806|-123.1282|2.138|km": false, "near=49.2806|-123.1282|2.14|km": true, "near=49.2806|-123.1282|2.14": true,
		"near=49.2806|-123.1282|2300|m": true, "near=49.2806|-123.1282|1.3|mi": false, "near=49.2806|-123.1282|1.5|[mi_i]": true, "near=49.2806|-123.1282|8000|[ft_i]": true,
		"near=49.1763|-122.8427": true, "near=48.4284|-123.3656": false, "near=48.4284|-123.3656||km": false, "near=48.4284|-123.3656,49.2616|-123.1236|0": true,
		"near:missing=false": true,
	})
	matching(t, `{"resourceType":"Location","id":"l","position":{"longitude":-179.99,"latitude":0}}`, map[string]bool{"near=0|179.99|2.5": true, "near=0|179.99|2": false})
	matching(t, `{"resourceType":"Location","id":"l"}`, map[string]bool{"near=0|0|21000": false, "near:missing=true": true})
	x := indexOf(t, `{"resourceType":"Location","id":"l","position":{"longitude":1,"latitude":1}}`, `{"resourceType":"Encounter","id":"e","location":[{"location":{"reference":"Location/l"}}]}`)
	if got := x.Count(query(t, "Encounter", "location.near=1|1|1")); got != 1 {
		t.Errorf("by chain: %d", got)
	}
}

func TestDates(t *testing.T) {
	matching(t, `{"resourceType":"Observation","id":"o","effectiveDateTime":"2013-01-14T10:00:00Z"}`, map[string]bool{
		// the examples of R4's search page
		"date=eq2013-01-14": true, "date=ne2013-01-14": false, "date=lt2013-01-14T10:00Z": false, "date=gt2013-01-14": false,
		"date=ge2013-01-14": true, "date=le2013-01-14": true, "date=sa2013-01-13": true, "date=eb2013-01-15": true,
		"date=2013": true, "date=2013-01": true, "date=2013-01-14T10:00": true, "date=2013-01-14T11:00:00%2B01:00": true, "date=2013-01-14T11:00:00+01:00": true,
		"date=2013-01-14T10:00:00.000Z": false, "date=2012,2013": true, "date=gt2012&date=lt2014": true, "date=lt2013-01-14T10:00:01Z": true,
	})
	matching(t, `{"resourceType":"Encounter","id":"e","period":{"start":"2013-01-21"}}`, map[string]bool{
		"date=gt2013-01-14": true, "date=ge2030": true, "date=lt2013-01-21": false, "date=lt2013-01-22": true, "date=2013": false, "date=sa2013-01-20": true, "date=eb2030": false, "date=ne2013": true,
	})
	matching(t, `{"resourceType":"Encounter","id":"e","period":{"end":"2013-01-21"}}`, map[string]bool{
		"date=lt2013-01-14": true, "date=gt2013-01-21": false, "date=eb2013-01-22": true, "date=sa1900": false,
	})
	matching(t, `{"resourceType":"ServiceRequest","id":"s","occurrenceTiming":{"event":["2013-01-01","2013-03-01"]}}`, map[string]bool{
		"occurrence=2013": true, "occurrence=2013-01": false, "occurrence=sa2012": true, "occurrence=gt2013-02": true,
	})
	matching(t, `{"resourceType":"Observation","id":"o","effectiveDateTime":"2013-03-01"}`, map[string]bool{
		"date=ap2013-02": false, "date=ap2013-03": true, "date=ap2013-01-01": false,
	})
	now := search.At(time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)) // a tenth of ten years is a year
	matching(t, `{"resourceType":"Observation","id":"o","effectiveDateTime":"2013-03-01"}`, map[string]bool{
		"date=ap2013-01-01": true, "date=ap2012-04-01": true, "date=ap2011-01-01": false, "date=ap2022-01-01": false,
	}, now)
	matching(t, `{"resourceType":"Patient","id":"p","meta":{"lastUpdated":"2026-01-01T00:00:00.500Z"}}`, map[string]bool{
		"_lastUpdated=gt2026-01-01T00:00:00.499Z": true, "_lastUpdated=gt2026-01-01T00:00:00.500Z": false, "_lastUpdated=2026-01-01": true, "_lastUpdated=ge2026": true, "_lastUpdated=lt2026": false,
	})
}

func TestNumbersAndQuantities(t *testing.T) {
	matching(t, `{"resourceType":"Observation","id":"o","valueQuantity":{"value":5.40,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}}`, map[string]bool{
		"value-quantity=5.4": true, "value-quantity=5.40": true, "value-quantity=5": true, "value-quantity=5.400": true, "value-quantity=5.41": false, "value-quantity=54e-1": true, "value-quantity=6": false,
		"value-quantity=5.4|http://unitsofmeasure.org|mg": true, "value-quantity=5.4||mg": true, "value-quantity=5.4||milligram": true, "value-quantity=5.4|http://unitsofmeasure.org|": true,
		"value-quantity=5.4|http://unitsofmeasure.org|g": false, "value-quantity=5.4|urn:x|mg": false,
		"value-quantity=gt5.4": false, "value-quantity=ge5.4": true, "value-quantity=lt5.41": true, "value-quantity=le5.39": false, "value-quantity=ne5.4": false,
		"value-quantity=ap5": true, "value-quantity=ap4.9": false, "value-quantity=ap6": true, "value-quantity=ap6.1": false, "value-quantity=sa5.3": true, "value-quantity=eb5.4": false,
	})
	matching(t, `{"resourceType":"Observation","id":"o","valueQuantity":{"value":5,"comparator":"<"}}`, map[string]bool{
		"value-quantity=5": false, "value-quantity=lt5.1": true, "value-quantity=gt5": false, "value-quantity=lt0": true, "value-quantity=eb5.1": true,
	})
	matching(t, `{"resourceType":"Observation","id":"o","valueQuantity":{"value":-1.50e-3}}`, map[string]bool{
		"value-quantity=-0.0015": true, "value-quantity=-15e-4": true, "value-quantity=lt0": true, "value-quantity=0": true, "value-quantity=0.000": false, "value-quantity=gt-0.002": true,
	})
	matching(t, `{"resourceType":"Observation","id":"o","valueQuantity":{"value":100000000000000000000.1}}`, map[string]bool{
		"value-quantity=gt100000000000000000000": true, "value-quantity=100000000000000000000.0": false, "value-quantity=1e20": true,
	})
	matching(t, `{"resourceType":"RiskAssessment","id":"r","prediction":[{"probabilityRange":{"low":{"value":0.2},"high":{"value":0.4}}},{"probabilityDecimal":0.9}]}`, map[string]bool{
		"probability=gt0.8": true, "probability=gt0.95": false, "probability=0.3": false, "probability=lt0.3": true, "probability=0.9": true,
	})
	matching(t, `{"resourceType":"Invoice","id":"i","totalNet":{"value":12.00,"currency":"EUR"}}`, map[string]bool{
		"totalnet=12": true, "totalnet=12||EUR": true, "totalnet=12|urn:iso:std:iso:4217|EUR": true, "totalnet=12||USD": false,
	})
}

func TestReferences(t *testing.T) {
	matching(t, `{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/1/_history/2","identifier":{"system":"urn:h","value":"77"}},"performer":[{"reference":"https://elsewhere.example/Practitioner/9"},{"identifier":{"value":"88"}},{"reference":"#c"}]}`, map[string]bool{
		"subject=Patient/1": true, "subject=1": true, "patient=1": true, "patient=Patient/1": true, "subject=Group/1": false, "subject:Patient=1": true, "subject:Group=1": false,
		"subject=https://own.example/fhir/Patient/1": true, "subject=https://other.example/fhir/Patient/1": false,
		"performer=https://elsewhere.example/Practitioner/9": true, "performer=Practitioner/9": false, "performer=9": false,
		"subject:identifier=urn:h|77": true, "subject:identifier=78": false, "performer:identifier=88": true, "performer:identifier=|88": true,
		"subject:missing=false": true, "encounter:missing=true": true, "patient=Patient/1/_history/2": true,
	}, search.Base("https://own.example/fhir"))
	matching(t, `{"resourceType":"QuestionnaireResponse","id":"q","questionnaire":"http://x/q|2"}`, map[string]bool{
		"questionnaire=http://x/q": true, "questionnaire=http://x/q|2": true, "questionnaire=http://x/q|3": false,
	})
	matching(t, `{"resourceType":"Patient","id":"p","meta":{"profile":["http://x/p|1"],"source":"urn:s","tag":[{"system":"urn:t","code":"a"}]}}`, map[string]bool{
		"_profile=http://x/p": true, "_profile=http://x": false, "_source=urn:s": true, "_tag=urn:t|a": true, "_tag=b": false, "_security:missing=true": true,
	})
}

func TestComposites(t *testing.T) {
	matching(t, `{"resourceType":"Observation","id":"o","code":{"coding":[{"code":"bp"}]},"component":[
		{"code":{"coding":[{"system":"urn:l","code":"sys"}]},"valueQuantity":{"value":140}},
		{"code":{"coding":[{"system":"urn:l","code":"dia"}]},"valueQuantity":{"value":80}}]}`, map[string]bool{
		"component-code-value-quantity=sys$140": true, "component-code-value-quantity=urn:l|sys$gt130": true, "component-code-value-quantity=sys$80": false,
		"component-code-value-quantity=sys$80,dia$80": true, "combo-code-value-quantity=dia$lt90": true, "code-value-quantity=sys$140": false,
		"component-code=sys": true, "combo-code=bp": true, "combo-code=sys": true, "combo-value-quantity=80": true, "component-code-value-quantity:missing=false": true,
	})
}

// R4's definition has the expressions of the two parts exchanged.
func TestRelatedDocuments(t *testing.T) {
	matching(t, `{"resourceType":"DocumentReference","id":"d","relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/a"}},{"code":"appends","target":{"reference":"DocumentReference/b"}}]}`, map[string]bool{
		"relationship=DocumentReference/a$replaces": true, "relationship=a$replaces": true, "relationship=DocumentReference/a$appends": false, "relationship=b$appends": true, "relationship=replaces$a": false,
	})
}

func TestAboveAndBelow(t *testing.T) {
	matching(t, `{"resourceType":"Patient","id":"p","meta":{"profile":["http://x.test/fhir/StructureDefinition/p|1"],"source":"http://x.test/feeds/lab"}}`, map[string]bool{
		"_source:below=http://x.test/feeds": true, "_source:below=http://x.test/feeds/": true, "_source:below=http://x.test/feeds/lab": true, "_source:below=http://x.test/fe": false, "_source:below=http://x.test/feeds/lab/a": false,
		"_source:above=http://x.test/feeds/lab/a": true, "_source:above=http://x.test/feeds/lab": true, "_source:above=http://x.test/feeds": false, "_source:above=http://x.test/feeds/laboratory": false,
		"_profile:below=http://x.test/fhir": true, "_profile:below=http://y.test,http://x.test": true,
	})
}

func TestTerms(t *testing.T) {
	const clinical, sets = "http://terminology.hl7.org/CodeSystem/condition-clinical|", "http://hl7.org/fhir/ValueSet/"
	matching(t, `{"resourceType":"Condition","id":"c","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"recurrence"}]},"category":[{"text":"x"}]}`, map[string]bool{
		"clinical-status:below=" + clinical + "active": true, "clinical-status:below=active": true, "clinical-status:below=inactive": false,
		"clinical-status:below=inactive,recurrence": true, "clinical-status:above=relapse": false, "clinical-status:above=recurrence": true, "clinical-status:below=" + clinical + "ACTIVE": true,
		"clinical-status:below=" + clinical + "none": false, "clinical-status=active": false,
		"clinical-status:in=" + sets + "condition-clinical": true, "clinical-status:in=" + sets + "condition-clinical|4.0.1": true, "clinical-status:in=ValueSet/condition-clinical": true,
		"clinical-status:in=https://own.example/fhir/ValueSet/condition-clinical": true, "clinical-status:in=" + sets + "condition-ver-status": false, "clinical-status:in=" + sets + "condition-ver-status," + sets + "condition-clinical": true,
		"clinical-status:not-in=" + sets + "condition-clinical": false, "clinical-status:not-in=" + sets + "condition-ver-status": true,
		"category:in=" + sets + "condition-category": false, "category:not-in=" + sets + "condition-category": true,
		"verification-status:not-in=" + sets + "condition-ver-status": true, "verification-status:in=" + sets + "condition-ver-status": false, // without a value, as :not has it
	}, search.Base("https://own.example/fhir"))
	matching(t, `{"resourceType":"Encounter","id":"e","status":"arrived","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"ACUTE"}}`, map[string]bool{
		"status:in=" + sets + "encounter-status": true, "status:in=" + sets + "observation-status": false, "status:below=arrived": true, // a code by its binding
		"class:below=http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP": true, "class:below=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB": false,
		"class:in=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode": true,
	})
	matching(t, `{"resourceType":"Observation","id":"o","code":{"coding":[{"system":"urn:x","code":"8867-4"},{"code":"8480-6"},{"system":"http://loinc.org"}]}}`, map[string]bool{
		"code:in=" + sets + "observation-vitalsignresult": false, "code:not-in=" + sets + "observation-vitalsignresult": true, // of no system, of another
	})
	x := indexOf(t, ann, child, panel, `{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/ann"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"relapse"}]}}`)
	for raw, want := range map[string]string{
		"Patient?_has:Condition:patient:clinical-status:below=active": "Patient/ann", "Patient?_has:Condition:patient:clinical-status:below=inactive": "",
		"Condition?subject:Patient.gender:not-in=" + sets + "administrative-gender": "Condition/c", "Condition?subject:Patient.gender:in=" + sets + "administrative-gender": "",
	} {
		typ, rest, _ := strings.Cut(raw, "?")
		if got := ids(x.Run(query(t, typ, rest)).Matches); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

// Some of R4's expressions end at an extension, and mean its value.
func TestValuesOfExtensions(t *testing.T) {
	matching(t, `{"resourceType":"Patient","id":"p","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-extensions-Patient-mothersMaidenName","valueString":"Oak"},{"url":"urn:other","valueString":"Elm"}]}`, map[string]bool{
		"mothersMaidenName=oak": true, "mothersMaidenName=elm": false, "mothersMaidenName:missing=false": true,
	})
}

func TestIdentifiersOfAType(t *testing.T) {
	matching(t, `{"resourceType":"Patient","id":"p","identifier":[{"type":{"coding":[{"system":"urn:t","code":"MR"}]},"system":"urn:s","value":"12-a"},{"type":{"coding":[{"system":"urn:t","code":"SS"}]},"value":"7"}]}`, map[string]bool{
		"identifier:of-type=urn:t|MR|12-a": true, "identifier:of-type=urn:t|mr|12-A": true, "identifier:of-type=urn:t|MR|7": false, "identifier:of-type=urn:s|MR|12-a": false, "identifier:of-type=urn:t|SS|7,urn:t|SS|8": true,
	})
}

func TestWords(t *testing.T) {
	matching(t, `{"resourceType":"Observation","id":"o","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p class=\"hidden\">Os&#233;ous met<b>astases</b> &amp; liver-cells</p></div>"},
		"status":"final","note":[{"text":"Seen by the team, twice"}],"valueAttachment":{"data":"c2VjcmV0","title":"CT chest"}}`, map[string]bool{
		"_text=oseous": true, "_text=OSÉOUS liver": true, "_text=hidden": false, "_text=team": false, "_text=(bone OR liver) and cells": true, "_text=bone OR kidney": false,
		"_text=liver-cells": true, "_text=\"cells liver\"": false, "_text=\"liver cells\"": true, "_text=live": false, "_text=live*": true, "_text=liver NOT kidney": true, "_text=NOT liver": false, "_text=kidney,liver": true,
		"_content=team": true, "_content=\"the team\"": true, "_content=final chest": true, "_content=oseous": true, "_content=\"twice CT\"": false, "_content=c2VjcmV0": false, "_content=wings": false,
	})
	x := indexOf(t, `{"resourceType":"Binary","id":"b","contentType":"text/plain","data":"c2VjcmV0"}`)
	if x.Count(query(t, "Binary", "_text=x")) != 0 || x.Count(query(t, "Binary", "_content=plain")) != 1 {
		t.Error("a resource without narrative")
	}
}

// A List is followed as any reference is: inside what is shown.
func TestLists(t *testing.T) {
	x := indexOf(t, ann, child, panel, `{"resourceType":"List","id":"mine","status":"current","mode":"working","entry":[{"item":{"reference":"Observation/child"}},{"item":{"reference":"Observation/gone"}},{"item":{"reference":"Patient/ann"}}]}`)
	for raw, want := range map[string]string{
		"Observation?_list=mine": "Observation/child", "Observation?_list=List/mine": "Observation/child", "Observation?_list=other,mine&status=amended": "Observation/child",
		"Observation?_list=other": "", "Patient?_list=mine": "Patient/ann", "Observation?patient._list=mine": "Observation/child Observation/panel",
	} {
		typ, rest, _ := strings.Cut(raw, "?")
		if got := ids(x.Run(query(t, typ, rest)).Matches); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

const (
	ann    = `{"resourceType":"Patient","id":"ann","name":[{"family":"A"}],"managingOrganization":{"reference":"Organization/org"}}`
	bob    = `{"resourceType":"Patient","id":"bob","name":[{"family":"B"}],"link":[{"other":{"reference":"Patient/ann"},"type":"seealso"}]}`
	org    = `{"resourceType":"Organization","id":"org","name":"North","partOf":{"reference":"Organization/top"}}`
	top    = `{"resourceType":"Organization","id":"top","name":"Top"}`
	visit  = `{"resourceType":"Encounter","id":"visit","status":"finished","subject":{"reference":"Patient/ann"}}`
	panel  = `{"resourceType":"Observation","id":"panel","status":"final","subject":{"reference":"Patient/ann"},"encounter":{"reference":"Encounter/visit"},"hasMember":[{"reference":"Observation/child"},{"reference":"Observation/gone"}]}`
	child  = `{"resourceType":"Observation","id":"child","status":"amended","subject":{"reference":"Patient/ann"}}`
	lonely = `{"resourceType":"Observation","id":"lonely","status":"final","subject":{"reference":"Patient/absent"}}`
	proof  = `{"resourceType":"Provenance","id":"proof","target":[{"reference":"Observation/panel"}],"agent":[{"who":{"reference":"Organization/org"}}]}`
	proof2 = `{"resourceType":"Provenance","id":"proof2","target":[{"reference":"Provenance/proof"}]}`
)

func TestChainsAndReverseChains(t *testing.T) {
	x := indexOf(t, ann, bob, org, top, visit, panel, child, lonely, proof, proof2)
	for raw, want := range map[string]string{
		"Observation?patient.family=a":                                                   "Observation/child Observation/panel",
		"Observation?subject:Patient.family=a":                                           "Observation/child Observation/panel",
		"Observation?subject.family=b":                                                   "",
		"Observation?encounter.status=finished":                                          "Observation/panel",
		"Observation?encounter.patient.organization.name=nor":                            "Observation/panel",
		"Observation?patient.organization.partof.name=top":                               "Observation/child Observation/panel",
		"Observation?patient._id=absent":                                                 "", // a chain sees only what is in the index
		"Observation?patient=absent":                                                     "Observation/lonely",
		"Observation?patient.family:missing=false":                                       "Observation/child Observation/panel",
		"Patient?_has:Observation:patient:status=amended":                                "Patient/ann",
		"Patient?_has:Observation:patient:status=registered":                             "",
		"Patient?_has:Observation:patient:_has:Provenance:target:agent=Organization/org": "Patient/ann",
		"Organization?_has:Patient:organization:_has:Observation:patient:status=final":   "Organization/org",
		"Organization?_has:Patient:organization:_has:Observation:patient:status=x":       "",
		"Patient?_has:Observation:patient:encounter.status=finished":                     "Patient/ann",
		"Patient?_has:Patient:link:family=b":                                             "Patient/ann",
		"Encounter?_has:Observation:encounter:code:missing=true":                         "Encounter/visit",
	} {
		typ, rest, _ := strings.Cut(raw, "?")
		if got := ids(x.Run(query(t, typ, rest)).Matches); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

func TestIncludes(t *testing.T) {
	x := indexOf(t, ann, bob, org, top, visit, panel, child, lonely, proof, proof2)
	for raw, want := range map[string]string{
		"Observation?_id=panel":                              "",
		"Observation?_id=panel&_include=Observation:patient": "Patient/ann",
		"Observation?_id=panel&_include=Observation:subject:Patient&_include=Observation:encounter":                "Encounter/visit Patient/ann",
		"Observation?_id=panel&_include=Observation:subject:Group":                                                 "",
		"Observation?_id=panel&_include=Observation:has-member":                                                    "Observation/child",
		"Observation?_id=panel,child&_include=Observation:has-member":                                              "", // on the page already
		"Observation?_id=panel&_include=Observation:*":                                                             "Encounter/visit Observation/child Patient/ann",
		"Observation?_id=panel&_include=*":                                                                         "Encounter/visit Observation/child Patient/ann",
		"Observation?_id=panel&_include=Encounter:patient":                                                         "",
		"Observation?_id=panel&_include=Observation:encounter&_include:iterate=Encounter:patient":                  "Encounter/visit Patient/ann",
		"Patient?_id=bob&_include=Patient:organization&_include:iterate=Organization:partof":                       "",
		"Patient?_id=ann&_include=Patient:organization&_include=Organization:partof":                               "Organization/org",
		"Patient?_id=ann&_include=Patient:organization&_include:iterate=Organization:partof":                       "Organization/org Organization/top",
		"Observation?_id=panel&_revinclude=Provenance:target":                                                      "Provenance/proof",
		"Observation?_id=panel&_revinclude:iterate=Provenance:target":                                              "Provenance/proof Provenance/proof2",
		"Observation?_id=panel&_revinclude=Provenance:*":                                                           "Provenance/proof",
		"Patient?_id=ann&_revinclude=*":                                                                            "Encounter/visit Observation/child Observation/panel Patient/bob",
		"Patient?_id=ann&_revinclude=Observation:patient&_revinclude:iterate=Provenance:target&_include:iterate=*": "Encounter/visit Observation/child Observation/panel Organization/org Organization/top Provenance/proof Provenance/proof2",
		"Patient?_id=ann&_revinclude=Observation:subject:Group":                                                    "",
		"Patient?_id=nobody&_include=*&_revinclude=*":                                                              "",
	} {
		typ, rest, _ := strings.Cut(raw, "?")
		q := query(t, typ, rest)
		if got := ids(x.Run(q).Includes); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
		if q.Included() != strings.Contains(raw, "include") {
			t.Errorf("%s: Included is %v", raw, q.Included())
		}
	}
	q := query(t, "Observation", "_include=Observation:patient")
	page := x.Matches(q)[1:2] // lonely, whose patient is not there
	if got := x.Include(q, page, func(item) bool { return true }); len(got) != 0 {
		t.Errorf("a page's includes are not of other pages: %s", ids(got))
	}
}

func TestOrder(t *testing.T) {
	x := indexOf(t,
		`{"resourceType":"Observation","id":"c","effectiveDateTime":"2026-01-02","status":"final"}`,
		`{"resourceType":"Observation","id":"a","effectiveDateTime":"2026-01-02","status":"amended"}`,
		`{"resourceType":"Observation","id":"d","effectivePeriod":{"end":"2025"},"status":"final","valueQuantity":{"value":10}}`,
		`{"resourceType":"Observation","id":"b","status":"final","valueQuantity":{"value":9.5}}`,
		`{"resourceType":"Observation","id":"e","effectiveDateTime":"2026-01-01T23:00:00-05:00","status":"final"}`)
	for sort, want := range map[string]string{
		"":                     "a b c d e",
		"_sort=date":           "d a c e b", // by what they begin with; those without a value last
		"_sort=-date":          "e a c d b",
		"_sort=-date,-_id":     "e c a d b",
		"_sort=status,-date":   "a e c d b",
		"_sort=value-quantity": "b d a c e",
		"_sort=-_id":           "e d c b a",
	} {
		var got []string
		for _, m := range x.Run(query(t, "Observation", sort)).Matches {
			got = append(got, m.r.ID())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: got %s, want %s", sort, s, want)
		}
	}
}

func TestPage(t *testing.T) {
	x := indexOf(t, ann, bob, panel, child, lonely)
	q := query(t, "Observation", "_sort=-status")
	for _, tt := range []struct {
		from, to int
		want     string
	}{{0, 2, "Observation/lonely Observation/panel"}, {2, 4, "Observation/child"}, {-1, 1, "Observation/lonely"}, {3, 9, ""}, {9, 3, ""}} {
		page, total := x.Page(q, tt.from, tt.to)
		if got := ids(page); got != tt.want || total != 3 {
			t.Errorf("%d to %d: got %q of %d, want %q of 3", tt.from, tt.to, got, total, tt.want)
		}
	}
	if page, total := x.Page(query(t, "Encounter", ""), 0, 9); page != nil || total != 0 {
		t.Error("a page of a type that is not there")
	}
}

func TestIndex(t *testing.T) {
	x := indexOf(t, panel, ann, child, strings.Replace(ann, `"A"`, `"twice"`, 1))
	if got := ids(x.All()); got != "Observation/child Observation/panel Patient/ann" || x.Len() != 3 {
		t.Errorf("All: %s", got)
	}
	if got := ids(x.Of("Observation")); got != "Observation/child Observation/panel" || x.Of("Encounter") != nil {
		t.Errorf("Of: %s", got)
	}
	if got, ok := x.Get(fhir.Ref{Type: "Patient", ID: "ann"}); !ok || !strings.Contains(string(got.r.JSON()), `"A"`) {
		t.Error("of two with one id the first counts")
	}
	if _, ok := x.Get(fhir.Ref{Type: "Patient", ID: "x"}); ok {
		t.Error("Get found what is not there")
	}
	if r := search.NewIndex[item](nil).Run(query(t, "Patient", "name=x&_include=*")); r.Matches != nil || r.Includes != nil {
		t.Error("an empty index found something")
	}
}

func TestProject(t *testing.T) {
	const whole = `{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"x"}]},"implicitRules":"http://r","text":{"status":"generated","div":"<div/>"},"status":"final","code":{"coding":[{"system":"s","code":"c","extension":[{"url":"u","valueCode":"v"}]}],"text":"t"},"subject":{"reference":"Patient/1"},"valueQuantity":{"value":1.00E+2},"note":[{"text":"n"}],"referenceRange":[{"text":"r"}]}`
	meta := `"meta":{"versionId":"1","tag":[{"code":"x"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}`
	for raw, want := range map[string]string{
		"":                       whole,
		"_summary=false":         whole,
		"_summary=count":         whole,
		"_elements=value":        `{"resourceType":"Observation","id":"o",` + meta + `,"implicitRules":"http://r","status":"final","code":{"coding":[{"system":"s","code":"c","extension":[{"url":"u","valueCode":"v"}]}],"text":"t"},"valueQuantity":{"value":1.00E+2}}`,
		"_summary=text":          `{"resourceType":"Observation","id":"o",` + meta + `,"implicitRules":"http://r","text":{"status":"generated","div":"<div/>"},"status":"final","code":{"coding":[{"system":"s","code":"c","extension":[{"url":"u","valueCode":"v"}]}],"text":"t"}}`,
		"_summary=data":          strings.Replace(strings.Replace(whole, `"meta":{"versionId":"1","tag":[{"code":"x"}]}`, meta, 1), `"text":{"status":"generated","div":"<div/>"},`, "", 1),
		"_summary=true":          `{"resourceType":"Observation","id":"o",` + meta + `,"implicitRules":"http://r","status":"final","code":{"coding":[{"system":"s","code":"c"}],"text":"t"},"subject":{"reference":"Patient/1"},"valueQuantity":{"value":1.00E+2}}`,
		"_elements=subject,note": `{"resourceType":"Observation","id":"o",` + meta + `,"implicitRules":"http://r","status":"final","code":{"coding":[{"system":"s","code":"c","extension":[{"url":"u","valueCode":"v"}]}],"text":"t"},"subject":{"reference":"Patient/1"},"note":[{"text":"n"}]}`,
	} {
		r, err := query(t, "Observation", raw).Project(parse(t, whole))
		if err != nil || string(r.JSON()) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", raw, err, r.JSON(), want)
		}
		if again, err := query(t, "Observation", raw).Project(r); err != nil || string(again.JSON()) != want {
			t.Errorf("%s twice is not once", raw)
		}
	}
	other := parse(t, `{"resourceType":"Patient","id":"p","photo":[{"title":"x"}],"_birthDate":{"id":"b"}}`)
	if r, err := query(t, "Observation", "_elements=code").Project(other); err != nil || string(r.JSON()) != string(other.JSON()) {
		t.Errorf("an include is not cut by _elements of another type: %s", r.JSON())
	}
	want := `{"resourceType":"Patient","id":"p","_birthDate":{"id":"b"},"meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}}`
	if r, err := query(t, "Observation", "_summary=true").Project(other); err != nil || string(r.JSON()) != want {
		t.Errorf("an include is summarised: %s", r.JSON())
	}
}

// What is advertised compiles; what is not is listed here with its reason.
func TestEveryOfficialParameterIsAnsweredOrListed(t *testing.T) {
	unanswered := map[string]string{
		"_query": "no named queries", "_filter": "no filter language",
		"age": "no expression", "birthOrderBoolean": "no expression",
		// the resource itself, not a reference to it
		"composition": "no values that can be compared", "message": "no values that can be compared",
		// %resource in a component
		"chromosome-variant-coordinate": "no path", "referenceseqid-variant-coordinate": "no path",
	}
	for _, typ := range search.Types() {
		for code, why := range search.Unsupported(typ) {
			if want, listed := unanswered[code]; !listed || !strings.Contains(why, want) {
				t.Errorf("%s?%s: %s", typ, code, why)
			}
		}
		if len(search.Params(typ)) < 6 {
			t.Errorf("%s has no parameters", typ)
		}
	}
	official := map[string]bool{}
	for _, p := range search.Definitions() {
		for _, base := range p.Base {
			official[base+"?"+p.Code] = true
		}
	}
	for _, typ := range search.Types() {
		for _, p := range search.Params(typ) {
			if !official[typ+"?"+p.Name] && !official["Resource?"+p.Name] && !official["DomainResource?"+p.Name] && p.Name != "_list" {
				t.Errorf("%s?%s is not official", typ, p.Name)
			}
			if in := typ + ":" + p.Name; len(p.Target) == 0 && slices.Contains(search.Includes(typ), in) {
				t.Errorf("%s leads nowhere", in)
			}
		}
	}
	if got := search.RevIncludes("Encounter", "Observation"); fmt.Sprint(got) != "[Observation:encounter Observation:focus]" {
		t.Errorf("RevIncludes: %v", got)
	}
	if got := search.Includes("RelatedPerson"); fmt.Sprint(got) != "[RelatedPerson:patient]" {
		t.Errorf("Includes: %v", got)
	}
}

// Every parameter reads every official example of its type; the two sides of
// :missing come to all of them, and most parameters find a value in some.
func TestParametersReadTheOfficialExamples(t *testing.T) {
	var items []item
	for _, line := range corpus.Lines(t, "../fhir/r4def/testdata/examples.ndjson.gz") {
		items = append(items, item{parse(t, string(line))})
	}
	index := search.NewIndex(items)
	found := map[string]bool{}
	for _, typ := range search.Types() {
		n := len(index.Of(typ))
		for _, p := range search.Params(typ) {
			if !slices.Contains(p.Modifiers, "missing") {
				continue
			}
			with := index.Count(query(t, typ, p.Name+":missing=false"))
			without := index.Count(query(t, typ, p.Name+":missing=true"))
			if with+without != n {
				t.Errorf("%s?%s: %d and %d are not %d", typ, p.Name, with, without, n)
			}
			found[p.Type] = found[p.Type] || with > 0
			if p.Type != "composite" && p.Type != "special" {
				for _, s := range []string{"_sort=" + p.Name, "_sort=-" + p.Name} {
					if got := len(index.Matches(query(t, typ, s))); got != n {
						t.Errorf("%s?%s: %d of %d", typ, s, got, n)
					}
				}
			}
		}
	}
	if got := slices.Sorted(maps.Keys(found)); len(got) != 9 || slices.Contains(slices.Collect(maps.Values(found)), false) {
		t.Errorf("kinds with values: %v", found)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "Émile  LE Fèvre ": "emile le fevre", " a\t b\n": "a b", "STRAẞE Ærø Øre Łódź": "strasse aero ore lodz",
		"ﬁn": "fin", "İstanbul": "istanbul", "Ｗ": "w", "O'Brien-Smith": "o'brien-smith", "東京": "東京",
	} {
		if got := search.Fold(in); got != want {
			t.Errorf("Fold(%q) is %q, want %q", in, got, want)
		}
		if got := search.Fold(search.Fold(in)); got != search.Fold(in) {
			t.Errorf("folding %q twice is not once", in)
		}
	}
}

func benchIndex(b *testing.B, n int) *search.Index[item] {
	var items []item
	for i := range n {
		items = append(items, item{parse(b, fmt.Sprintf(`{"resourceType":"Observation","id":"abcdefghijklmnop-%08d","meta":{"versionId":"0123456789abcdef","lastUpdated":"2026-01-02T03:04:05.678Z"},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"%d-1","display":"Something measured"}],"text":"Something measured"},"subject":{"reference":"Patient/abcdefghijklmnop"},"encounter":{"reference":"Encounter/abcdefghijklmnop-%d"},"effectiveDateTime":"20%02d-%02d-%02dT03:04:05+01:00","valueQuantity":{"value":13.50,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},"referenceRange":[{"text":"12-16"}]}`,
			i, i%(n/50), i%20, i%26, i%12+1, i%28+1))})
	}
	return search.NewIndex(items)
}

func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{500, 10_000} {
		index := benchIndex(b, n)
		for _, raw := range []string{"patient=abcdefghijklmnop&code=http://loinc.org|3-1&_sort=-date", "patient=abcdefghijklmnop&_sort=-date", "patient=abcdefghijklmnop&date=ge2024-01-01", "patient=abcdefghijklmnop&code:text=some"} {
			b.Run(fmt.Sprintf("%d/%s", n, raw), func(b *testing.B) {
				q := query(b, "Observation", raw)
				for b.Loop() {
					index.Page(q, 0, 50)
				}
			})
		}
	}
}

func BenchmarkFirstSearch(b *testing.B) {
	index := benchIndex(b, 10_000)
	items := index.All()
	q := query(b, "Observation", "patient=abcdefghijklmnop&code=http://loinc.org|3-1&_sort=-date")
	for b.Loop() {
		search.NewIndex(items).Matches(q)
	}
}

func BenchmarkParseQuery(b *testing.B) {
	for b.Loop() {
		query(b, "Observation", "patient=abcdefghijklmnop&code=http://loinc.org|3-1&_sort=-date")
	}
}
