package mapping

import (
	"encoding/json"
	"strings"

	"firebreak/adapters/ccda"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// drug is a manufacturedProduct.
type drug struct {
	cd     ccda.CD
	code   *r4.CodeableConcept
	lot    *string
	maker  *ccda.Element
	expiry *string
}

func (c *clinical) drugOf(product *ccda.Element) drug {
	material := product.Child("manufacturedMaterial")
	if material == nil {
		material = product.Child("manufacturedLabeledDrug")
	}
	d := drug{cd: c.doc.CD(material.Child("code")), lot: p(clean(ccda.Plain(material.Child("lotNumberText")))), maker: product.Child("manufacturerOrganization")}
	if name := clean(ccda.Plain(material.Child("name"))); name != "" && d.cd.Original == "" {
		d.cd.Original = name
	}
	d.code = c.conceptOf(d.cd)
	d.expiry = c.dateOf(material.At("sdtc:expirationTime").Attr("value"))
	return d
}

// medication maps a Medication Activity: what was taken is a MedicationStatement, what is
// meant to be a MedicationRequest.
//
// "completed" is what many systems say of every medication: without an end it is active.
//
// Source: C-CDA on FHIR, CF-medications, which maps both to MedicationRequest; that what
// was taken is no request is FHIR's own definition.
func (c *clinical) medication(e *ccda.Element) bool {
	if c.section != nil && c.section.Code.Code == "11369-6" && e.Attr("moodCode") == "EVN" && !e.Has(template+"16") {
		return c.immunization(e)
	}
	d := c.drugOf(e.At("consumable/manufacturedProduct"))
	if d.code == nil {
		if words := clean(c.doc.Words(e.Child("text"))); words != "" {
			d.code = &r4.CodeableConcept{Text: &words}
		}
	}
	if d.code == nil {
		return false
	}
	switch mood := e.Attr("moodCode"); {
	case mood != "EVN" && mood != "":
		return c.prescribed(e, d)
	case c.section != nil && administered[c.section.Code.Code] || e.Up.Name == "entryRelationship" && e.Up.Up.Name == "procedure":
		return c.given(e, d)
	}
	return c.taken(e, d)
}

// administered are the sections of what was given during the visit: Medications
// Administered, Anesthesia.
var administered = map[string]bool{"29549-3": true, "59774-0": true, "10213-7": true}

// given maps what was given by somebody, at a known time.
func (c *clinical) given(e *ccda.Element, d drug) bool {
	rid, known := c.name("MedicationAdministration", e, d.cd, start(e))
	if known {
		return c.again("MedicationAdministration", rid)
	}
	m := r4.MedicationAdministration{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: c.subject(), MedicationCodeableConcept: *d.code, ReasonCode: c.reasonsOf(e), Note: c.notesOf(e),
	}
	all, bounds, at := c.dosage(e)
	var also []fhir.Set
	switch {
	case at != nil:
		m.EffectiveDateTime = *at
	case bounds != nil:
		m.EffectivePeriod = *bounds
	default:
		also = append(also, fhir.Set{Path: "_effectiveDateTime", Value: absent("unknown")})
	}
	if all != nil {
		dose := r4.MedicationAdministrationDosage{Text: all[0].Text, Site: all[0].Site, Route: all[0].Route}
		for _, x := range all[0].DoseAndRate {
			dose.Dose, dose.RateQuantity = x.DoseQuantity, x.RateQuantity
		}
		if dose.Dose != nil || dose.RateQuantity != nil { // R4 mad-1
			m.Dosage = &dose
		}
	}
	for _, who := range c.performersOf(e) {
		if deref(who.Reference) != "" {
			m.Performer = append(m.Performer, r4.MedicationAdministrationPerformer{Actor: who})
		}
	}
	state := saidStatus(e, map[string]string{"completed": "completed", "active": "in-progress", "aborted": "stopped", "suspended": "on-hold", "nullified": "entered-in-error"}, "unknown")
	if negated(e) {
		state = "not-done"
	}
	c.put(m, e, append(also, fhir.Set{Path: "status", Value: state})...)
	return true
}

func (c *clinical) taken(e *ccda.Element, d drug) bool {
	rid, known := c.name("MedicationStatement", e, d.cd, start(e))
	if known {
		return c.again("MedicationStatement", rid)
	}
	m := r4.MedicationStatement{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: c.subject(), MedicationCodeableConcept: *d.code,
		ReasonCode: c.reasonsOf(e), Note: c.notesOf(e),
	}
	var bounds *r4.Period
	m.Dosage, bounds, m.EffectiveDateTime = c.dosage(e)
	m.EffectivePeriod = bounds
	state := saidStatus(e, statementStatuses, "unknown")
	if state == "completed" && m.EffectiveDateTime == nil && (bounds == nil || bounds.End == nil) {
		state = "active"
	}
	if negated(e) {
		state = "not-taken"
	}
	if _, at := c.authored(e); at != nil {
		m.DateAsserted = at
	}
	if who := c.authors(e); who != nil && strings.HasPrefix(deref(who[0].Reference), "Practitioner") {
		m.InformationSource = &who[0]
	}
	c.put(m, e, fhir.Set{Path: "status", Value: state})
	for r := range e.All("entryRelationship") {
		if s := ccda.Statement(r); s != nil && (s.Has(template+"18") || s.Has(template+"17")) {
			c.statement(s)
		}
	}
	return true
}

func (c *clinical) prescribed(e *ccda.Element, d drug) bool {
	rid, known := c.name("MedicationRequest", e, d.cd, start(e))
	if known {
		return c.again("MedicationRequest", rid)
	}
	m := r4.MedicationRequest{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: c.subject(), MedicationCodeableConcept: *d.code,
		ReasonCode: c.reasonsOf(e), Note: c.notesOf(e),
	}
	if negated(e) {
		m.DoNotPerform = ptr(true)
	}
	m.DosageInstruction, _, _ = c.dosage(e)
	m.Requester, m.AuthoredOn = c.authored(e)
	intent := "order"
	if mood := e.Attr("moodCode"); mood != "INT" && mood != "RQO" {
		intent = or(actIntents[mood], "plan")
	} else if e.Has(template+"42") || e.Has(template+"120") {
		intent = "plan"
	}
	for _, s := range related(e, "17") {
		m.DispenseRequest = c.dispenseRequest(s)
	}
	c.put(m, e, fhir.Set{Path: "status", Value: saidStatus(e, prescriptionStatuses, "unknown")}, fhir.Set{Path: "intent", Value: intent})
	for _, s := range related(e, "18") {
		c.statement(s)
	}
	return true
}

func (c *clinical) dispenseRequest(s *ccda.Element) *r4.MedicationRequestDispenseRequest {
	out := &r4.MedicationRequestDispenseRequest{Quantity: quantityOf(ccda.PQOf(s.Child("quantity"))), ValidityPeriod: c.periodOf(s.Child("effectiveTime"))}
	if n, _, ok := number32(s.Child("repeatNumber").Attr("value")); ok && n > 0 { // all dispenses there, those after the first here
		n--
		out.NumberOfRepeatsAllowed = &n
	}
	if out.Quantity == nil && out.ValidityPeriod == nil && out.NumberOfRepeatsAllowed == nil {
		return nil
	}
	return out
}

// supplyOrder maps a Medication Supply Order that stands beside what was taken.
func (c *clinical) supplyOrder(e *ccda.Element) bool {
	d := c.drugOf(e.At("product/manufacturedProduct"))
	if d.code == nil {
		return false
	}
	rid, known := c.name("MedicationRequest", e, d.cd, start(e))
	if known {
		return c.again("MedicationRequest", rid)
	}
	m := r4.MedicationRequest{Id: &rid, Identifier: c.identifiersOf(e), Subject: c.subject(), MedicationCodeableConcept: *d.code, DispenseRequest: c.dispenseRequest(e)}
	m.Requester, m.AuthoredOn = c.authored(e)
	c.put(m, e, fhir.Set{Path: "status", Value: saidStatus(e, prescriptionStatuses, "unknown")}, fhir.Set{Path: "intent", Value: "order"})
	return true
}

// dispense maps a Medication Dispense.
func (c *clinical) dispense(e *ccda.Element) bool {
	d := c.drugOf(e.At("product/manufacturedProduct"))
	if d.code == nil {
		return false
	}
	rid, known := c.name("MedicationDispense", e, d.cd, start(e))
	if known {
		return c.again("MedicationDispense", rid)
	}
	m := r4.MedicationDispense{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: ptr(c.subject()), MedicationCodeableConcept: *d.code,
		Quantity: quantityOf(ccda.PQOf(e.Child("quantity"))), WhenHandedOver: c.timeOf(start(e)),
	}
	for _, who := range c.performersOf(e) {
		m.Performer = append(m.Performer, r4.MedicationDispensePerformer{Actor: who})
	}
	state := map[string]string{"completed": "completed", "aborted": "stopped", "active": "in-progress"}
	c.put(m, e, fhir.Set{Path: "status", Value: saidStatus(e, state, "unknown")})
	return true
}

// dosage maps how and when a drug is taken. The first interval bounds it: it is given
// back as well, a single time as such.
func (c *clinical) dosage(e *ccda.Element) (all []r4.Dosage, bounds *r4.Period, at *string) {
	d := r4.Dosage{Route: c.conceptIn(e, "routeCode"), Site: c.conceptIn(e, "approachSiteCode")}
	var timing r4.Timing
	repeat := r4.TimingRepeat{}
	var words []string
	for t := range e.All("effectiveTime") {
		switch {
		case t.Type() == "PIVL_TS" || t.Child("period") != nil:
			c.periodic(t, &repeat)
		case t.Type() == "EIVL_TS" || t.Child("event") != nil:
			if event := t.Child("event").Attr("code"); eventTimings[event] {
				repeat.When = append(repeat.When, event)
			}
		case bounds == nil && at == nil:
			i := ccda.IntervalOf(t)
			if i.Value != "" {
				at = c.timeOf(i.Value)
			} else {
				bounds = period(c.timeOf(i.Low), c.timeOf(i.High))
			}
		}
	}
	if at != nil {
		timing.Event = []string{*at}
	}
	repeat.BoundsPeriod = bounds
	if repeat.BoundsPeriod != nil || repeat.Period != nil || repeat.When != nil {
		timing.Repeat = &repeat
	}
	if timing.Event != nil || timing.Repeat != nil {
		d.Timing = &timing
	}
	dose := r4.DosageDoseAndRate{}
	dose.DoseQuantity, dose.DoseRange = rangeOfPQ(ccda.RangeOf(e.Child("doseQuantity")))
	dose.RateQuantity, dose.RateRange = rangeOfPQ(ccda.RangeOf(e.Child("rateQuantity")))
	if dose.DoseQuantity != nil || dose.DoseRange != nil || dose.RateQuantity != nil || dose.RateRange != nil {
		d.DoseAndRate = []r4.DosageDoseAndRate{dose}
	}
	d.MaxDosePerPeriod = ratioOf(e.Child("maxDoseQuantity"))
	for pre := range e.All("precondition") {
		d.AsNeededBoolean = ptr(true)
		for v := range pre.Child("criterion").All("value") {
			if cc := c.conceptOf(c.doc.CD(v)); cc != nil {
				d.AsNeededBoolean, d.AsNeededCodeableConcept = nil, cc
			}
		}
	}
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		switch {
		case s == nil:
		case s.Name == "substanceAdministration" && (s.Child("code").Attr("code") == "76662-6" || s.Has(template+"147")):
			words = append(words, clean(c.doc.Words(s.Child("text"))))
		case s.Name == "act" && s.Has(template+"20"):
			if text := clean(c.doc.Words(s.Child("text"))); text != "" && d.PatientInstruction == nil {
				d.PatientInstruction = &text
			}
			if code := c.conceptIn(s, "code"); code != nil {
				d.AdditionalInstruction = append(d.AdditionalInstruction, *code)
			}
		}
	}
	d.Text = p(strings.TrimSpace(strings.Join(words, " ")))
	empty := d.Route == nil && d.Site == nil && d.Timing == nil && d.DoseAndRate == nil && d.MaxDosePerPeriod == nil && d.AsNeededBoolean == nil &&
		d.AsNeededCodeableConcept == nil && d.Text == nil && d.PatientInstruction == nil && d.AdditionalInstruction == nil
	if empty {
		return nil, bounds, at
	}
	return []r4.Dosage{d}, bounds, at
}

// eventTimings are the codes that FHIR's EventTiming shares with CDA.
var eventTimings = map[string]bool{"HS": true, "WAKE": true, "C": true, "CM": true, "CD": true, "CV": true, "AC": true, "ACM": true, "ACD": true, "ACV": true, "PC": true, "PCM": true, "PCD": true, "PCV": true}

// periodic maps a PIVL_TS. A frequency that an institution sets its hours for is said
// as times a day, "three times a day", not "every eight hours".
func (c *clinical) periodic(t *ccda.Element, repeat *r4.TimingRepeat) {
	e := t.Child("period")
	q, upper := ccda.PQOf(e), ccda.PQ{}
	if !q.Known() {
		q, upper = ccda.PQOf(e.Child("low")), ccda.PQOf(e.Child("high"))
	}
	n, _, ok := number(q.Value)
	unit := strings.ToLower(q.Unit)
	if unit == "hr" {
		unit = "h"
	}
	if !ok || !strings.Contains(" s min h d wk mo a ", " "+unit+" ") || unit == "" {
		return
	}
	frequency := 1
	if hours, _, whole := number32(q.Value); whole && unit == "h" && hours > 0 && 24%hours == 0 && t.Attr("institutionSpecified") == "true" && !upper.Known() {
		frequency, n, unit = 24/hours, json.Number("1"), "d"
	}
	repeat.Frequency, repeat.Period, repeat.PeriodUnit = &frequency, &n, &unit
	if most, _, ok := number(upper.Value); ok {
		repeat.PeriodMax = &most
	}
}

// immunization maps an Immunization Activity; what is only planned is a request.
//
// Source: C-CDA on FHIR, CF-immunizations.
func (c *clinical) immunization(e *ccda.Element) bool {
	d := c.drugOf(e.At("consumable/manufacturedProduct"))
	if d.code == nil {
		if words := clean(c.doc.Words(e.Child("text"))); words != "" {
			d.code = &r4.CodeableConcept{Text: &words}
		}
	}
	if d.code == nil {
		return false
	}
	if mood := e.Attr("moodCode"); mood != "EVN" && mood != "" {
		return c.prescribed(e, d)
	}
	rid, known := c.name("Immunization", e, d.cd, start(e))
	if known {
		return c.again("Immunization", rid)
	}
	i := r4.Immunization{
		Id: &rid, Identifier: c.identifiersOf(e), Patient: c.subject(), VaccineCode: *d.code, LotNumber: d.lot, ExpirationDate: d.expiry,
		Route: c.conceptIn(e, "routeCode"), Site: c.conceptIn(e, "approachSiteCode"), DoseQuantity: quantityOf(ccda.PQOf(e.Child("doseQuantity"))),
		Manufacturer: c.organizationOf(d.maker), ReasonCode: c.reasonsOf(e), Note: c.notesOf(e),
	}
	var also []fhir.Set
	if at := c.timeOf(start(e)); at != nil {
		i.OccurrenceDateTime = *at
	} else {
		also = append(also, fhir.Set{Path: "_occurrenceDateTime", Value: absent(absence(e.Child("effectiveTime").Null()))})
	}
	state := saidStatus(e, immunizationStatuses, "completed")
	if negated(e) {
		state = "not-done"
	}
	if n, _, ok := number32(e.Child("repeatNumber").Attr("value")); ok && n > 0 {
		i.ProtocolApplied = []r4.ImmunizationProtocolApplied{{DoseNumberPositiveInt: n}}
	}
	for _, who := range c.performersOf(e) {
		i.Performer = append(i.Performer, r4.ImmunizationPerformer{Function: one(fixed(v2System+"0443", "AP", "Administering Provider")), Actor: who})
	}
	for _, s := range related(e, "53") {
		i.StatusReason = c.conceptIn(s, "code")
	}
	_, i.Recorded = c.authored(e)
	c.put(i, e, append(also, fhir.Set{Path: "status", Value: state})...)
	return true
}
