package mapping

import (
	"strings"

	"firebreak/adapters/ccda"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// results maps a Result Organizer: a DiagnosticReport and its Observations.
//
// Source: C-CDA on FHIR, CF-results.
func (c *clinical) results(e *ccda.Element) bool {
	cd := c.doc.CD(e.Child("code"))
	rid, known := c.name("DiagnosticReport", e, cd, start(e), firstTime(e))
	if known {
		return c.again("DiagnosticReport", rid)
	}
	rep := r4.DiagnosticReport{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: ptr(c.subject()), Performer: c.performersOf(e),
		Category: []r4.CodeableConcept{*one(fixed(v2System+"0074", "LAB", "Laboratory"))},
	}
	also := []fhir.Set{{Path: "status", Value: saidStatus(e, resultStatuses, "unknown")}}
	if code := c.conceptOf(cd); code != nil {
		rep.Code = *code
	} else if c.section != nil && clean(c.section.Title) != "" { // what its author calls it
		rep.Code = r4.CodeableConcept{Text: p(clean(c.section.Title))}
	} else {
		also = append(also, fhir.Set{Path: "code", Value: absent(absence(cd.Null))})
	}
	rep.EffectiveDateTime, rep.EffectivePeriod = c.spanOf(e.Child("effectiveTime"))
	if rep.EffectiveDateTime == nil && rep.EffectivePeriod == nil {
		rep.EffectiveDateTime = c.timeOf(firstTime(e))
	}
	if visit := c.inEncounter(); visit != nil {
		rep.Encounter = &visit[0]
	}
	specimen := c.specimen(e)
	if specimen != nil {
		rep.Specimen = []r4.Reference{*specimen}
	}
	for x := range e.All("component") {
		s := ccda.Statement(x)
		switch {
		case s == nil:
		case s.Name == "observation":
			if ref := c.observationIn(s, "laboratory", specimen, ptr(start(e))); ref != nil {
				rep.Result = append(rep.Result, *ref)
			}
		default:
			c.statement(s)
		}
	}
	rep.Result = unique(rep.Result)
	if who, _ := c.authored(e); who != nil && rep.Performer == nil {
		rep.Performer = []r4.Reference{*who}
	}
	c.put(rep, e, also...)
	return true
}

// firstTime is the time of the first member of an organizer that has one.
func firstTime(e *ccda.Element) string {
	for x := range e.All("component") {
		if t := start(ccda.Statement(x)); t != "" {
			return t
		}
	}
	return ""
}

// panel maps an organizer that is no report: an Observation with members, where it
// has observations, else what stands in it.
//
// Source: C-CDA on FHIR, CF-vitals.
func (c *clinical) panel(e *ccda.Element) bool {
	vital := e.Has(template + "26")
	category := c.category(e)
	cd := c.doc.CD(e.Child("code"))
	var members []r4.Reference
	any := false
	for x := range e.All("component") {
		s := ccda.Statement(x)
		switch {
		case s == nil:
		case s.Name == "observation" && !handled(s):
			if ref := c.observationIn(s, category, nil, ptr(start(e))); ref != nil {
				members = append(members, *ref)
			}
		default:
			any = c.statement(s) || any
		}
	}
	if members == nil || !cd.Known() && !vital {
		return any || members != nil
	}
	rid, known := c.name("Observation", e, cd, start(e), firstTime(e))
	if known {
		return c.again("Observation", rid)
	}
	o := r4.Observation{Id: &rid, Identifier: c.identifiersOf(e), Subject: ptr(c.subject()), Category: categoryOf(category), HasMember: unique(members), Performer: c.performersOf(e)}
	code := c.conceptOf(cd)
	if code == nil {
		code = &r4.CodeableConcept{}
	}
	if vital && !hasCoding(code.Coding, fixed(loinc, "85353-1", "")) {
		code.Coding = append([]r4.Coding{fixed(loinc, "85353-1", "Vital signs, weight, height, head circumference, oxygen saturation and BMI panel")}, code.Coding...)
	}
	o.Code = *code
	o.EffectiveDateTime, o.EffectivePeriod = c.spanOf(e.Child("effectiveTime"))
	if o.EffectiveDateTime == nil && o.EffectivePeriod == nil {
		o.EffectiveDateTime = c.timeOf(firstTime(e))
	}
	c.put(o, e, fhir.Set{Path: "status", Value: saidStatus(e, resultStatuses, "unknown")})
	return true
}

// handled tells whether an observation is more than an observation.
func handled(e *ccda.Element) bool {
	for t := range e.All("templateId") {
		if suffix, ok := strings.CutPrefix(t.Attr("root"), template); ok && byTemplateObservation[suffix] {
			return true
		}
	}
	return false
}

var byTemplateObservation = map[string]bool{"4": true, "7": true, "19": true, "68": true, "73": true, "121": true}

// category is the category of the observations of the section, by its code.
func (c *clinical) category(e *ccda.Element) string {
	if e.Has(template+"26") || e.Has(template+"27") {
		return "vital-signs"
	}
	if c.section == nil {
		return ""
	}
	return map[string]string{
		"30954-2": "laboratory", "8716-3": "vital-signs", "29762-2": "social-history", "29545-1": "exam", "8709-8": "exam", "10210-3": "exam", "47519-4": "procedure",
		"47420-5": "survey", "10190-7": "survey", "61144-2": "survey",
	}[c.section.Code.Code]
}

func categoryOf(code string) []r4.CodeableConcept {
	if code == "" {
		return nil
	}
	return []r4.CodeableConcept{*one(fixed(obsCategory, code, ""))}
}

func (c *clinical) observationAlone(e *ccda.Element) bool {
	if c.section != nil && c.section.Code.Code == "48765-2" && e.Child("participant") != nil {
		return c.allergy(e, nil)
	}
	return c.observation(e, c.category(e)) != nil
}

func (c *clinical) observation(e *ccda.Element, category string) *r4.Reference {
	return c.observationIn(e, category, nil, nil)
}

// observationIn maps an observation; around is the time of the organizer it stands in.
//
// Source: C-CDA on FHIR, CF-results, CF-vitals, CF-social.
func (c *clinical) observationIn(e *ccda.Element, category string, specimen *r4.Reference, around *string) *r4.Reference {
	cd := c.doc.CD(e.Child("code"))
	values := ""
	for v := range e.All("value") {
		values += v.Attr("value") + v.Attr("code") + " " + ccda.Plain(v) + "\x00"
	}
	when := start(e)
	if when == "" {
		when = deref(around)
	}
	about := cd
	if assertion := cd.Code == "ASSERTION" || !cd.Known(); assertion { // its value says what it is about
		if v := c.doc.CD(e.Child("value")); v.Known() && strings.HasPrefix(or(e.Child("value").Type(), "-"), "C") {
			about = v
		}
	}
	if said, _ := c.valuesOf(e); !about.Known() && said == nil && clean(c.doc.Words(e.Child("text"))) == "" {
		return nil
	}
	rid, known := c.name("Observation", e, about, when, values)
	self := refer("Observation", rid)
	if known {
		c.again("Observation", rid)
		return &self
	}
	o := r4.Observation{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: ptr(c.subject()), Category: categoryOf(category), Performer: c.performersOf(e),
		Interpretation: c.conceptsIn(e, "interpretationCode"), Method: c.conceptIn(e, "methodCode"), BodySite: c.conceptIn(e, "targetSiteCode"),
		Note: c.notesOf(e), Specimen: specimen,
	}
	if own := c.specimen(e); own != nil {
		o.Specimen = own
	}
	also := []fhir.Set{{Path: "status", Value: saidStatus(e, resultStatuses, "unknown")}}
	code := c.conceptOf(cd)
	if e.Has("2.16.840.1.113883.10.20.15.3.8") && cd.Code == "ASSERTION" {
		code = one(fixed(loinc, "82810-3", "Pregnancy status"))
	}
	switch {
	case code != nil:
		o.Code = *code
	case clean(c.doc.Words(e.Child("text"))) != "":
		o.Code = r4.CodeableConcept{Text: ptr(clean(c.doc.Words(e.Child("text"))))}
	default:
		also = append(also, fhir.Set{Path: "code", Value: absent(absence(cd.Null))})
	}
	o.EffectiveDateTime, o.EffectivePeriod = c.spanOf(e.Child("effectiveTime"))
	if o.EffectiveDateTime == nil && o.EffectivePeriod == nil {
		o.EffectiveDateTime = c.timeOf(when)
	}
	if o.Performer == nil {
		if who, _ := c.authored(e); who != nil {
			o.Performer = []r4.Reference{*who}
		}
	}
	all, null := c.valuesOf(e)
	switch {
	case len(all) == 1:
		all[0].into(&o)
		o.ValueBoolean = truthOf(e)
	case len(all) > 1:
		component := o.Code
		if code == nil {
			component = r4.CodeableConcept{Text: ptr("value")}
		}
		for _, v := range all {
			o.Component = append(o.Component, v.component(component))
		}
	case truthOf(e) != nil:
		o.ValueBoolean = truthOf(e)
	case null != "":
		o.DataAbsentReason = absentReason(null)
	}
	if negated(e) {
		o.Interpretation = append(o.Interpretation, r4.CodeableConcept{Text: ptr("negated: what is said was not found")})
	}
	o.ReferenceRange = c.rangesOf(e)
	if edd := relatedCode(e, "11778-8", "11779-6", "11780-4"); edd != nil {
		if at := c.timeOf(edd.Child("value").Attr("value")); at != nil {
			o.Component = append(o.Component, r4.ObservationComponent{Code: *c.conceptIn(edd, "code"), ValueDateTime: at})
		}
	}
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		switch {
		case s == nil, s.Has(template + "64"), s.Has(template + "122"), s.Child("code").Attr("code") == "11778-8", s.Child("code").Attr("code") == "48767-8":
		case s.Name == "observation" && s.Attr("moodCode") == "EVN" && !handled(s):
			if ref := c.observation(s, category); ref != nil {
				o.HasMember = append(o.HasMember, *ref)
			}
		default:
			c.statement(s)
		}
	}
	c.put(o, e, also...)
	return &self
}

func truthOf(e *ccda.Element) *bool {
	if v := e.Child("value"); v.Type() == "BL" {
		return truth(v)
	}
	return nil
}

// valuesOf reads the values of an observation by their types; null says why there is none.
func (c *clinical) valuesOf(e *ccda.Element) (all []observed, null string) {
	for v := range e.All("value") {
		o := c.valueOf(v)
		if !o.empty() {
			all = append(all, o)
		} else if null == "" {
			null = v.Null()
		}
	}
	return all, null
}

func (c *clinical) valueOf(v *ccda.Element) (o observed) {
	switch typ := v.Type(); typ {
	case "PQ", "REAL", "INT", "MO", "IVL_PQ", "IVL_INT", "IVL_REAL":
		o.quantity, o.interval = rangeOfPQ(ccda.RangeOf(v))
		if o.quantity == nil && o.interval == nil && v.Attr("value") != "" {
			o.text = p(clean(strings.TrimSpace(v.Attr("value") + " " + v.Attr("unit"))))
		}
	case "CD", "CE", "CV", "CO", "CS", "CR":
		o.concept = c.conceptOf(c.doc.CD(v))
	case "TS":
		o.dateTime = c.timeOf(v.Attr("value"))
	case "IVL_TS":
		o.dateTime, o.period = c.spanOf(v)
	case "RTO", "RTO_PQ_PQ", "RTO_QTY_QTY":
		o.ratio = ratioOf(v)
	case "BL":
	default: // ST, ED, and what names no type
		switch {
		case v.Attr("code") != "":
			o.concept = c.conceptOf(c.doc.CD(v))
		case v.Attr("value") != "":
			if o.quantity = quantityOf(ccda.PQOf(v)); o.quantity == nil {
				o.text = p(clean(v.Attr("value")))
			}
		default:
			o.text = p(clean(c.doc.Words(v)))
			if typ == "ST" || typ == "ED" && ccda.EDOf(v).Reference == "" {
				o.text = p(tidy(ccda.Text(v)))
			}
		}
	}
	if o.empty() && v.Null() == "" {
		o.text = p(tidy(ccda.Text(v)))
	}
	return o
}

// rangesOf maps the reference ranges; of several only the normal ones, for FHIR's are.
func (c *clinical) rangesOf(e *ccda.Element) []r4.ObservationReferenceRange {
	var all []r4.ObservationReferenceRange
	for x := range e.All("referenceRange") {
		r := x.Child("observationRange")
		if code := r.Child("interpretationCode").Attr("code"); code != "" && code != "N" {
			continue
		}
		var out r4.ObservationReferenceRange
		v := r.Child("value")
		limits := ccda.RangeOf(v)
		out.Low, out.High = quantityOf(limits.Low), quantityOf(limits.High)
		words := clean(c.doc.Words(r.Child("text")))
		if words == "" && out.Low == nil && out.High == nil {
			words = clean(c.doc.Words(v))
			if words == "" && limits.Value.Known() {
				words = clean(limits.Value.Value + " " + limits.Value.Unit)
			}
		}
		out.Text = p(words)
		if out.Low != nil || out.High != nil || out.Text != nil {
			all = append(all, out)
		}
	}
	return all
}

// specimen makes the Specimen that e names.
func (c *clinical) specimen(e *ccda.Element) *r4.Reference {
	role := e.At("specimen/specimenRole")
	player := role.Child("specimenPlayingEntity")
	cd := c.doc.CD(player.Child("code"))
	typ := c.conceptOf(cd)
	if name := clean(ccda.Plain(player.Child("name"))); typ == nil && name != "" {
		typ = &r4.CodeableConcept{Text: &name}
	}
	ids := c.identifiersOf(role)
	if typ == nil && ids == nil {
		return nil
	}
	key := called(role)
	if key == nil {
		if key = called(e); key == nil {
			key = []string{"", start(e)}
		}
	}
	rid := c.id("Specimen", append(key, cd.Code, cd.System)...)
	if !c.has("Specimen", rid) {
		s := r4.Specimen{Id: &rid, Identifier: ids, Type: typ, Subject: ptr(c.subject())}
		if words := clean(ccda.Plain(player.Child("desc"))); words != "" {
			s.Note = []r4.Annotation{{Text: words}}
		}
		c.support(c.at, s)
	}
	return ptr(refer("Specimen", rid))
}

// picture keeps an observationMedia: a document with its file.
func (c *clinical) picture(e *ccda.Element) bool {
	a := embedded(ccda.EDOf(e.Child("value")))
	if a.isZero() {
		return false
	}
	key := called(e)
	if key == nil {
		key = append(c.docKey(), "media", e.Attr("ID"))
	}
	rid := c.distinct("DocumentReference", key, a.data)
	if c.has("DocumentReference", rid) {
		return c.again("DocumentReference", rid)
	}
	self := refer("DocumentReference", rid)
	form := c.file(a, &self, append(key, "file", a.mime), c.confidentiality(e))
	title := clean(c.section.Title)
	c.put(r4.DocumentReference{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: ptr(c.subject()), Date: c.recordedAt(), Author: c.authorsOf(e), Description: p(title), Type: c.conceptOf(c.section.Code),
		Content: []r4.DocumentReferenceContent{{Attachment: form}}, Context: &r4.DocumentReferenceContext{Encounter: c.inEncounter()},
	}, e, fhir.Set{Path: "status", Value: "current"})
	return true
}
