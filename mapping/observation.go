package mapping

import (
	"time"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// about is what the OBX of a group share.
type about struct {
	order   *order
	at      time.Time      // when the results became what they are
	issued  *string        // OBR-22 as an instant
	taken   *string        // OBR-7, where there is no OBR-8
	span    *r4.Period     // OBR-7 to OBR-8
	basedOn []r4.Reference // the ServiceRequest
	report  *r4.Reference  // the DiagnosticReport
	derived []r4.Reference // OBR-26: the result that led to these
	partOf  []r4.Reference // what they were observed in the course of
}

// observation makes the Observation of an OBX, or of the OBX that are lines of
// one text. Its id is made of the order, code and sub-id, so that a later
// status of the same result is a later version of the same Observation.
//
// An *Error is given for what cannot be shown to anyone: a result that does not
// say what was observed, and OBX-11 "U" without a value, which would empty the
// preliminary result it makes final.
//
// Source: v2-to-FHIR, OBX[Observation], OBX[Observation-Component].
func (l *lab) observation(a *about, r result, values []observed) (*r4.Reference, error) {
	obx, last := r.lines[0], r.lines[len(r.lines)-1]
	code := l.concept(first(obx.Field(3)), "")
	if code == nil {
		return nil, fail(obx, 3, "no observation identifier")
	}
	state := value(obx.Field(11))
	if state == "U" && len(values) == 0 {
		return nil, fail(obx, 11, "a new status without the result it belongs to")
	}
	rid := l.own("Observation", l.resultKey(a.order, obx)...)
	subject, specimen := l.subject(), l.specimenFor(a.order, r)
	obs := r4.Observation{
		Id:             &rid,
		BasedOn:        a.basedOn,
		PartOf:         a.partOf,
		Category:       append(l.kindOfResult(obx), l.category(a, obx, code, specimen)...),
		Code:           *code,
		Subject:        &subject,
		Encounter:      l.encounter(),
		Issued:         a.issued,
		Performer:      l.performers(obx),
		Interpretation: l.interpretations(obx.Field(8)),
		Note:           l.annotations(r.notes),
		BodySite:       l.concept(first(obx.Field(20)), ""),
		Method:         l.concept(first(obx.Field(17)), ""),
		Specimen:       specimen,
		Device:         l.device(obx),
		DerivedFrom:    a.derived,
		ReferenceRange: l.ranges(obx),
		Extension:      l.resultExtensions(obx, last),
	}
	if id := l.numbered(first(obx.Field(21)), "FILL"); id != nil {
		obs.Identifier = []r4.Identifier{*id}
	}
	if obs.EffectiveDateTime = l.dateTime(obx, 14); obs.EffectiveDateTime == nil {
		obs.EffectiveDateTime, obs.EffectivePeriod = a.taken, a.span
	}
	switch len(values) {
	case 0:
		obs.DataAbsentReason = l.whyAbsent(obx, state)
	case 1:
		values[0].into(&obs)
	default:
		for _, v := range values {
			obs.Component = append(obs.Component, v.component(*code))
		}
	}
	l.takePart(&obs, r.shares)
	l.addAt(a.at, obs, status("status", "ObservationResultStatusCodesInterpretation", state, "0085")...)
	ref := refer("Observation", rid)
	l.results = append(l.results, given{a.order, obx, ref})
	return &ref, nil
}

// kindOfResult is OBX-29, a code of table 0936.
func (l *lab) kindOfResult(obx hl7.Segment) []r4.CodeableConcept {
	if code := value(obx.Field(29)); code != "" {
		return []r4.CodeableConcept{*tableCode(code, "0936")}
	}
	return nil
}

// resultKey is what a result is called by, within its order.
func (l *lab) resultKey(o *order, obx hl7.Segment) []string {
	key := append(o.key[:len(o.key):len(o.key)], conceptKey(first(obx.Field(3)))...)
	if sub := clean(obx.Field(4).Raw()); sub != "" && !obx.Field(4).Null() {
		key = append(key, "sub", sub)
	}
	return key
}

// given is a result of the message.
type given struct {
	order *order
	obx   hl7.Segment
	ref   r4.Reference
}

// parent is the result by what OBR-26 and OBR-29 of its children say: order
// number, code and sub-id.
func (l *lab) parent(number, code, sub string) (r4.Reference, bool) {
	for _, r := range l.results[l.read:] {
		for _, placed := range [...]data{r.order.placer(), r.order.filler()} {
			if n := placed.at(1); n != "" {
				l.parents[parentKey(n, first(r.obx.Field(3)).at(1), clean(r.obx.Field(4).String()))] = r.ref
			}
		}
	}
	l.read = len(l.results)
	ref, ok := l.parents[parentKey(number, code, sub)]
	return ref, ok
}

func (l *lab) parentResult(obr hl7.Segment) []r4.Reference {
	prl, eip := first(obr.Field(26)), first(obr.Field(29))
	code := prl.in(1).at(1)
	if code == "" {
		return nil
	}
	for _, number := range []string{eip.in(1).at(1), eip.in(2).at(1)} {
		if number == "" {
			continue
		}
		if ref, ok := l.parent(number, code, prl.at(2)); ok {
			return []r4.Reference{ref}
		}
	}
	return nil
}

func parentKey(number, code, sub string) string { return number + "\x00" + code + "\x00" + sub }

// whyAbsent says why there is no value, where the message does.
//
// Source: v2-to-FHIR, OBX[Observation], row OBX-11; OBX-32 has no row there,
// but is FHIR's element by its definition.
func (l *lab) whyAbsent(obx hl7.Segment, state string) *r4.CodeableConcept {
	if state == "N" {
		return one(fixed("http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-asked", "Not Asked"))
	}
	return l.concept(first(obx.Field(32)), "")
}

// interpretations maps OBX-8. Flags of table 0078 are codes; others, such as
// "N/A", stay the text they are.
func (l *lab) interpretations(f hl7.Field) []r4.CodeableConcept {
	var all []r4.CodeableConcept
	for _, cwe := range each(f) {
		flag := cwe.at(1)
		if m, ok := lookup("InterpretationCodes", flag); ok && fromTable(cwe.at(3)) && cwe.at(2) == "" && cwe.at(4) == "" {
			all = append(all, *one(fixed(m.system, m.code, m.display)))
			continue
		}
		c := l.concept(cwe, "InterpretationCodes")
		if c != nil && len(c.Coding) == 1 && c.Coding[0].System == nil && c.Coding[0].Display == nil && c.Text == nil {
			c = &r4.CodeableConcept{Text: c.Coding[0].Code}
		}
		if c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// ranges maps OBX-7: its text always, its bounds where they are unmistakable.
func (l *lab) ranges(obx hl7.Segment) []r4.ObservationReferenceRange {
	text := clean(obx.Field(7).Text())
	if text == "" {
		return nil
	}
	low, high := limits(text)
	rr := r4.ObservationReferenceRange{Text: &text}
	units := first(obx.Field(6))
	if low != "" {
		rr.Low = l.quantity(string(low), units)
	}
	if high != "" {
		rr.High = l.quantity(string(high), units)
	}
	return []r4.ObservationReferenceRange{rr}
}

// performers are OBX-16, the producer of OBX-15, and the organization of OBX-23
// with its director, who directs it in a PractitionerRole.
func (l *lab) performers(obx hl7.Segment) []r4.Reference {
	all := l.practitioners(obx.Field(16))
	if producer := l.producer(first(obx.Field(15))); producer != nil {
		all = append(all, *producer)
	}
	org := l.organization(first(obx.Field(23)), func(o *r4.Organization) { o.Address = l.addresses(obx.Field(24)) })
	if org != nil {
		all = append(all, *org)
	}
	if director := l.practitioner(first(obx.Field(25))); director != nil {
		directs := one(fixed(v2System+"0912", "MDIR", "Medical Director"))
		all = append(all, *l.roleOf(director, org, *directs))
	}
	return all
}

// producer makes the Organization a CWE names and refers to it; by its number where
// it has no name, nil without both.
//
// Source: v2-to-FHIR, CWE[Organization].
func (l *lab) producer(cwe data) *r4.Reference {
	id, name := l.codeIdentifier(cwe), cwe.at(2)
	if id == nil || name == "" {
		return byIdentifier("Organization", id)
	}
	rid := l.id("Organization", "code", *id.Value, cwe.at(3), name)
	ref := refer("Organization", rid)
	l.support(l.at, r4.Organization{Id: &rid, Identifier: []r4.Identifier{*id}, Name: &name})
	return &ref
}

// codeIdentifier is the code of a CWE as an identifier.
//
// Source: v2-to-FHIR, CWE[Organization], CWE[Identifier].
func (l *lab) codeIdentifier(cwe data) *r4.Identifier {
	code := cwe.at(1)
	if code == "" {
		code = cwe.at(2)
	}
	if code == "" {
		return nil
	}
	return &r4.Identifier{Value: &code, System: p(l.feed.coding(cwe.at(3), cwe.at(14)))}
}

// device is OBX-18, by its identifier.
func (l *lab) device(obx hl7.Segment) *r4.Reference {
	return byIdentifier("Device", l.entity(first(obx.Field(18)), ""))
}

// resultExtensions are the sub-id, the nature of the abnormal test and the time
// of the analysis.
//
// Source: v2-to-FHIR, OBX[Observation], rows OBX-4, OBX-10, OBX-19; OG[Extension-Subidentifier].
func (l *lab) resultExtensions(obx, last hl7.Segment) []r4.Extension {
	var all []r4.Extension
	if og := first(obx.Field(4)); og.present() {
		parts := []r4.Extension{}
		for i, name := range []string{"original-sub-identifier", "group", "sequence", "identifier"} {
			s := og.at(i + 1)
			if s == "" {
				continue
			}
			part := r4.Extension{Url: name, ValueString: &s}
			if n, same, ok := number(s); ok && same && (name == "group" || name == "sequence") {
				part = r4.Extension{Url: name, ValueDecimal: &n}
			}
			parts = append(parts, part)
		}
		if len(parts) > 0 {
			all = append(all, r4.Extension{Url: coreExt + "observation-v2-subid", Extension: parts})
		}
	}
	for _, nature := range l.concepts(obx.Field(10), "NatureOfAbnormalTesting") {
		all = append(all, r4.Extension{Url: coreExt + "observation-nature-of-abnormal-test", ValueCodeableConcept: &nature})
	}
	if kind := value(obx.Field(30)); kind != "" {
		all = append(all, r4.Extension{Url: coreExt + "observation-structure-type", ValueCodeableConcept: tableCode(kind, "0937")})
	}
	if at := l.dateTime(last, 19); at != nil {
		all = append(all, r4.Extension{Url: coreExt + "observation-analysis-date-time", ValueDateTime: at})
	}
	return all
}
