package mapping

import (
	"slices"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// shares are the PRT that tell who has a part in what stands before them, without
// those that are taken back.
type shares []hl7.Segment

// sharesOf are the PRT behind the first segment of that name, before anything but the
// segments that say more of the same.
func sharesOf(g hl7.Group, name string, same ...string) (all shares) {
	for i, s := range g {
		if s.Name() != name {
			continue
		}
		for _, s := range g[i+1:] {
			switch {
			case s.Name() == "PRT":
				all = all.with(s)
			case !slices.Contains(same, s.Name()):
				return all
			}
		}
		break
	}
	return all
}

// with is p and one more.
func (p shares) with(prt hl7.Segment) shares {
	if value(prt.Field(2)) == "D" {
		return p
	}
	return append(p, prt)
}

// inRole are those whose part is one of these: codes of tables 0443 and 0912.
//
// Source: v2-to-FHIR's message maps, conditions on PRT-4.
func (p shares) inRole(codes ...string) (all shares) {
	for _, prt := range p {
		cwe := first(prt.Field(4))
		if slices.Contains(codes, cwe.at(1)) && fromTable(cwe.at(3)) && kinship[cwe.at(3)] == "" {
			all = append(all, prt)
		}
	}
	return all
}

// takers are who the PRT name.
func (b *build) takers(p shares) (all []r4.Reference) {
	for _, prt := range p {
		all = append(all, b.taker(prt)...)
	}
	return all
}

// taker is who a PRT names: its persons, or its organization where it names none.
//
// Source: v2-to-FHIR, PRT[PractitionerRole], and PRT[Organization] by its message maps.
func (b *build) taker(prt hl7.Segment) (all []r4.Reference) {
	h := b.heldByPRT(prt)
	if all = b.holders(h); all == nil && h.role.Organization != nil {
		all = []r4.Reference{*h.role.Organization}
	}
	return all
}

// holding is the part that persons have in something: all that is said of it, in FHIR
// and, for its name, as it was sent.
type holding struct {
	people, addresses hl7.Field
	role              r4.PractitionerRole
	key               []string
}

// more tells whether the part says more of who has it than for whom they act.
func (h holding) more() bool {
	r := h.role
	return r.Specialty != nil || r.Period != nil || r.Telecom != nil || r.Location != nil || r.Identifier != nil
}

func (b *build) heldByPRT(prt hl7.Segment) holding {
	h := holding{people: prt.Field(5), addresses: prt.Field(14), role: r4.PractitionerRole{
		Code: b.concepts(prt.Field(4), "Participation"), Specialty: b.concepts(prt.Field(6), ""), Organization: b.ofUnit(prt.Field(8), prt.Field(7)),
		Period: period(b.dateTime(prt, 11), b.dateTime(prt, 12)), Telecom: b.telecoms(prt.Field(15), "work"),
	}}
	if where := b.location(first(prt.Field(9))); where != nil {
		h.role.Location = []r4.Reference{*where}
	}
	for _, pln := range each(prt.Field(24)) {
		if n := pln.at(1); n != "" {
			h.role.Identifier = append(h.role.Identifier, r4.Identifier{Value: &n, Type: b.concept(pln.in(2), ""), Period: period(nil, b.when(pln.at(4)))})
		}
	}
	for _, f := range [...]int{4, 6, 7, 8, 9, 11, 12, 15, 24} {
		h.key = append(h.key, prt.Field(f).Raw())
	}
	return h
}

// heldByROL is the part that a ROL tells of; its time is where it is named. A number
// of nobody's (ROL-1 "1") only counts the segments.
//
// Source: v2-to-FHIR, ROL[Encounter-PractitionerRole], ROL[Patient-GeneralPractitioner].
func (b *build) heldByROL(rol hl7.Segment) holding {
	h := holding{people: rol.Field(4), addresses: rol.Field(11), role: r4.PractitionerRole{
		Code: b.concepts(rol.Field(3), "ProviderRole"), Organization: b.ofUnit(rol.Field(14), rol.Field(10)), Telecom: b.telecoms(rol.Field(12), "work"),
	}}
	if where := b.location(first(rol.Field(13))); where != nil {
		h.role.Location = []r4.Reference{*where}
	}
	if ei := first(rol.Field(1)); ei.at(2) != "" || ei.at(3) != "" {
		h.role.Identifier = []r4.Identifier{*b.entity(ei, "")}
	}
	for _, f := range [...]int{1, 3, 10, 12, 13, 14} {
		h.key = append(h.key, rol.Field(f).Raw())
	}
	return h
}

// ofUnit is the Organization of an XON, with what kind of unit it is.
func (b *build) ofUnit(xon, kind hl7.Field) *r4.Reference {
	return b.organization(first(xon), func(o *r4.Organization) {
		if c := b.concept(first(kind), ""); c != nil {
			o.Type = []r4.CodeableConcept{*c}
		}
	})
}

// holders are the persons who have a part, each in a PractitionerRole where more is said
// of it. The role is made of all that is said, and called by it: two parts of one person
// never lie over each other.
func (b *build) holders(h holding) (all []r4.Reference) {
	for _, xcn := range each(h.people) {
		who := b.practitionerAt(xcn, h.addresses)
		switch {
		case who == nil:
		case h.role.Organization == nil && !h.more():
			all = append(all, *who)
		default:
			id := b.id("PractitionerRole", append(leadsTo(who), h.key...)...)
			as := h.role
			as.Id, as.Practitioner = &id, who
			b.support(b.at, as)
			all = append(all, refer("PractitionerRole", id))
		}
	}
	return all
}

// persons are the takers that are or stand for a person.
func persons(all []r4.Reference) []r4.Reference {
	return slices.DeleteFunc(all, func(r r4.Reference) bool {
		return r.Type != nil && *r.Type == "Organization" || r.Reference != nil && (*r.Reference)[:4] == "Orga"
	})
}

// deviceOf is what a PRT says of a thing: a Device where more is said than its number,
// which is a reference by it.
//
// Source: v2-to-FHIR, PRT[Device], EI[Device-udiCarrier].
func (b *build) deviceOf(prt hl7.Segment) *r4.Reference {
	var numbers []r4.Identifier
	for _, ei := range each(prt.Field(10)) {
		if id := b.entity(ei, ""); id != nil {
			numbers = append(numbers, *id)
		}
	}
	udi := first(prt.Field(16))
	thing := r4.Device{
		Identifier: numbers, ManufactureDate: b.dateTime(prt, 17), ExpirationDate: b.dateTime(prt, 18), LotNumber: p(value(prt.Field(19))), SerialNumber: p(value(prt.Field(20))),
		DistinctIdentifier: p(first(prt.Field(21)).at(1)), Type: b.concept(first(prt.Field(22)), ""),
	}
	if s := udi.at(1); s != "" {
		thing.UdiCarrier = []r4.DeviceUdiCarrier{{DeviceIdentifier: &s}}
	}
	var key []string
	for f := 16; f <= 22; f++ {
		key = append(key, prt.Field(f).Raw())
	}
	if slices.Max(key) == "" {
		if numbers == nil {
			return nil
		}
		return byIdentifier("Device", &numbers[0])
	}
	id := b.id("Device", append(key, prt.Field(10).Raw())...)
	thing.Id = &id
	b.support(b.at, thing)
	return ptr(refer("Device", id))
}

// takePart adds what the PRT of a result say: who observed it, with what, where.
//
// Source: v2-to-FHIR, ORU_R01, PRT[Observation-Location].
func (b *build) takePart(obs *r4.Observation, all shares) {
	for _, prt := range all {
		if prt.Field(5).Present() {
			obs.Performer = append(obs.Performer, b.taker(prt)...)
		}
		if obs.Device == nil {
			obs.Device = b.deviceOf(prt)
		}
		where := b.location(first(prt.Field(9)))
		if where == nil && prt.Field(14).Present() && !prt.Field(5).Present() {
			if a := b.address(first(prt.Field(14))); a != nil {
				id := b.id("Location", "at", prt.Field(14).Raw())
				b.support(b.at, r4.Location{Id: &id, Address: a})
				where = ptr(refer("Location", id))
			}
		}
		if where != nil {
			obs.Extension = append(obs.Extension, r4.Extension{Url: coreExt + "event-location", ValueReference: where})
		}
	}
}
