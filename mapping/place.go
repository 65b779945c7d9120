package mapping

import (
	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// level is one level of a PL, the largest first.
type level struct {
	part    int    // component of PL
	code    string // of location-physical-type; "" where it has none
	display string
}

// levels are in the guide's default order of size: facility, building, point of
// care, floor, room, bed.
//
// Source: v2-to-FHIR, PL[Location].
var levels = [...]level{
	{4, "si", "Site"},
	{7, "bu", "Building"},
	{1, "", ""},
	{8, "lvl", "Level"},
	{2, "ro", "Room"},
	{3, "bd", "Bed"},
}

// location makes the Locations of a PL, each part of the next larger one, and
// refers to the smallest; nil when it names no place. PL.5 is the smallest one's
// status where it is R4's word for one; its table (0306) is each site's own.
func (b *build) location(pl data) *r4.Reference { return b.place(pl, 0, r4.Address{}) }

// locationWith is location where the address of the smallest place is sent too.
func (b *build) locationWith(pl data, address r4.Address) *r4.Reference {
	return b.place(pl, 0, address)
}

// place is locationWith for a composite that has the parts of a PL after as many
// others, as NDL has, whose status is each place's.
func (b *build) place(pl data, before int, address r4.Address) *r4.Reference {
	var (
		whole   *r4.Reference // the next larger place
		path    []string
		deepest = -1
	)
	for i, l := range levels {
		if pl.in(before+l.part).at(1) != "" {
			deepest = i
		}
	}
	for i, l := range levels {
		name := pl.in(before + l.part).at(1)
		path = append(path, name)
		if name == "" {
			continue
		}
		rid := b.id("Location", path...)
		ref := refer("Location", rid)
		if !b.has("Location", rid) {
			mode, named := r4.LocationModeInstance, b.identifierOf(name, pl.in(before+11), "")
			place := r4.Location{
				Id: &rid, Name: &name, Mode: &mode, PartOf: whole,
				Identifier: []r4.Identifier{*named},
			}
			if id := universalIdentifier(pl.in(before+l.part).at(2), pl.in(before+l.part).at(3)); id != nil {
				place.Identifier = append(place.Identifier, *id)
			}
			if l.code != "" {
				place.PhysicalType = one(fixed("http://terminology.hl7.org/CodeSystem/location-physical-type", l.code, l.display))
			}
			var state r4.LocationStatus
			if (i == deepest || before > 0) && fhirCode("", pl.at(before+5), &state) {
				place.Status = &state
			}
			if i == deepest {
				place.Address = known(address)
				place.Description = p(pl.at(before + 9))
				if id := b.identifierOf(pl.in(before+10).at(1), data{}, ""); id != nil {
					id.Assigner = named.Assigner
					place.Identifier = append(place.Identifier, *id)
				}
			}
			b.support(b.at, place)
		}
		whole = &ref
	}
	return whole
}

// known is nil for an address that says nothing.
func known(a r4.Address) *r4.Address {
	if a.Line == nil && a.City == nil && a.State == nil && a.PostalCode == nil && a.Country == nil && a.District == nil {
		return nil
	}
	return &a
}
