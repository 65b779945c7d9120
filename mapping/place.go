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
// refers to the smallest; nil when it names no place.
func (b *build) location(pl data) *r4.Reference { return b.locationWith(pl, r4.Address{}) }

// locationWith is location where the address of the smallest place is sent too.
func (b *build) locationWith(pl data, address r4.Address) *r4.Reference {
	var (
		whole   *r4.Reference // the next larger place
		path    []string
		deepest = -1
	)
	for i, l := range levels {
		if pl.in(l.part).at(1) != "" {
			deepest = i
		}
	}
	for i, l := range levels {
		name := pl.in(l.part).at(1)
		path = append(path, name)
		if name == "" {
			continue
		}
		rid := b.id("Location", path...)
		ref := refer("Location", rid)
		if !b.has("Location", rid) {
			mode := r4.LocationModeInstance
			place := r4.Location{
				Id: &rid, Name: &name, Mode: &mode, PartOf: whole,
				Identifier: []r4.Identifier{{Value: &name, System: p(b.feed.system(pl.in(11)))}},
			}
			if l.code != "" {
				place.PhysicalType = one(fixed("http://terminology.hl7.org/CodeSystem/location-physical-type", l.code, l.display))
			}
			if i == deepest {
				place.Address = known(address)
				place.Description = p(pl.at(9))
				if id := b.identifierOf(pl.in(10).at(1), data{}, ""); id != nil {
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
