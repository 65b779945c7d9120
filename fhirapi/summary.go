package fhirapi

import (
	"crypto/sha256"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
)

const summaryPath = `/{type:Patient}/{id:[A-Za-z0-9\-.]{1,64}}/$summary`

// summarySection is a section of the International Patient Summary: the searches
// in the patient's record that fill it.
type summarySection struct {
	code, display, title string // of LOINC
	required             bool
	of                   []summarySearch
}

type summarySearch struct {
	typ, query string
	newest     bool // of each code only
}

// summarySections are those of IPS 1.1 that the record can fill. What a source
// says no status of counts as current.
var summarySections = []summarySection{
	{"11450-4", "Problem list - Reported", "Problems", true, []summarySearch{
		{"Condition", "clinical-status:not=inactive,resolved,remission&verification-status:not=entered-in-error,refuted", false}}},
	{"48765-2", "Allergies and adverse reactions Document", "Allergies and Intolerances", true, []summarySearch{
		{"AllergyIntolerance", "clinical-status:not=inactive,resolved&verification-status:not=entered-in-error,refuted", false}}},
	{"10160-0", "History of Medication use Narrative", "Medications", true, []summarySearch{
		{"MedicationStatement", "status=active,intended,on-hold,unknown", false}, {"MedicationRequest", "status=active,on-hold", false}}},
	{"11369-6", "History of Immunization Narrative", "Immunizations", false, []summarySearch{{"Immunization", "status=completed", false}}},
	{"30954-2", "Relevant diagnostic tests/laboratory data Narrative", "Results", false, []summarySearch{
		{"Observation", "category:not=vital-signs,social-history&status=final,amended,corrected", true}}},
	{"47519-4", "History of Procedures Document", "Procedures", false, []summarySearch{{"Procedure", "status:not=entered-in-error,not-done,preparation", false}}},
	{"46264-8", "History of medical device use", "Devices", false, []summarySearch{{"DeviceUseStatement", "", false}}},
	{"8716-3", "Vital signs", "Vital Signs", false, []summarySearch{{"Observation", "category=vital-signs&status=final,amended,corrected", true}}},
	{"11348-0", "History of Past illness Narrative", "Past Illnesses", false, []summarySearch{
		{"Condition", "clinical-status=inactive,resolved,remission&verification-status:not=entered-in-error,refuted", false}}},
	{"18776-5", "Plan of care note", "Plan of Care", false, []summarySearch{{"CarePlan", "status=active,on-hold", false}}},
}

// emptySection is what a required section says that has nothing to show. It is the
// same whatever the reason: "nilknown" would be untrue of what is withheld, and
// "withheld" would tell of it.
var emptySection = object{
	"coding": []object{{"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "unavailable", "display": "Unavailable"}},
	"text":   "There is nothing here to show.",
}

// summary is $summary: what the caller may see of a patient's record as an
// International Patient Summary. It is a function of what is shown: its date is
// when the last of that was recorded, its identifier a hash of it.
//
// Source: IPS 1.1, Composition and Bundle, operation summary.
func (a *api) summary(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	if _, _, err := given(r); err != nil {
		return err
	}
	ref := target(r)
	patient, err := a.Reader.Get(r.Context(), a.ask(r, c, "Patient $summary"), ref)
	if err != nil {
		return err
	}
	s := summing{api: a, r: r, c: c, patient: ref, shown: map[fhir.Ref]bool{}}
	s.add(patient)
	var sections []object
	for _, of := range summarySections {
		entries, err := s.entries(of)
		if err != nil {
			return err
		}
		if len(entries) == 0 && !of.required {
			continue
		}
		section := object{"title": of.title, "code": loinc(of.code, of.display)}
		words := "<p>There is nothing here to show.</p>"
		if len(entries) == 0 {
			section["emptyReason"] = emptySection
		} else {
			var refs []object
			words = ""
			for _, e := range entries {
				refs = append(refs, object{"reference": a.Base + "/" + e.Ref().String()})
				words += "<li>" + html.EscapeString(inWords(e.Resource())) + "</li>"
			}
			section["entry"], words = refs, "<ul>"+words+"</ul>"
		}
		section["text"] = object{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml">` + words + "</div>"}
		sections = append(sections, section)
	}
	for _, x := range s.named {
		s.add(x)
	}
	all := s.all
	var at time.Time
	hash := sha256.New()
	for _, x := range all {
		fmt.Fprintln(hash, x.Ref(), x.VersionID())
		if x.Recorded().After(at) {
			at = x.Recorded()
		}
	}
	sum := hash.Sum(nil)
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562 version 8
	id := fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	composition, err := made(object{
		"resourceType": "Composition", "status": "final", "type": loinc("60591-5", "Patient summary Document"), "title": "Patient Summary",
		"meta":      object{"profile": []string{"http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"}},
		"subject":   object{"reference": a.Base + "/" + ref.String()},
		"date":      instant(at),
		"contained": []object{{"resourceType": "Device", "id": "gateway", "deviceName": []object{{"name": "Firebreak", "type": "manufacturer-name"}}}},
		"author":    []object{{"reference": "#gateway"}},
		"section":   sections,
	})
	if err != nil {
		return err
	}
	b := newBundle("document")
	b.document(id, instant(at))
	b.whole(id, composition)
	for _, x := range all {
		b.resource(a.Base, x.Resource())
		b.b.WriteByte('}')
	}
	return b.send(w, r)
}

func loinc(code, display string) object {
	return object{"coding": []object{{"system": "http://loinc.org", "code": code, "display": display}}}
}

// summing gathers what a summary shows: entries of sections, and what they name.
type summing struct {
	*api
	r          *http.Request
	c          access.Caller
	patient    fhir.Ref
	all, named []policy.Released // entries; what they name, which may be an entry too
	shown      map[fhir.Ref]bool // of all
}

func (s *summing) add(x policy.Released) {
	if !s.shown[x.Ref()] {
		s.shown[x.Ref()] = true
		s.all = append(s.all, x)
	}
}

// entries are what stands in one section.
func (s *summing) entries(of summarySection) (found []policy.Released, err error) {
	for _, by := range of.of {
		if s.c.May(auth.Search, by.typ) == auth.Nothing {
			continue
		}
		v, err := url.ParseQuery(by.query)
		if err != nil {
			return nil, err
		}
		v.Set("patient", s.patient.String())
		v.Set("_include", "*")
		v.Set("_count", "500")
		options := []search.Option{search.Base(s.Base), search.At(s.Now())}
		if by.newest {
			options = append(options, search.Latest("code", 1))
		}
		q, err := search.ParseQuery(by.typ, v, options...)
		if err != nil {
			return nil, err
		}
		for cursor := ""; ; {
			page, err := s.Reader.Search(s.r.Context(), s.ask(s.r, s.c, "Patient $summary "+by.typ), q, cursor)
			if err != nil {
				return nil, err
			}
			for _, x := range page.Matches {
				if !x.Content().Get("status").Is("entered-in-error") { // R4 cannot search all types by it
					found = append(found, x)
				}
			}
			s.named = append(s.named, page.Includes...)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	for _, x := range found {
		s.add(x)
	}
	return found, nil
}

// inWords says in a line what an entry is: what it is about, its value and its date.
func inWords(r fhir.Resource) string {
	var words []string
	say := func(paths ...string) {
		for _, path := range paths {
			if text := r.Root().At(path).Text(); text != "" {
				words = append(words, text)
				return
			}
		}
	}
	say("code.text", "code.coding.display", "medicationCodeableConcept.text", "medicationCodeableConcept.coding.display", "medicationReference.display",
		"vaccineCode.text", "vaccineCode.coding.display", "device.display", "title", "description", "code.coding.code", "medicationCodeableConcept.coding.code", "vaccineCode.coding.code")
	if words == nil {
		words = []string{r.Type()}
	}
	say("valueQuantity.value", "valueString", "valueCodeableConcept.text", "valueCodeableConcept.coding.display", "valueInteger", "valueDateTime")
	say("valueQuantity.unit", "valueQuantity.code")
	say("effectiveDateTime", "effectivePeriod.start", "onsetDateTime", "onsetPeriod.start", "performedDateTime", "performedPeriod.start", "occurrenceDateTime", "authoredOn", "recordedDate", "recordedOn", "period.start")
	return strings.Join(words, " ")
}
