package mapping

import (
	"firebreak/adapters/hl7"

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
// Source: v2-to-FHIR, XCN[Practitioner].
func (b *build) practitionerOf(xcn data) *r4.Reference {
	number, family, given := xcn.at(1), xcn.in(2).at(1), xcn.at(3)
	id := b.identifierOf(number, xcn.in(9), xcn.at(13))
	if family == "" && given == "" {
		return byIdentifier("Practitioner", id)
	}
	name := r4.HumanName{
		Family: p(family),
		Given:  some(given, xcn.at(4)),
		Suffix: some(xcn.at(5), xcn.at(21)),
		Prefix: some(xcn.at(6)),
		Use:    nameUse(xcn.at(10)),
		Period: period(b.when(xcn.at(19)), b.when(xcn.at(20))),
	}
	parts := []string{"name", family, given, xcn.at(4)}
	if number != "" {
		parts = []string{number, b.feed.authorityOf(xcn.in(9))}
	}
	rid := b.id("Practitioner", parts...)
	ref := refer("Practitioner", rid)
	if b.has("Practitioner", rid) {
		return &ref
	}
	who := r4.Practitioner{Id: &rid, Name: []r4.HumanName{name}}
	if id != nil {
		who.Identifier = []r4.Identifier{*id}
	}
	if degree := xcn.at(7); degree != "" {
		concept := coded(degree)
		if c, ok := lookup("DegreeLicenseCertificate", degree); ok {
			concept = one(fixed(c.system, c.code, c.display))
		}
		who.Qualification = []r4.PractitionerQualification{{Code: *concept}}
	}
	b.support(b.at, who)
	return &ref
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

// identifierOf is an identifier from its parts, nil without a number.
func (b *build) identifierOf(number string, authority data, typ string) *r4.Identifier {
	if number == "" {
		return nil
	}
	return &r4.Identifier{Value: &number, System: p(b.feed.system(authority)), Type: b.identifierType(typ)}
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
	if uri := universalURI(universal, kind); uri != "" {
		rfc := "urn:ietf:rfc:3986"
		org.Identifier = append(org.Identifier, r4.Identifier{System: &rfc, Value: &uri})
	} else if universal != "" {
		org.Identifier = append(org.Identifier, r4.Identifier{Value: &universal})
	}
	b.support(b.at, org)
	return &ref
}
