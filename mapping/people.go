package mapping

import (
	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// practitioner makes the Practitioner an XCN names, as practitionerOf does.
func (b *build) practitioner(xcn data) *r4.Reference {
	text, level := xcn.raw()
	if text == "" {
		return nil
	}
	return b.once(b.on("practitioner", text, level), func(b *build) *r4.Reference { return b.practitionerOf(xcn) })
}

// practitionerOf makes the Practitioner an XCN names and refers to it; nil when it
// names nobody. A number without a name makes no resource, which would lie over
// one that has the name: it becomes a reference by identifier.
//
// Source: v2-to-FHIR, XCN[Practitioner], FN[HumanName].
func (b *build) practitionerOf(xcn data) *r4.Reference { return b.practitionerAt(xcn, hl7.Field{}) }

// practitionerAt is practitionerOf where the message tells the person's addresses
// too. One whose address is told is called by that as well: what another order
// tells of the same person must not show in this one's.
func (b *build) practitionerAt(xcn data, addresses hl7.Field) *r4.Reference {
	number, family, given := xcn.at(1), xcn.in(2).at(1), xcn.at(3)
	id := b.identifierOf(number, xcn.in(9), xcn.at(13))
	if family == "" && given == "" {
		return byIdentifier("Practitioner", id)
	}
	name := b.nameOf(xcn)
	parts := []string{"name", family, given, xcn.at(4)}
	if number != "" {
		parts = []string{number, b.feed.authorityOf(xcn.in(9))}
	}
	if addresses.Present() {
		parts = append(parts, "at", addresses.Raw())
	}
	rid := b.id("Practitioner", parts...)
	ref := refer("Practitioner", rid)
	if b.has("Practitioner", rid) {
		return &ref
	}
	who := r4.Practitioner{Id: &rid, Name: []r4.HumanName{name}, Address: b.addresses(addresses)}
	if id != nil {
		id.Extension = checkDigit(xcn.at(11), xcn.at(12))
		who.Identifier = []r4.Identifier{*id}
	}
	if degree := xcn.at(7); degree != "" {
		concept := coded(degree)
		if c, ok := lookup("DegreeLicenseCertificate", degree); ok {
			concept = one(fixed(c.system, c.code, c.display))
		}
		who.Qualification = []r4.PractitionerQualification{{Code: *concept}}
	}
	var surname []fhir.Set
	if parts := surnameParts(xcn.in(2)); parts != nil {
		surname = []fhir.Set{{Path: "name[0]._family", Value: fhir.Object{{Name: "extension", Value: parts}}}}
	}
	b.support(b.at, who, surname...)
	return &ref
}

// nameOf is the name of an XCN.
//
// Source: v2-to-FHIR, XCN[Practitioner], XCN[RelatedPerson].
func (b *build) nameOf(xcn data) r4.HumanName {
	name := r4.HumanName{
		Family:    p(xcn.in(2).at(1)),
		Given:     some(xcn.at(3), xcn.at(4)),
		Suffix:    some(xcn.at(5), xcn.at(21)),
		Prefix:    some(xcn.at(6)),
		Use:       nameUse(xcn.at(10)),
		Period:    period(b.when(xcn.at(19)), b.when(xcn.at(20))),
		Extension: assemblyOrder(xcn.at(18)),
	}
	if name.Period == nil {
		name.Period = b.rangeOf(xcn.in(17))
	}
	return name
}

// surnameParts says which parts of a family name are one's own and which are of
// the partner's.
//
// Source: v2-to-FHIR, FN[HumanName].
func surnameParts(fn data) []r4.Extension {
	var all []r4.Extension
	for i, part := range [...]string{"own-prefix", "own-name", "partner-prefix", "partner-name"} {
		all = append(all, stringExtension("humanname-"+part, fn.at(i+2))...)
	}
	return all
}

// roleOf makes the PractitionerRole of a person who acts for an organization, and
// refers to it; with one of the two alone to that, nil with none. code says what the
// person is there.
//
// Its id is made of whom it joins: it holds nothing else.
//
// Source: v2-to-FHIR, ORC[ServiceRequest], row ORC-21; OBX[Observation], row OBX-25.
func (b *build) roleOf(person, org *r4.Reference, code ...r4.CodeableConcept) *r4.Reference {
	switch {
	case person == nil:
		return org
	case org == nil:
		return person
	}
	parts := append(leadsTo(person), leadsTo(org)...)
	for _, c := range code {
		parts = append(parts, *c.Coding[0].Code)
	}
	rid := b.id("PractitionerRole", parts...)
	b.support(b.at, r4.PractitionerRole{Id: &rid, Practitioner: person, Organization: org, Code: code})
	return ptr(refer("PractitionerRole", rid))
}

// leadsTo is what a reference leads to, or by which number.
func leadsTo(ref *r4.Reference) []string {
	if ref.Reference != nil {
		return []string{*ref.Reference, ""}
	}
	id := ref.Identifier
	if id.System != nil {
		return []string{*id.Value, *id.System}
	}
	return []string{*id.Value, ""}
}

// practitioners maps the repetitions of an XCN field. Old feeds repeat one
// person under several identifiers; each is a reference of its own.
func (b *build) practitioners(f hl7.Field) []r4.Reference {
	var all []r4.Reference
	for _, xcn := range each(f) {
		if ref := b.practitioner(xcn); ref != nil {
			all = append(all, *ref)
		}
	}
	return all
}

// identifierOf is an identifier from its parts, nil without a number. Its assigner
// is an Organization where more is sent of it than its name, which is the system.
func (b *build) identifierOf(number string, authority data, typ string) *r4.Identifier {
	if number == "" {
		return nil
	}
	id := &r4.Identifier{Value: &number, System: p(b.feed.system(authority)), Type: b.identifierType(typ)}
	if authority.at(2) != "" {
		id.Assigner = b.facility(authority)
	}
	return id
}

// byIdentifier is a logical reference, nil without an identifier.
func byIdentifier(typ string, id *r4.Identifier) *r4.Reference {
	if id == nil {
		return nil
	}
	return &r4.Reference{Type: &typ, Identifier: id}
}

// organization makes the Organization an XON names and refers to it; nil when
// it names none. A number without a name is a reference by identifier.
//
// Source: v2-to-FHIR, XON[Organization].
func (b *build) organization(xon data, also ...func(*r4.Organization)) *r4.Reference {
	name, number := xon.at(1), xon.at(10)
	if number == "" {
		number = xon.at(3)
	}
	id := b.identifierOf(number, xon.in(6), xon.at(7))
	if name == "" {
		return byIdentifier("Organization", id)
	}
	parts := []string{"name", name}
	if number != "" {
		parts = []string{number, b.feed.authorityOf(xon.in(6))}
	}
	rid := b.id("Organization", parts...)
	ref := refer("Organization", rid)
	if b.has("Organization", rid) {
		return &ref
	}
	org := r4.Organization{Id: &rid, Name: &name}
	if id != nil {
		id.Extension = checkDigit(xon.at(4), xon.at(5))
		org.Identifier = []r4.Identifier{*id}
	}
	for _, f := range also {
		f(&org)
	}
	b.support(b.at, org)
	return &ref
}

// facility makes the Organization an HD names, such as MSH-4, and refers to it.
//
// Source: v2-to-FHIR, HD[Organization]; the namespace is its name as well, for
// it has no other.
func (b *build) facility(hd data) *r4.Reference {
	name, universal, kind := hd.at(1), hd.at(2), hd.at(3)
	if name == "" && universal == "" {
		return nil
	}
	rid := b.id("Organization", "facility", name, universal)
	ref := refer("Organization", rid)
	if b.has("Organization", rid) {
		return &ref
	}
	org := r4.Organization{Id: &rid, Name: p(name)}
	if name != "" {
		org.Identifier = append(org.Identifier, r4.Identifier{Value: &name})
	}
	if id := universalIdentifier(universal, kind); id != nil {
		org.Identifier = append(org.Identifier, *id)
	}
	b.support(b.at, org)
	return &ref
}

// universalIdentifier is the universal id of an HD with the kind that it is of,
// nil without one.
//
// Source: v2-to-FHIR, HD[Organization], HD[Identifier], concept map UniversalIDType.
func universalIdentifier(universal, kind string) *r4.Identifier {
	if universal == "" {
		return nil
	}
	id := r4.Identifier{Value: &universal}
	if uri := universalURI(universal, kind); uri != "" {
		rfc := "urn:ietf:rfc:3986"
		id.System, id.Value = &rfc, &uri
	}
	if c, ok := lookup("UniversalIDType", kind); ok {
		id.Type = one(fixed(c.system, c.code, ""))
	}
	return &id
}
