package mapping

import (
	"encoding/json"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// rx is one RXO, RXE, RXD or RXA of an order group, and what stands under it.
type rx struct {
	seg            hl7.Segment
	notes          []hl7.Segment // NTE
	timing         hl7.Segment   // TQ1
	routes, things []hl7.Segment // RXR, RXC
}

// fields are where a segment says what the others say elsewhere; 0: nowhere.
type fields struct {
	code, low, high, units, form, text, instruction, substitution, amount, amountUnits, refills, prescriber, number,
	rate, rateUnits, daily, strength, strengthUnits, indication, pharmacy, interval int
}

// Source: HL7 v2.9 chapter 4A.4.
var (
	rxo = fields{code: 1, low: 2, high: 3, units: 4, form: 5, text: 6, instruction: 7, substitution: 9, amount: 11, amountUnits: 12, refills: 13,
		prescriber: 14, strength: 18, strengthUnits: 19, indication: 20, rate: 21, rateUnits: 22, daily: 23, interval: 28, pharmacy: 32}
	rxe = fields{code: 2, low: 3, high: 4, units: 5, form: 6, text: 7, instruction: 21, substitution: 9, amount: 10, amountUnits: 11, refills: 12,
		prescriber: 13, number: 15, daily: 19, rate: 23, rateUnits: 24, strength: 25, strengthUnits: 26, indication: 27, pharmacy: 40}
	rxd = fields{code: 2, amount: 4, amountUnits: 5, form: 6, number: 7, daily: 12, instruction: 15, strength: 16, strengthUnits: 17, indication: 21}
	rxa = fields{code: 5, low: 6, units: 7, form: 8, strength: 13, strengthUnits: 14, indication: 19}
)

// pharmacy maps orders of drugs and what comes of them: OMP^O09 and its answer,
// RDE^O11 and O25, RDS^O13, RAS^O17 and theirs. RXO and RXE are
// MedicationRequests, RXD a MedicationDispense, RXA a MedicationAdministration.
//
// RDS and RAS repeat the order that they fill: that is a reminder of it, unless
// the message gives it a status.
//
// Source: v2-to-FHIR, RXO[MedicationRequest], RXR[MedicationRequest],
// TQ1[MedicationRequest], ORC[MedicationAdministration]; HL7 v2.9 chapter 4A for
// RXE, RXD and RXA, which the guide has no maps to these for.
func (b *build) pharmacy() error {
	groups := b.msg.Groups("ORC")
	if len(groups) == 0 {
		groups = b.msg.Groups("RXO RXE RXD RXA")
	}
	if len(groups) == 0 {
		return &Error{Segment: "ORC", Reason: "no order: the message has no ORC"}
	}
	b.encounter()
	b.allergies(b.msg.Before("ORC", "RXO", "RXE", "RXD", "RXA"))
	b.bystanders()
	l := b.lab()
	for _, g := range groups {
		o := group(g)
		o.key = l.reportKey(o)
		if err := l.drugs(o, l.typ.Code != "RDS" && l.typ.Code != "RAS"); err != nil {
			return err
		}
	}
	l.finish()
	return nil
}

// drugs maps the drugs of an order group. states tells whether the message is
// about the order, and not only about what came of it.
func (l *lab) drugs(o *order, states bool) error {
	var order *r4.Reference // the last MedicationRequest
	for i, d := range o.drugs {
		switch d.seg.Name() {
		case "RXO", "RXE":
			ref, err := l.prescription(o, d, order, states, i == len(o.drugs)-1)
			if err != nil {
				return err
			}
			if ref != nil {
				order = ref
			}
		case "RXD":
			l.dispense(o, d, order)
		case "RXA":
			l.administration(o, d, order)
		}
	}
	return nil
}

// prescription makes the MedicationRequest of an RXO, or of an RXE, which is the
// same order as the pharmacy made it out. Its OBX are what was asked with it.
//
// The guide maps neither ORC-1 nor ORC-5; here they are read as for other orders,
// in the words of the MedicationRequest. A dose that is not a range is one
// quantity: RXO-2 is then the exact amount.
//
// Strength, form and components are said in words: a Medication of its own would
// be there to be seen where the order is withheld.
//
// Source: v2-to-FHIR, RXO[MedicationRequest]; HL7 v2.9 4A.4.1 and 4A.4.4.
func (l *lab) prescription(o *order, d rx, basedOn *r4.Reference, states, last bool) (*r4.Reference, error) {
	f, intent := rxo, "original-order"
	if d.seg.Name() == "RXE" {
		f, intent = rxe, "filler-order"
	}
	what := l.concept(first(d.seg.Field(f.code)), "")
	if what == nil {
		l.note(d.seg, f.code, "no drug: the order was left out")
		return nil, nil
	}
	number := firstKey("placer", o.placer(), "filler", o.filler())
	if n := value(d.seg.Field(f.number)); number == nil && n != "" {
		number = []string{"prescription", n}
	}
	if number == nil {
		number = l.ownKey(o)
	}
	key := append(append(number[:len(number):len(number)], intent), conceptKey(first(d.seg.Field(f.code)))...)
	rid := l.id("MedicationRequest", key...)
	ref := refer("MedicationRequest", rid)
	var asked []r4.Reference
	if last {
		var err error
		if asked, err = l.asked(o, ref); err != nil {
			return nil, err
		}
	}
	req := r4.MedicationRequest{
		Id: &rid, Identifier: l.numbers(o), Intent: intent, MedicationCodeableConcept: *what, Subject: l.subject(), Encounter: l.encounter(),
		AuthoredOn: l.authored(o), Requester: l.requester(o), Recorder: l.practitioner(first(o.orc.Field(10))), Priority: priority(o), SupportingInformation: asked,
		Note: append(l.composition(d, f), l.annotations(append(o.notes[:len(o.notes):len(o.notes)], d.notes...))...), GroupIdentifier: l.numbered(groupNumber(o), "PGN"),
		Meta: l.confidentiality(o.orc.Field(28)), ReasonCode: l.concepts(d.seg.Field(f.indication), ""),
		DosageInstruction: l.dosage(o, d, f), DispenseRequest: l.toDispense(d, f),
	}
	if n := value(d.seg.Field(f.number)); n != "" {
		req.Identifier = append(req.Identifier, r4.Identifier{Value: &n, Type: l.identifierType("PRN")})
	}
	if req.Requester == nil {
		req.Requester = l.practitioner(first(d.seg.Field(f.prescriber)))
	}
	if basedOn != nil {
		req.BasedOn = []r4.Reference{*basedOn}
	}
	for _, dg1 := range o.diagnoses {
		if ref := l.diagnosis(dg1); ref != nil {
			req.ReasonReference = append(req.ReasonReference, *ref)
		}
	}
	if allowed := l.concept(first(d.seg.Field(f.substitution)), "AllowSubstitution"); allowed != nil {
		req.Substitution = &r4.MedicationRequestSubstitution{AllowedCodeableConcept: *allowed}
	}
	say, known := drugStatus(o)
	if states || known {
		l.add(req, say...)
	} else {
		l.support(reminder(l.at), req, say...)
	}
	return &ref, nil
}

// drugStatus is the status of an order of a drug: that of any order, in the words
// of the MedicationRequest, with the source's code beside it where there is no
// such word. known is false for none.
//
// Source: R4 http://hl7.org/fhir/R4/valueset-medicationrequest-status.html;
// HL7 table 0119: DC, OD, DR and DF end what had begun, the others what had not.
func drugStatus(o *order) (say []fhir.Set, known bool) {
	say = orderStatus(o)
	code, table := orderCode(o)
	switch say[0].Value {
	case "revoked":
		say[0].Value = "cancelled"
		switch code {
		case "DC", "OD", "DR", "DF":
			say[0].Value = "stopped"
		}
	case "unknown":
		if code != "" && len(say) == 1 {
			say = append(say, fhir.Set{Path: "_status", Value: asSent(tableCode(code, table))})
		}
		return say, false
	}
	return say, true
}

// orderCode is ORC-5, or ORC-1 where it is empty, and its table.
func orderCode(o *order) (code, table string) {
	if s := value(o.orc.Field(5)); s != "" {
		return s, "0038"
	}
	return value(o.orc.Field(1)), "0119"
}

// composition says form, strength and components in words, for which there is
// no element besides a Medication's.
func (l *lab) composition(d rx, f fields) []r4.Annotation {
	var all []r4.Annotation
	say := func(parts ...string) {
		if s := strings.Join(some(parts...), ", "); s != "" {
			all = append(all, r4.Annotation{Text: s})
		}
	}
	strength := value(d.seg.Field(f.strength))
	if strength != "" {
		strength = withUnit(strength, first(d.seg.Field(f.strengthUnits)))
	}
	say(textOf(first(d.seg.Field(f.form))), strength)
	for _, rxc := range d.things {
		say(textOf(first(rxc.Field(2))), withUnit(value(rxc.Field(3)), first(rxc.Field(4))), withUnit(value(rxc.Field(5)), first(rxc.Field(6))))
	}
	return all
}

// dosage is how a drug is to be taken; nil when nothing says it. Each RXR beyond
// the first is another way of giving it.
//
// Source: v2-to-FHIR, RXO[MedicationRequest], RXR[MedicationRequest],
// TQ1[MedicationRequest].
func (l *lab) dosage(o *order, d rx, f fields) []r4.Dosage {
	var dose r4.Dosage
	var text []string
	for _, sig := range each(d.seg.Field(f.text)) {
		text = append(text, some(textOf(sig))...)
	}
	tq1 := d.timing
	if !tq1.Exists() {
		tq1 = o.timing
	}
	text = append(text, some(clean(tq1.Field(11).Text()))...)
	dose.Text = p(strings.Join(text, "\n"))
	var patient []string
	for _, cwe := range each(d.seg.Field(f.instruction)) {
		patient = append(patient, some(textOf(cwe))...)
	}
	dose.PatientInstruction = p(strings.Join(patient, "\n"))
	old := first(o.orc.Field(7))
	if d.seg.Name() == "RXE" && d.seg.Field(1).Present() { // its quantity and timing before version 2.5
		old = first(d.seg.Field(1))
	}
	dose.Timing = l.timing(tq1, old)
	if c := clean(tq1.Field(10).Text()); c != "" {
		dose.AdditionalInstruction = append(dose.AdditionalInstruction, r4.CodeableConcept{Text: &c})
	}
	if r := l.doseAndRate(d.seg, f); r != nil {
		dose.DoseAndRate = []r4.DosageDoseAndRate{*r}
	} else if q := l.amount(first(tq1.Field(2))); q != nil {
		dose.DoseAndRate = []r4.DosageDoseAndRate{{DoseQuantity: q}}
	} else if q := l.amountIn(old); q != nil {
		dose.DoseAndRate = []r4.DosageDoseAndRate{{DoseQuantity: q}}
	}
	if most := l.amount(first(d.seg.Field(f.daily))); most != nil {
		dose.MaxDosePerPeriod = &r4.Ratio{Numerator: most, Denominator: &r4.Quantity{Value: ptr(json.Number("1")), Unit: p("day"), System: p(ucum), Code: p("d")}}
	}
	doses := []r4.Dosage{dose}
	for i, rxr := range d.routes {
		if i > 0 {
			doses = append(doses, r4.Dosage{})
		}
		r := &doses[i]
		r.Route = l.concept(first(rxr.Field(1)), "RouteOfAdministration")
		r.Site = l.concept(first(rxr.Field(2)), "BodyParts")
		r.Method = l.concept(first(rxr.Field(4)), "AdministrationMethod")
		if c := l.concept(first(rxr.Field(5)), ""); c != nil {
			r.AdditionalInstruction = append(r.AdditionalInstruction, *c)
		}
	}
	return doses
}

// amountIn is the amount of an old TQ, whose quantity is a CQ of its own.
func (l *lab) amountIn(tq data) *r4.Quantity {
	cq := tq.in(1)
	if cq.at(2) == "" { // a number of times, as well as an amount
		return nil
	}
	return l.amount(cq)
}

// doseAndRate is what is given at a time and how fast; nil when nothing says it.
func (l *lab) doseAndRate(s hl7.Segment, f fields) *r4.DosageDoseAndRate {
	units := first(s.Field(f.units))
	low, high := l.bound(value(s.Field(f.low)), units), l.bound(value(s.Field(f.high)), units)
	rate := l.bound(value(s.Field(f.rate)), first(s.Field(f.rateUnits)))
	if low == nil && high == nil && rate == nil {
		return nil
	}
	all := &r4.DosageDoseAndRate{RateQuantity: rate}
	if s.Name() == "RXO" {
		all.Type = one(fixed("http://terminology.hl7.org/CodeSystem/dose-rate-type", "ordered", "Ordered"))
	}
	if reversed(low, high) {
		l.note(s, f.high, "less than the least amount")
		high = nil
	}
	if high == nil {
		all.DoseQuantity = low
	} else {
		all.DoseRange = &r4.Range{Low: low, High: high}
	}
	return all
}

// toDispense is what the pharmacy is to hand out; nil when nothing says it.
func (l *lab) toDispense(d rx, f fields) *r4.MedicationRequestDispenseRequest {
	r := &r4.MedicationRequestDispenseRequest{Quantity: l.bound(value(d.seg.Field(f.amount)), first(d.seg.Field(f.amountUnits)))}
	if n, _, ok := number32(value(d.seg.Field(f.refills))); ok {
		r.NumberOfRepeatsAllowed = &n
	}
	if days, _, ok := number(value(d.seg.Field(f.interval))); ok {
		r.DispenseInterval = inDays(days)
	}
	if id := l.codeIdentifier(first(d.seg.Field(f.pharmacy))); id != nil {
		r.Performer = byIdentifier("Organization", id)
		r.Performer.Display = p(first(d.seg.Field(f.pharmacy)).at(2))
	}
	if r.Quantity == nil && r.NumberOfRepeatsAllowed == nil && r.DispenseInterval == nil && r.Performer == nil {
		return nil
	}
	return r
}
