package label

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
)

// judge is the work on one resource: a walk over every element that may hold
// words, codes or files.
type judge struct {
	rules   *Rules
	typ     string
	inside  string // type of the contained resource being read, "" for none
	path    []step
	labels  []Label
	reasons []Reason
	named   bool // has the code that says what it is about
	known   bool // that code, or its name, is one we can judge
	neutral bool // its name says nothing
	words   string
}

type step struct {
	name  string
	index int // -1: not in an array
}

// about names the element whose code says what a resource is about. A resource
// of these types with a code nobody knows is unclassified.
var about = map[string][]string{
	"Observation": {"code"}, "DiagnosticReport": {"code"}, "ServiceRequest": {"code"}, "Condition": {"code"}, "Procedure": {"code"},
	"DocumentReference": {"type"}, "Composition": {"type"}, "AllergyIntolerance": {"code"}, "Medication": {"code"},
	"MedicationRequest": {"medicationCodeableConcept", "medicationReference"}, "MedicationStatement": {"medicationCodeableConcept", "medicationReference"},
	"MedicationAdministration": {"medicationCodeableConcept", "medicationReference"}, "MedicationDispense": {"medicationCodeableConcept", "medicationReference"},
	"FamilyMemberHistory": {"condition"}, "RiskAssessment": {"code"}, "DetectedIssue": {"code"}, "ClinicalImpression": {"code"}, "DeviceRequest": {"codeCodeableConcept", "codeReference"}, "ChargeItem": {"code"},
}

// codeIs is the kind of place that an element "code" is, by type of resource.
var codeIs = map[string]where{
	"Condition": inDiagnosis, "Procedure": inProcedure, "ChargeItem": inProcedure, "Medication": inMedication, "AllergyIntolerance": inAllergy,
	"FamilyMemberHistory": inDiagnosis, "ClinicalImpression": inDiagnosis,
}

// placeOf is the kind of place that an element is, by its name. What is not
// named here is of its parent's kind.
var placeOf = map[string]where{
	"vaccineCode": inVaccine, "medicationCodeableConcept": inMedication, "ingredient": inMedication, "medicationReference": inMedication, "productCodeableConcept": inMedication,
	"substance": inAllergy, "manifestation": inDiagnosis, "reasonCode": inDiagnosis, "reason": inDiagnosis, "reasonReference": inDiagnosis,
	"diagnosis": inDiagnosis, "conclusionCode": inDiagnosis, "evidence": inDiagnosis, "condition": inDiagnosis, "outcome": inDiagnosis, "indication": inDiagnosis,
	"valueCodeableConcept": inValue, "valueString": inValue, "interpretation": inValue, "answer": inValue, "valueCoding": inValue, "dataAbsentReason": inValue,
	"note": inNote, "div": inNote, "conclusion": inNote, "comment": inNote, "comments": inNote, "description": inNote, "payload": inNote, "contentString": inNote,
	"patientInstruction": inNote, "details": inNote, "summary": inNote, "definition": inNote, "reaction": inNote, "referenceRange": inValue,
	"title": inTitle, "type": inTitle, "category": inTitle, "section": inTitle, "topic": inTitle,
	"performer": inPlace, "requester": inPlace, "author": inPlace, "participant": inPlace, "location": inPlace, "serviceProvider": inPlace, "custodian": inPlace,
	"serviceType": inPlace, "specialty": inPlace, "serviceCategory": inPlace, "managingOrganization": inPlace, "organization": inPlace, "resultsInterpreter": inPlace, "assigner": inPlace, "payor": inPlace, "department": inPlace, "hospitalization": inPlace, "generalPractitioner": inPlace, "name": inPlace, "alias": inPlace, "asserter": inPlace, "recorder": inPlace, "sender": inPlace, "recipient": inPlace, "owner": inPlace, "actor": inPlace, "provider": inPlace, "authenticator": inPlace, "agent": inPlace, "who": inPlace,
	"specimen": inSpecimen, "collection": inSpecimen, "bodySite": inSpecimen, "method": inSpecimen, "device": inOther,
	"extension": inOther, "modifierExtension": inOther, "code": inTest, "orderDetail": inTest, "component": inTest, "procedureCode": inProcedure, "focus": inOther, "item": inTest, "content": inTitle, "coverage": inOther, "class": inTitle,
}

// silent elements hold ids, addresses, states and the like, and no words of
// clinicians; their strings are not read.
var silent = map[string]bool{
	"resourceType": true, "id": true, "reference": true, "system": true, "status": true, "intent": true, "use": true, "versionId": true,
	"lastUpdated": true, "contentType": true, "language": true, "hash": true, "size": true, "mode": true, "unit": true, "linkId": true, "gender": true, "birthDate": true,
	"telecom": true, "address": true, "photo": true, "period": true, "implicitRules": true, "instantiates": true, "instantiatesCanonical": true, "source": true, "priority": true, "fullUrl": true,
}

// persons hold names, which no rule should read.
var persons = map[string]bool{"Patient": true, "RelatedPerson": true, "Person": true}

func (j *judge) run(res fhir.Resource) {
	j.typ = res.Type()
	j.object(res.Root(), inOther)
	if j.typ == "Binary" {
		j.attachment(res.Root())
	}
}

// element is what is known of elements of one name.
type element struct {
	silent bool
	place  where // 0: its parent's
}

var elements = func() map[string]element {
	m := map[string]element{}
	for name, place := range placeOf {
		m[name] = element{place: place}
	}
	for name := range silent {
		m[name] = element{silent: true, place: m[name].place}
	}
	return m
}()

// object walks the members of an object that is of kind in.
func (j *judge) object(n fhir.Node, in where) {
	depth := len(j.path)
	person := depth <= 1 && persons[j.kind()]
	for name, v := range n.Members() {
		primitive := len(name) > 0 && name[0] == '_' // its extensions
		if primitive {
			name = name[1:]
		}
		el := elements[name]
		if el.silent && !primitive {
			continue
		}
		if person && (name == "name" || name == "contact" || name == "link" || name == "communication" || name == "maritalStatus") {
			continue
		}
		at := in
		if el.place != 0 && !(in == inVaccine && el.place != inNote) {
			at = el.place
			if name == "code" {
				if p, ok := codeIs[j.kind()]; ok {
					at = p
				}
			}
			if (name == "name" || name == "item" || name == "type" || name == "code" || name == "class") && depth > 0 && !(depth == 1 && j.inside != "") {
				at = in
			}
			if name == "name" && j.kind() == "Practitioner" {
				at = inPerson
			}
		}
		if depth == 0 && name == "contained" {
			at = inOther
		}
		j.path = append(j.path, step{name, -1})
		if v.Kind() == '[' {
			i := 0
			for item := range v.Items() {
				j.path[depth].index = i
				j.value(name, item, at)
				i++
			}
		} else {
			j.value(name, v, at)
		}
		j.path = j.path[:depth]
	}
}

// kind is the type of the resource being read, contained or not.
func (j *judge) kind() string {
	if j.inside != "" {
		return j.inside
	}
	return j.typ
}

// form tells what kind of datatype an object is, by the members it has; it is
// read in one pass.
type form struct {
	coding, value                        bool
	code, reference, display, file, text bool // strings
}

func formOf(v fhir.Node) (s form) {
	for name, x := range v.Members() {
		str := x.Kind() == '"'
		switch name {
		case "coding":
			s.coding = true
		case "value":
			s.value = true
		case "code":
			s.code = str
		case "reference":
			s.reference = str
		case "display":
			s.display = str
		case "contentType", "data":
			s.file = s.file || str
		case "text":
			s.text = str
		}
	}
	return s
}

// value walks one value of the member name.
func (j *judge) value(name string, v fhir.Node, in where) {
	switch v.Kind() {
	case '"':
		j.str(name, v, in)
	case '{':
		switch name {
		case "contained":
			j.inside = v.Get("resourceType").Text()
			j.object(v, inOther)
			j.inside = ""
			return
		case "security", "securityLabel":
			j.tag(v)
			return
		case "tag", "profile":
			return
		case "extension", "modifierExtension":
			j.extension(v)
			return
		}
		s := formOf(v)
		switch {
		case s.coding, s.code && !s.value:
			j.concept(name, v, in)
		case s.reference || s.display:
			if len(j.path) == 1 && isAbout(j.typ, name) { // judged where it is
				j.named, j.known = true, true
			}
			j.reference(v, in)
		case s.file:
			j.attachment(v)
			j.object(v, inTitle)
		case name == "identifier" || name == "assigner" || name == "masterIdentifier":
			j.identifier(v, in)
		case in == inNote && name == "text":
			j.object(v, inNote)
		case len(j.path) == 1 && isAbout(j.typ, name) && s.text:
			j.concept(name, v, in)
		default:
			j.object(v, in)
		}
	}
}

// str reads one string.
func (j *judge) str(name string, v fhir.Node, in where) {
	raw := v.Raw()
	if !wordy(raw) {
		return
	}
	switch {
	case name == "data" && len(j.path) > 0: // read by attachment
		return
	case name == "url":
		return
	case name == "div":
		j.read(stripped(v.Text()), inNote)
		return
	case strings.HasPrefix(name, "value") && (name == "valueUri" || name == "valueUrl" || name == "valueBase64Binary" || name == "valueId" || name == "valueOid" || name == "valueUuid"):
		return
	case name == "value" && in == inOther && len(j.path) > 1 && j.path[len(j.path)-2].name == "identifier":
		return
	}
	j.read(v.Text(), in)
}

// wordy tells whether a JSON string holds two letters in a row, or anything
// beyond ASCII: otherwise it is a number, date or time. Numbers in hexadecimal,
// such as UUIDs, are no words either.
func wordy(raw []byte) bool {
	run, hex, words := 0, true, false
	for _, c := range raw[1 : len(raw)-1] {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			hex = hex && hexDigit(c) >= 0
			if run++; run > 1 {
				words = true
			}
			continue
		}
		if c >= 0x80 || c == '\\' {
			return true
		}
		hex = hex && (c == '-' || digit(c))
		run = 0
	}
	return words && !(hex && len(raw) > 20)
}

func (j *judge) read(text string, in where) verdict {
	v := j.rules.text(text, in)
	j.take(v, "")
	return v
}

// take notes what a verdict found, at the current path and below.
func (j *judge) take(v verdict, below string) {
	for _, h := range v.hits {
		if h.rule >= 0 {
			r := &j.rules.match.rules[h.rule]
			j.give(r.label, r.name, below+h.below, h.evidence)
		} else {
			j.give(h.label, h.name, below+h.below, h.evidence)
		}
	}
}

// give notes a label. Each label keeps its first reason at each top element, and each
// member of a Group.
func (j *judge) give(l Label, rule, below, evidence string) {
	at := j.at() + below
	for _, r := range j.reasons {
		if r.Label == l && part(r.Element) == part(at) {
			return
		}
	}
	if !slices.Contains(j.labels, l) {
		j.labels = append(j.labels, l)
	}
	j.reasons = append(j.reasons, Reason{Label: l, Rule: rule, Element: at, Evidence: clip(evidence)})
}

func (j *judge) at() string {
	var b strings.Builder
	b.WriteString(j.typ)
	for _, s := range j.path {
		b.WriteByte('.')
		b.WriteString(s.name)
		if s.index >= 0 {
			fmt.Fprintf(&b, "[%d]", s.index)
		}
	}
	return b.String()
}

// top is the first element of a path: "Observation.code" of
// "Observation.code.coding[0].display".
func top(path string) string {
	dots := 0
	for i := range len(path) {
		switch path[i] {
		case '.':
			if dots++; dots == 2 {
				return path[:i]
			}
		case '[':
			if dots == 1 {
				return path[:i]
			}
		}
	}
	return path
}

// member begins the place of a member of a Group.
const member = "Group.member["

// part is the top element of a path, or of a Group the member: each of those is
// judged by itself.
func part(path string) string {
	if strings.HasPrefix(path, member) {
		return path[:len(member)+strings.IndexByte(path[len(member):], ']')+1]
	}
	return top(path)
}

// Member tells which member of a Group a reason was found in, if it was in one.
func Member(element string) (n int, ok bool) {
	if !strings.HasPrefix(element, member) {
		return 0, false
	}
	n, err := strconv.Atoi(part(element)[len(member) : len(part(element))-1])
	return n, err == nil
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "")
	}
	return s
}

// isPlace are elements that refer to a place or an organization, never a person.
var isPlace = set("location", "serviceProvider", "managingOrganization", "custodian", "organization", "department", "payor", "assigner")

// reference reads a Reference. A name of something whose content is judged by
// itself is not read: the policy removes it with the reference.
func (j *judge) reference(v fhir.Node, in where) {
	typ, _, _ := strings.Cut(v.Get("reference").Text(), "/")
	if typ == "" || strings.HasPrefix(typ, "#") {
		typ = v.Get("type").Text()
	}
	display := v.Get("display")
	if display.Kind() == '"' && wordy(display.Raw()) {
		switch {
		case typ == "Practitioner" || typ == "PractitionerRole":
			j.read(display.Text(), inPerson)
		case persons[typ]:
		case typ == "Organization" || typ == "Location" || typ == "HealthcareService":
			j.read(display.Text(), inPlace)
		case clinical[typ] && !strings.HasPrefix(v.Get("reference").Text(), "#"):
		case in == inPlace && !isPlace[j.path[len(j.path)-1].name]:
			j.read(display.Text(), inPerson)
		default:
			j.read(display.Text(), in)
		}
	}
	if id := v.Get("identifier"); !id.IsZero() {
		j.path = append(j.path, step{"identifier", -1})
		j.identifier(id, in)
		j.path = j.path[:len(j.path)-1]
	}
	j.extensions(v)
}

// identifier reads who assigned an identifier and what it is called; its value
// only when it has words.
func (j *judge) identifier(v fhir.Node, in where) {
	if !persons[j.typ] {
		if value := v.Get("value"); value.Kind() == '"' && wordy(value.Raw()) && !strings.HasPrefix(value.Text(), "urn:") {
			j.read(spoken(value.Text()), inOther)
		}
	}
	if a := v.Get("assigner"); a.Kind() == '{' {
		j.reference(a, inPlace)
	}
	if t := v.Get("type"); t.Kind() == '{' {
		j.concept("type", t, inOther)
	}
	j.extensions(v)
}

// spoken is a number without the letters that stand behind digits: "HIV-0042"
// and "HIV0042" tell, "L5RPX52UPT453" was drawn by lot.
func spoken(number string) string {
	b := []byte(number)
	behind := false
	for i, c := range b {
		switch {
		case digit(c):
			behind = true
		case !letter(c) && c < 0x80:
			behind = false
		case behind:
			b[i] = ' '
		}
	}
	return string(b)
}

func (j *judge) extensions(v fhir.Node) {
	i := 0
	for e := range v.All("extension") {
		j.path = append(j.path, step{"extension", i})
		j.extension(e)
		j.path = j.path[:len(j.path)-1]
		i++
	}
}

// extension reads the value of an extension, and its name, which may tell as
// much; a person's extensions are named for everyone alike.
func (j *judge) extension(v fhir.Node) {
	if url := v.Get("url"); url.Kind() == '"' && !persons[j.typ] {
		text := strings.TrimRight(url.Text(), "/")
		j.read(text[strings.LastIndexByte(text, '/')+1:], inOther)
	}
	j.object(v, inOther)
}

// security tags that came with a resource count as labels; they are never a
// reason to leave one out.
// Source: HL7 v3-ActCode InformationSensitivityPolicy, v3-Confidentiality.
var security = map[string]Label{
	"HIV": HIV, "SEX": Reproductive, "STD": STI, "ETH": SubstanceUse, "SUD": SubstanceUse, "ETHUD": SubstanceUse, "DRG": SubstanceUse, "OPIOIDUD": SubstanceUse, "DRGIS": SubstanceUse,
	"42CFRPart2": Part2, "MH": MentalHealth, "PSY": MentalHealth, "BH": MentalHealth, "PSYTHPN": Psychotherapy, "GDIS": Genetic, "SDV": Violence, "DV": Violence, "VIO": Violence, "SCA": Genetic,
	"SPI": Unclassified, "TBOO": Unclassified, "R": Unclassified, "V": Unclassified,
}

func (j *judge) tag(v fhir.Node) {
	for _, c := range append([]fhir.Node{v}, slices.Collect(v.All("coding"))...) {
		code := c.Get("code").Text()
		if l, ok := security[code]; ok {
			j.give(l, "tag of the source", ".code", code)
		}
	}
}
