package mapping

import (
	"firebreak/adapters/ccda"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// concern maps an act around problems: a concern, a diagnosis, a risk. What it says
// besides problems is mapped as what it is.
//
// Source: C-CDA on FHIR, CF-problems.
func (c *clinical) concern(e *ccda.Element) bool {
	any := false
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		switch {
		case s == nil:
		case s.Name == "observation" && (s.Has(template+"4") || s.Child("value").Type() == "CD" && !e.Has(template+"132") && !e.Has(template+"136")):
			any = c.problem(s, e) != nil || any
		case s.Has(template + "64"), s.Has(template + "143"), s.Has(template + "6"): // comment, priority, status
		default:
			any = c.statement(s) || any
		}
	}
	if !any && (e.Has(template+"132") || e.Has(template+"136")) {
		any = c.worry(e)
	}
	return any
}

// worry maps a concern that is words alone.
func (c *clinical) worry(e *ccda.Element) bool {
	words := clean(c.doc.Words(e.Child("text")))
	if words == "" {
		return false
	}
	rid, known := c.name("Condition", e, ccda.CD{Original: words}, start(e))
	if known {
		return c.again("Condition", rid)
	}
	cond := r4.Condition{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: c.subject(), Code: &r4.CodeableConcept{Text: &words}, OnsetDateTime: c.timeOf(start(e)),
		Category: []r4.CodeableConcept{*one(conditionCategory("health-concern"))}, Note: c.notesOf(e),
	}
	if state := conditionByAct[e.Child("statusCode").Attr("code")]; state != "" {
		cond.ClinicalStatus = one(fixed("http://terminology.hl7.org/CodeSystem/condition-clinical", state, ""))
	}
	cond.Recorder, cond.RecordedDate = c.authored(e)
	c.put(cond, e)
	return true
}

func (c *clinical) problemAlone(e *ccda.Element) bool { return c.problem(e, nil) != nil }

// problem maps a Problem Observation, in the act that makes it a concern or diagnosis.
func (c *clinical) problem(e, act *ccda.Element) *r4.Reference {
	value := c.doc.CD(e.Child("value"))
	code := c.conceptOf(value)
	if code == nil {
		if words := clean(c.doc.Words(e.Child("text"))); words != "" {
			code = &r4.CodeableConcept{Text: &words}
		}
	}
	if code == nil {
		return nil
	}
	rid, known := c.name("Condition", e, value)
	self := refer("Condition", rid)
	if known {
		c.again("Condition", rid)
		return &self
	}
	cond := r4.Condition{Id: &rid, Identifier: c.identifiersOf(e), Code: code, Subject: c.subject(), Note: c.notesOf(e), BodySite: c.conceptsIn(e, "targetSiteCode")}
	var also []fhir.Set
	if category := c.categoryOf(act); category != "" {
		cond.Category = []r4.CodeableConcept{*one(conditionCategory(category))}
	}
	const verification = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
	switch {
	case negated(e) && value.Is(oidSNOMED, "55607006"): // "problem": there is none
		cond.Code = &r4.CodeableConcept{Coding: []r4.Coding{fixed(sct, "160245001", "No current problems or disability")}, Text: code.Text}
	case negated(e):
		cond.VerificationStatus = one(fixed(verification, "refuted", "Refuted"))
	}
	if e.Child("statusCode").Attr("code") == "nullified" || act.Child("statusCode").Attr("code") == "nullified" {
		cond.VerificationStatus = one(fixed(verification, "entered-in-error", "Entered in Error"))
	}
	times := ccda.IntervalOf(e.Child("effectiveTime"))
	cond.OnsetDateTime = c.timeOf(times.Start())
	cond.AbatementDateTime = c.timeOf(times.High)
	ended := cond.AbatementDateTime != nil
	if times.HighNull == "UNK" && !ended {
		ended = true
		also = append(also, fhir.Set{Path: "_abatementDateTime", Value: absent("unknown")})
	}
	if s := c.clinicalState(e, act, ended); s != "" && (cond.VerificationStatus == nil || *cond.VerificationStatus.Coding[0].Code != "entered-in-error") {
		cond.ClinicalStatus = one(fixed("http://terminology.hl7.org/CodeSystem/condition-clinical", s, ""))
	}
	if age := relatedCode(e, "445518008", "397659008"); age != nil && cond.OnsetDateTime == nil {
		cond.OnsetAge = ageOf(ccda.PQOf(age.Child("value")))
	}
	if sev := relatedCode(e, "SEV"); sev != nil {
		cond.Severity = c.conceptOf(c.doc.CD(sev.Child("value")))
	}
	if d := relatedCode(e, "77975-1"); d != nil {
		if at, _ := c.spanOf(d.Child("effectiveTime")); at != nil {
			cond.Extension = []r4.Extension{{Url: coreExt + "condition-assertedDate", ValueDateTime: at}}
		}
	}
	cond.Recorder, cond.RecordedDate = c.authored(e, act)
	if all := c.inEncounter(); all != nil && cond.Category != nil && *cond.Category[0].Coding[0].Code == "encounter-diagnosis" && !act.Has(template+"80") {
		cond.Encounter = &all[0]
	}
	for r := range e.All("entryRelationship") {
		if s := ccda.Statement(r); r.Attr("typeCode") == "SPRT" && s != nil && s.Name == "observation" {
			if ref := c.observation(s, "survey"); ref != nil {
				cond.Evidence = append(cond.Evidence, r4.ConditionEvidence{Detail: []r4.Reference{*ref}})
			}
		}
	}
	c.put(cond, e, also...)
	return &self
}

// categoryOf is the category of a condition, by the act around it, else by its section.
func (c *clinical) categoryOf(act *ccda.Element) string {
	for _, t := range [...]struct{ suffix, category string }{{"80", "encounter-diagnosis"}, {"33", "encounter-diagnosis"}, {"34", "encounter-diagnosis"}, {"51", "encounter-diagnosis"}, {"65", "encounter-diagnosis"}, {"132", "health-concern"}, {"136", "health-concern"}} {
		if act.Has(template + t.suffix) {
			return t.category
		}
	}
	if c.section != nil {
		return sectionIsAbout[c.section.Code.Code]
	}
	return ""
}

func conditionCategory(code string) r4.Coding {
	if code == "health-concern" {
		return fixed("http://hl7.org/fhir/us/core/CodeSystem/condition-category", code, "Health Concern")
	}
	return fixed("http://terminology.hl7.org/CodeSystem/condition-category", code, map[string]string{"problem-list-item": "Problem List Item", "encounter-diagnosis": "Encounter Diagnosis"}[code])
}

// clinicalState is what a status observation says, else the act around. What has ended is
// not active, whatever it says.
func (c *clinical) clinicalState(e, act *ccda.Element, ended bool) string {
	state := ""
	if s := relatedCode(e, "33999-4"); s != nil {
		state = clinicalStates[s.Child("value").Attr("code")]
	}
	if state == "" && act != nil {
		state = conditionByAct[act.Child("statusCode").Attr("code")]
		if state == "inactive" && ended {
			state = "resolved"
		}
	}
	if ended && (state == "" || state == "active" || state == "recurrence" || state == "relapse") {
		return map[bool]string{true: "resolved", false: "inactive"}[state == ""]
	}
	return state
}

// ageOf maps a PQ in years, months, weeks, days; nil without a number.
func ageOf(q ccda.PQ) *r4.Age {
	n, _, ok := number(q.Value)
	if !ok {
		return nil
	}
	unit := or(clean(q.Unit), "a")
	return &r4.Age{Value: &n, System: p(ucum), Code: &unit}
}

func (c *clinical) allergyConcern(e *ccda.Element) bool {
	any := false
	for r := range e.All("entryRelationship") {
		if s := ccda.Statement(r); s != nil && s.Name == "observation" {
			any = c.allergy(s, e) || any
		}
	}
	return any
}

func (c *clinical) allergyAlone(e *ccda.Element) bool { return c.allergy(e, nil) }

// allergy maps an Allergy Intolerance Observation.
//
// Source: C-CDA on FHIR, CF-allergies.
func (c *clinical) allergy(e, act *ccda.Element) bool {
	kind := c.doc.CD(e.Child("value"))
	var substance ccda.CD
	for x := range e.All("participant") {
		if entity := x.At("participantRole/playingEntity"); entity != nil && !substance.Known() {
			substance = c.doc.CD(entity.Child("code"))
			if name := clean(ccda.Plain(entity.Child("name"))); name != "" && substance.Original == "" {
				substance.Original = name
			}
		}
	}
	code := c.conceptOf(substance)
	none := ""
	if code == nil && negated(e) {
		none = noKnownAllergy[kind.Code]
	}
	switch {
	case none != "":
		code = one(fixed(sct, none, map[string]string{"716186003": "No known allergy", "409137002": "No known drug allergy", "429625007": "No known food allergy"}[none]))
	case code == nil: // what kind it is, is all that is said
		code = c.conceptOf(kind)
	}
	if code == nil {
		if words := clean(c.doc.Words(e.Child("text"))); words != "" {
			code = &r4.CodeableConcept{Text: &words}
		}
	}
	if code == nil {
		return false
	}
	about := substance
	if !about.Known() {
		about = kind
	}
	rid, known := c.name("AllergyIntolerance", e, about)
	if known {
		return c.again("AllergyIntolerance", rid)
	}
	a := r4.AllergyIntolerance{Id: &rid, Identifier: c.identifiersOf(e), Patient: c.subject(), Code: code, Note: c.notesOf(e)}
	var also []fhir.Set
	const verification = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
	if negated(e) && none == "" {
		a.VerificationStatus = one(fixed(verification, "refuted", "Refuted"))
	}
	if k, ok := allergyKind[primary(kind).Code]; ok {
		if k[0] != "" {
			also = append(also, fhir.Set{Path: "type", Value: k[0]})
		}
		if k[1] != "" {
			also = append(also, fhir.Set{Path: "category", Value: []string{k[1]}})
		}
	}
	times := ccda.IntervalOf(e.Child("effectiveTime"))
	a.OnsetDateTime = c.timeOf(times.Start())
	ended := c.timeOf(times.High)
	if ended != nil {
		a.Extension = []r4.Extension{{Url: coreExt + "allergyintolerance-abatement", ValueDateTime: ended}}
	}
	state := c.clinicalState(e, act, ended != nil)
	if state != "active" && state != "inactive" && state != "resolved" {
		state = map[bool]string{true: "active", false: ""}[state != ""]
	}
	switch {
	case act.Child("statusCode").Attr("code") == "nullified":
		a.VerificationStatus = one(fixed(verification, "entered-in-error", "Entered in Error"))
	case state == "": // R4 ait-1
		also = append(also, fhir.Set{Path: "clinicalStatus", Value: absent("unknown")})
	default:
		a.ClinicalStatus = one(fixed("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", state, ""))
	}
	if s := relatedCode(e, "82606-5"); s != nil {
		if level := criticality[s.Child("value").Attr("code")]; level != "" {
			also = append(also, fhir.Set{Path: "criticality", Value: level})
		}
	}
	general := severityOf(e)
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		if s == nil || !(s.Has(template+"9") || r.Attr("typeCode") == "MFST") {
			continue
		}
		reaction := r4.AllergyIntoleranceReaction{Onset: c.timeOf(start(s)), Note: c.notesOf(s)}
		for v := range s.All("value") {
			if m := c.conceptOf(c.doc.CD(v)); m != nil {
				reaction.Manifestation = append(reaction.Manifestation, *m)
			}
		}
		if reaction.Manifestation == nil {
			if words := clean(c.doc.Words(s.Child("text"))); words != "" {
				reaction.Manifestation = []r4.CodeableConcept{{Text: &words}}
			} else {
				continue
			}
		}
		var how r4.AllergyIntoleranceSeverity
		if fhirCode("", or(severityOf(s), general), &how) {
			reaction.Severity = &how
		}
		a.Reaction = append(a.Reaction, reaction)
	}
	a.Recorder, a.RecordedDate = c.authored(e, act)
	c.put(a, e, also...)
	return true
}

// severityOf is the severity observation in relation to e, as FHIR's code.
func severityOf(e *ccda.Element) string {
	for _, s := range append(related(e, "8"), relatedCode(e, "SEV")) {
		for v := range s.All("value") {
			if code := severities[v.Attr("code")]; code != "" {
				return code
			}
		}
	}
	return ""
}
