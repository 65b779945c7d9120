package mapping

import (
	"slices"
	"strconv"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// lab is a build of orders and what fills them.
type lab struct {
	*build
	keys    map[string]int          // how often an id's parts were used
	results []given                 // Observations in the order made
	read    int                     // how many of them are in parents
	parents map[string]r4.Reference // Observation by order number, code and sub-id
	made    map[int]r4.Reference    // Specimen by the index of its SPM
	later   []func()                // what to make when every order of the message is made
}

func (b *build) lab() *lab {
	return &lab{build: b, keys: map[string]int{}, parents: map[string]r4.Reference{}, made: map[int]r4.Reference{}}
}

func (l *lab) finish() {
	for _, f := range l.later {
		f()
	}
}

// request makes the ServiceRequest of an order group. states tells whether it
// is a version of the order, or only a reminder of it (see reminder), such as a
// result that gives the order no status.
//
// OBR-13, relevant clinical information, becomes a note: the guide's extension
// holds a data type that R4 has not.
//
// Source: v2-to-FHIR, ORC[ServiceRequest], OBR[ServiceRequest], NTE[ServiceRequest].
func (l *lab) request(o *order, states bool, supporting []r4.Reference) {
	req := r4.ServiceRequest{
		Id:                 p(o.requestID),
		Identifier:         l.numbers(o),
		Requisition:        l.numbered(groupNumber(o), "PGN"),
		Intent:             r4.RequestIntentOrder,
		Code:               l.concept(first(o.obr.Field(4)), ""),
		Subject:            l.subject(),
		Encounter:          l.encounter(),
		AuthoredOn:         l.authored(o),
		OccurrenceDateTime: l.dateTime(o.obr, 6),
		Requester:          l.requester(o),
		ReasonCode:         l.concepts(o.obr.Field(31), ""),
		OrderDetail:        append(l.concepts(o.obr.Field(46), ""), l.concepts(o.obr.Field(47), "")...),
		LocationCode:       l.concepts(o.orc.Field(29), "OrderType"),
		SupportingInfo:     supporting,
		Note:               l.requestNotes(o),
		Meta:               l.confidentiality(o.orc.Field(28)),
		BasedOn:            l.parentOrders(o),
		Specimen:           o.specimenRefs,
		Priority:           priority(o),
	}
	detailed(&req, append(each(o.obr.Field(46)), each(o.obr.Field(47))...))
	if value(o.obr.Field(11)) == "G" {
		req.Intent = r4.RequestIntentReflexOrder
	}
	if req.OccurrenceDateTime == nil {
		req.OccurrenceTiming = l.timing(o.timing, first(o.orc.Field(7)), first(o.obr.Field(27)))
	}
	if req.QuantityQuantity = l.amount(first(o.timing.Field(2))); req.QuantityQuantity == nil {
		req.QuantityQuantity = l.amountIn(first(o.orc.Field(7)))
	}
	for _, dg1 := range o.diagnoses {
		if ref := l.diagnosis(dg1); ref != nil {
			req.ReasonReference = append(req.ReasonReference, *ref)
		}
	}
	req.Extension = statusReason("request", l.concept(first(o.orc.Field(16)), ""))
	call := o.obr.Field(17)
	if !call.Present() {
		call = o.orc.Field(14)
	}
	for _, number := range l.telecoms(call, "") {
		req.Extension = append(req.Extension, r4.Extension{Url: coreExt + "servicerequest-order-callback-phone-number", ValueContactPoint: &number})
	}
	if states {
		l.add(req, orderStatus(o)...)
	} else {
		l.support(reminder(l.at), req, orderStatus(o)...)
	}
}

// saysStatus tells whether an order's status is one that the tables know.
func saysStatus(o *order) bool { return orderStatus(o)[0].Value != "unknown" }

// orderStatus is ORC-5 by its table, or ORC-1 where ORC-5 is empty.
func orderStatus(o *order) []fhir.Set {
	if s := value(o.orc.Field(5)); s != "" {
		return status("status", "OrderStatus", s, "0038")
	}
	return status("status", "OrderControlCode[ServiceRequest.status]", value(o.orc.Field(1)), "0119")
}

// numbers are the identifiers of an order.
func (l *lab) numbers(o *order) []r4.Identifier {
	var all []r4.Identifier
	put := func(typ string, eis ...data) {
		for _, ei := range eis {
			if id := l.numbered(ei, typ); id != nil && !hasIdentifier(all, id) {
				all = append(all, *id)
			}
		}
	}
	put("PLAC", append(each(o.obr.Field(2)), each(o.orc.Field(2))...)...)
	put("FILL", append(each(o.obr.Field(3)), each(o.orc.Field(3))...)...)
	put("FGN", first(o.orc.Field(38)))
	if group := first(o.orc.Field(4)); !o.orc.Field(38).Present() && pair(group) {
		put("FGN", group.in(2))
	}
	for _, cx := range append(each(o.obr.Field(53)), each(o.orc.Field(33))...) {
		if id := l.identifier(cx); id != nil && !hasIdentifier(all, id) {
			if id.Type == nil {
				id.Type = numberType("PLAC")
			}
			all = append(all, *id)
		}
	}
	return all
}

// pair tells whether an ORC-4 is an EIP, as in version 2.8: a placer's and a
// filler's number, each with parts of its own.
func pair(group data) bool {
	return group.rep.Component(1).Subs() > 1 || group.rep.Component(2).Subs() > 1
}

// groupNumber is the placer's number of the group that an order is of.
func groupNumber(o *order) data {
	group := first(o.orc.Field(4))
	if pair(group) {
		return group.in(1)
	}
	return group
}

// numbered maps an EI whose field says what kind of number it is, a code of
// table 0203; nil when it has no number.
//
// Source: v2-to-FHIR, EI[Identifier-Extension] and the type rows of ORC, OBR, SPM.
func (b *build) numbered(ei data, typ string) *r4.Identifier {
	id := b.entity(ei, "")
	if id != nil {
		id.Type = numberType(typ)
	}
	return id
}

func numberType(typ string) *r4.CodeableConcept { return one(fixed(v2System+"0203", typ, "")) }

func (l *lab) authored(o *order) *string {
	if value(o.orc.Field(1)) != "NW" {
		return nil
	}
	return l.dateTime(o.orc, 9)
}

// requester is ORC-12, else OBR-16, for the facility that ordered, or that alone.
//
// Source: v2-to-FHIR, ORC[ServiceRequest], rows ORC-12, ORC-21 to ORC-24.
func (l *lab) requester(o *order) *r4.Reference {
	facility := l.organization(first(o.orc.Field(21)), func(org *r4.Organization) {
		org.Address = l.addresses(o.orc.Field(22))
		org.Telecom = l.telecoms(o.orc.Field(23), "work")
	})
	for _, xcn := range each(o.orc.Field(12)) {
		if ref := l.practitionerAt(xcn, o.orc.Field(24)); ref != nil {
			return l.roleOf(ref, facility)
		}
	}
	for _, xcn := range each(o.obr.Field(16)) {
		if ref := l.practitioner(xcn); ref != nil {
			return l.roleOf(ref, facility)
		}
	}
	if all := l.takers(o.shares.inRole("OP")); all != nil && facility == nil {
		return &all[0]
	}
	return facility
}

// requestNotes are the NTE on an order, and OBR-13.
func (l *lab) requestNotes(o *order) []r4.Annotation {
	var all []r4.Annotation
	for _, cwe := range each(o.obr.Field(13)) {
		if s := textOf(cwe); s != "" {
			all = append(all, r4.Annotation{Text: s})
		}
	}
	if s := clean(o.timing.Field(11).Text()); s != "" {
		all = append(all, r4.Annotation{Text: s})
	}
	return append(all, l.annotations(o.notes)...)
}

// parentOrders is OBR-29, the order whose result led to this one. Both may go
// by one number; the reference would then name the order itself.
func (l *lab) parentOrders(o *order) []r4.Reference {
	eip := first(o.obr.Field(29))
	own := append(each(o.obr.Field(2)), each(o.orc.Field(2))...)
	if key := entityKey(eip.in(1)); key != nil && slices.ContainsFunc(own, func(ei data) bool { return slices.Equal(entityKey(ei), key) }) {
		return nil
	}
	if ref := l.mentioned(eip.in(1), eip.in(2)); ref != nil {
		return []r4.Reference{*ref}
	}
	return nil
}

// diagnosis makes the Condition of a DG1 and refers to it, nil when it is none.
func (l *lab) diagnosis(dg1 hl7.Segment) *r4.Reference {
	before := len(l.out.Resources)
	if l.condition(dg1, nil); len(l.out.Resources) == before {
		return nil
	}
	made := l.out.Resources[len(l.out.Resources)-1]
	return ptr(refer(made.Type(), made.ID()))
}

// mentioned refers to an order that the message names by number only; nil
// without a number. Several orders may share it, so it is an identifier and not
// an address.
func (l *lab) mentioned(placer, filler data) *r4.Reference {
	if id := l.numbered(placer, "PLAC"); id != nil {
		return byIdentifier("ServiceRequest", id)
	}
	return byIdentifier("ServiceRequest", l.numbered(filler, "FILL"))
}

// priority is TQ1-9, OBR-5, or the sixth part of the old TQ in ORC-7 or OBR-27.
func priority(o *order) *r4.RequestPriority {
	for _, code := range [...]string{
		value(o.timing.Field(9)), value(o.obr.Field(5)),
		first(o.orc.Field(7)).at(6), first(o.obr.Field(27)).at(6),
	} {
		if code == "" {
			continue
		}
		var prio r4.RequestPriority
		if fhirCode("ExtendedPriorityCodes", code, &prio) {
			return &prio
		}
		return nil
	}
	return nil
}

// confidentiality is what the source itself says of who may see it.
//
// Source: v2-to-FHIR, ORC[ServiceRequest], row ORC-28.
func (b *build) confidentiality(f hl7.Field) *r4.Meta {
	var meta r4.Meta
	for _, cwe := range each(f) {
		if c := b.coding(cwe, "ConfidentialityCode"); c != nil {
			meta.Security = append(meta.Security, *c)
		}
	}
	if meta.Security == nil {
		return nil
	}
	return &meta
}

// own is an id for something the message may hold several of under the same
// parts: the second gets its number, so that none lies over another.
func (l *lab) own(typ string, parts ...string) string {
	key := typ + "\x00" + strings.Join(parts, "\x00")
	l.keys[key]++
	if n := l.keys[key]; n > 1 {
		parts = append(parts[:len(parts):len(parts)], "again", strconv.Itoa(n))
	}
	return l.id(typ, parts...)
}

// detailed makes notes of what more is said, in details, of a service that is not
// named: R4 has a place for it only where there is a code (prr-1).
func detailed(req *r4.ServiceRequest, details []data) {
	if req.Code != nil {
		return
	}
	req.OrderDetail = nil
	for _, cwe := range details {
		if s := textOf(cwe); s != "" {
			req.Note = append(req.Note, r4.Annotation{Text: s})
		}
	}
}
