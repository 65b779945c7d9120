package mapping

import (
	"slices"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// masterFiles is the chart of what a source's master files tell: its staff and its
// places, and nothing of any patient. So it may be shown whole, and what charts name
// is not looked up in it: see docs/architecture.md.
func (k *Keys) masterFiles(source string) string {
	return k.digest(chartBytes, source, "master files")
}

// master maps MFN^M02, staff, and MFN^M05, places: each MFE with what follows it
// states one Practitioner with a PractitionerRole, or one Location. What is taken off
// the file or out of use (MDL, MDC) is no longer active. What a file that replaces
// another (MFI-3 REP) does not hold stays as it was: no message says which that is.
//
// Source: HL7 v2.9 8.7.2 and 8.9.2, which the guide has no maps for; its data type
// maps; R4 practitioner-mappings.html and location-mappings.html, v2.
func (b *build) master() error {
	records := b.msg.Groups("MFE")
	if len(records) == 0 {
		return &Error{Segment: "MFE", Reason: "no record of the master file"}
	}
	for _, g := range records {
		active := true
		switch value(g.Segment("MFE").Field(1)) {
		case "MDL", "MDC":
			active = false
		}
		if stf := g.Segment("STF"); stf.Exists() {
			b.staff(stf, g, active)
		} else if loc := g.Segment("LOC"); loc.Exists() {
			b.masterPlace(loc, g, active)
		} else {
			b.note(g.Segment("MFE"), 0, "neither STF nor LOC: the record was left out")
		}
	}
	for _, g := range records { // after all that are stated
		if loc := g.Segment("LOC"); loc.Exists() {
			b.around(first(loc.Field(1)))
		}
	}
	return nil
}

// staff maps STF with PRA, ORG, LAN: who somebody is as one of the staff. What is said
// of the person at home (birth date, sex, private addresses and numbers) is left in
// the message.
func (b *build) staff(stf hl7.Segment, g hl7.Group, active bool) {
	pra, name := g.Segment("PRA"), b.names(stf.Field(3))
	key := first(stf.Field(1))
	number := []string{key.at(1), key.at(3)}
	if cx := first(stf.Field(2)); cx.at(1) != "" {
		number = []string{cx.at(1), b.feed.authority(cx)}
	}
	if name == nil || number[0] == "" {
		b.note(stf, 3, "no name or no number: the record was left out")
		return
	}
	active = active && value(stf.Field(7)) != "I"
	id := b.id("Practitioner", number...)
	who := r4.Practitioner{Id: &id, Active: &active, Identifier: b.identifiers(stf.Field(2)), Name: name}
	if who.Identifier == nil {
		who.Identifier = []r4.Identifier{*b.lab().codeIdentifier(key)}
	}
	for _, pln := range each(pra.Field(6)) {
		if n := pln.at(1); n != "" {
			who.Identifier = append(who.Identifier, r4.Identifier{Value: &n, Type: b.concept(pln.in(2), ""), Period: period(nil, b.when(pln.at(4)))})
		}
	}
	atWork := func(t r4.ContactPoint) bool {
		return t.Value != nil && t.Use != nil && *t.Use == r4.ContactPointUseWork
	}
	for _, t := range append(b.telecoms(stf.Field(10), ""), b.telecoms(stf.Field(15), "")...) {
		if atWork(t) {
			who.Telecom = append(who.Telecom, t)
		}
	}
	for _, a := range b.addresses(stf.Field(11)) {
		if a.Use != nil && *a.Use == r4.AddressUseWork {
			who.Address = append(who.Address, a)
		}
	}
	for lan := range g.All("LAN") {
		who.Communication = append(who.Communication, b.languages(lan.Field(2))...)
	}
	b.support(b.at, who)

	role := r4.PractitionerRole{Active: &active, Practitioner: ptr(refer("Practitioner", id)), Code: append(b.concepts(stf.Field(4), ""), b.concepts(pra.Field(3), "")...)}
	for _, spd := range each(pra.Field(5)) {
		if spd.at(1) != "" {
			role.Specialty = append(role.Specialty, *coded(spd.at(1)))
		}
	}
	role.Period = period(b.when(first(stf.Field(12)).at(1)), b.when(first(stf.Field(13)).at(1)))
	units := slices.Collect(g.All("ORG"))
	if len(units) == 0 {
		units = []hl7.Segment{{}}
	}
	for _, org := range units {
		of := role
		unit := first(org.Field(2))
		of.Organization = b.orgUnit(unit)
		of.Code = append(slices.Clip(of.Code), b.concepts(org.Field(6), "")...)
		if of.Organization == nil && of.Code == nil && of.Specialty == nil {
			continue
		}
		rid := b.id("PractitionerRole", append(slices.Clone(number), unit.at(1), unit.at(3))...)
		of.Id = &rid
		b.support(b.at, of)
	}
}

// orgUnit makes the Organization that a code names, nil without one.
func (b *build) orgUnit(cwe data) *r4.Reference {
	id := b.lab().codeIdentifier(cwe)
	if id == nil {
		return nil
	}
	rid := b.id("Organization", cwe.at(1), cwe.at(3))
	b.support(b.at, r4.Organization{Id: &rid, Identifier: []r4.Identifier{*id}, Name: p(textOf(cwe))})
	return ptr(refer("Organization", rid))
}

// masterPlace maps LOC: the smallest place that LOC-1 names.
func (b *build) masterPlace(loc hl7.Segment, g hl7.Group, active bool) {
	path := wayTo(first(loc.Field(1)))
	if len(path) == 0 {
		b.note(loc, 1, "no place is named: the record was left out")
		return
	}
	place := b.placeAt(path)
	place.Description, place.Type, place.Telecom = p(value(loc.Field(2))), b.concepts(loc.Field(3), ""), b.telecoms(loc.Field(6), "work")
	place.ManagingOrganization = b.organization(first(loc.Field(4)))
	if all := b.addresses(loc.Field(5)); all != nil {
		place.Address = &all[0]
	}
	for ldp := range g.All("LDP") {
		active = active && value(ldp.Field(6)) != "I"
	}
	status := "active"
	if !active {
		status = "inactive"
	}
	b.support(b.at, place, fhir.Set{Path: "status", Value: status})
}

// around adds the places that a place lies in, of which no more than the name is said.
func (b *build) around(pl data) {
	for path := wayTo(pl); len(path) > 1; {
		path = path[:len(path)-1]
		b.support(reminder(b.at), b.placeAt(path))
	}
}

// stage is one place on the way to another.
type stage struct {
	level
	name string
}

// wayTo is the way to the place that a PL names, the largest first.
func wayTo(pl data) (path []stage) {
	for _, l := range levels {
		if name := pl.in(l.part).at(1); name != "" {
			path = append(path, stage{l, name})
		}
	}
	return path
}

// placeAt is the place at the end of a way.
func (b *build) placeAt(path []stage) r4.Location {
	id := func(path []stage) string {
		var names []string
		for _, s := range path {
			names = append(names, strings.TrimSpace(s.code+" "+s.name))
		}
		return b.id("Location", names...)
	}
	last, rid := path[len(path)-1], id(path)
	mode := r4.LocationModeInstance
	place := r4.Location{Id: &rid, Name: &last.name, Mode: &mode, Identifier: []r4.Identifier{{Value: &last.name}}}
	if last.code != "" {
		place.PhysicalType = one(fixed("http://terminology.hl7.org/CodeSystem/location-physical-type", last.code, last.display))
	}
	if len(path) > 1 {
		place.PartOf = ptr(refer("Location", id(path[:len(path)-1])))
	}
	return place
}

// unmappedMasters says of master files that are held what they are.
//
// Source: HL7 v2.9 chapters 8.8 to 8.13.
var unmappedMasters = map[string]string{
	"MFN^M03": testsFile, "MFN^M08": testsFile, "MFN^M09": testsFile, "MFN^M10": testsFile, "MFN^M11": testsFile, "MFN^M12": testsFile,
	"MFN^M04": "a master file of charges: nothing in a record is made of it",
	"MFN^M15": "a master file of supplies: nothing in a record is made of it",
}

const testsFile = "a master file of tests: nothing in a record is made of it, and what a local code means is decided by people (firebreak codes)"
