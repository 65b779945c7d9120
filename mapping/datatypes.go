package mapping

import (
	"fmt"
	"slices"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

const (
	v2System = "http://terminology.hl7.org/CodeSystem/v2-"
	coreExt  = "http://hl7.org/fhir/StructureDefinition/"
)

// identifier maps a CX, nil when it has no number. table 0203 types keep their
// letters.
//
// Source: v2-to-FHIR, CX[Identifier].
func (b *build) identifier(cx data) *r4.Identifier {
	number := cx.at(1)
	if number == "" {
		return nil
	}
	id := &r4.Identifier{
		Value:  &number,
		System: p(b.feed.issuer(cx.in(4))),
		Type:   b.identifierType(cx.at(5)),
		Period: period(b.when(cx.at(7)), b.when(cx.at(8))),
	}
	if authority := cx.in(4); authority.at(2) != "" { // else its name is all there is, and that is the system
		id.Assigner = b.facility(authority)
	}
	id.Extension = checkDigit(cx.at(2), cx.at(3))
	return id
}

// checkDigit is the check digit of a number and by which scheme it was made.
func checkDigit(digit, scheme string) []r4.Extension {
	return append(stringExtension("identifier-checkDigit", digit), stringExtension("namingsystem-checkDigit", scheme)...)
}

// identifierType is a code of table 0203, or a local one without a system.
func (b *build) identifierType(code string) *r4.CodeableConcept {
	if code == "" {
		return nil
	}
	if c, ok := lookup("IdentifierType", code); ok {
		return one(r4.Coding{System: p(c.system), Code: p(c.code)})
	}
	return coded(code)
}

// coded is a code of no known system, or a text where it cannot be a code.
func coded(code string) *r4.CodeableConcept {
	if !isCode(code) {
		return &r4.CodeableConcept{Text: &code}
	}
	return one(r4.Coding{Code: &code})
}

// identifiers maps the repetitions of several CX fields, equal ones once.
func (b *build) identifiers(fields ...hl7.Field) []r4.Identifier {
	var all []r4.Identifier
	for _, f := range fields {
		for _, cx := range each(f) {
			if id := b.identifier(cx); id != nil && !hasIdentifier(all, id) {
				all = append(all, *id)
			}
		}
	}
	return all
}

func hasIdentifier(all []r4.Identifier, id *r4.Identifier) bool {
	for i := range all {
		if same(all[i].System, id.System) && same(all[i].Value, id.Value) {
			return true
		}
	}
	return false
}

func same(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// entity maps an EI, such as a placer or filler order number, nil when it has
// no number. typ is a code of table 0203 that the field implies; it may be "".
//
// Source: v2-to-FHIR, EI[Identifier-System].
func (b *build) entity(ei data, typ string) *r4.Identifier {
	number := ei.at(1)
	if number == "" {
		return nil
	}
	return &r4.Identifier{Value: &number, System: p(b.entitySystem(ei)), Type: b.identifierType(typ)}
}

// entitySystem is who assigned an EI: EI.2 to EI.4 are an HD.
func (b *build) entitySystem(ei data) string {
	return b.feed.uri(ei.at(2), ei.at(3), ei.at(4))
}

// entityKey is what an EI is called, for Keys.ID; nil when it has no number.
func entityKey(ei data) []string {
	if ei.at(1) == "" {
		return nil
	}
	assigner := ei.at(2)
	if assigner == "" {
		assigner = ei.at(3)
	}
	return []string{ei.at(1), assigner}
}

// names maps the repetitions of an XPN field.
func (b *build) names(f hl7.Field) []r4.HumanName {
	var all []r4.HumanName
	for _, xpn := range each(f) {
		if n := b.name(xpn); n != nil {
			all = append(all, *n)
			if called := xpn.at(15); called != "" {
				use := r4.NameUseNickname
				all = append(all, r4.HumanName{Use: &use, Given: []string{called}})
			}
		}
	}
	return all
}

// name maps an XPN, nil when it names nobody.
//
// Source: v2-to-FHIR, XPN[HumanName], FN[HumanName].
func (b *build) name(xpn data) *r4.HumanName {
	n := &r4.HumanName{
		Family: p(xpn.in(1).at(1)),
		Given:  some(xpn.at(2), xpn.at(3)),
		Suffix: some(xpn.at(4), xpn.at(6), xpn.at(14)),
		Prefix: some(xpn.at(5)),
		Use:    nameUse(xpn.at(7)),
		Period: period(b.when(xpn.at(12)), b.when(xpn.at(13))),
	}
	if n.Family == nil && n.Given == nil {
		if n.Prefix == nil && n.Suffix == nil {
			return nil
		}
	}
	if n.Period == nil {
		n.Period = b.rangeOf(xpn.in(10))
	}
	n.Extension = assemblyOrder(xpn.at(11))
	return n
}

// assemblyOrder says in which order the parts of a name are spoken, a code of
// table 0444.
func assemblyOrder(code string) []r4.Extension {
	if code != "G" && code != "F" {
		return nil
	}
	return []r4.Extension{{Url: coreExt + "humanname-assembly-order", ValueCode: &code}}
}

// rangeOf maps a DR.
func (b *build) rangeOf(dr data) *r4.Period { return period(b.when(dr.at(1)), b.when(dr.at(2))) }

func nameUse(code string) *r4.NameUse {
	var use r4.NameUse
	if !fhirCode("NameType", code, &use) {
		return nil
	}
	return &use
}

// some keeps the values that are there.
func some(values ...string) []string {
	var all []string
	for _, v := range values {
		if v != "" {
			all = append(all, v)
		}
	}
	return all
}

// addresses maps the repetitions of an XAD field.
func (b *build) addresses(f hl7.Field) []r4.Address {
	var all []r4.Address
	for _, xad := range each(f) {
		if a := b.address(xad); a != nil {
			all = append(all, *a)
		}
	}
	return all
}

// address maps an XAD, nil when it says no place.
//
// Source: v2-to-FHIR, XAD[Address], SAD[Address].
func (b *build) address(xad data) *r4.Address {
	a := &r4.Address{
		Line:       some(xad.in(1).at(1), xad.in(1).at(2), xad.in(1).at(3), xad.at(2), xad.at(19)),
		City:       p(xad.at(3)),
		State:      p(xad.at(4)),
		PostalCode: p(xad.at(5)),
		Country:    p(xad.at(6)),
		District:   p(textOf(xad.in(9))),
		Period:     period(b.when(xad.at(13)), b.when(xad.at(14))),
	}
	if known(*a) == nil {
		return nil
	}
	if a.Period == nil {
		a.Period = b.rangeOf(xad.in(12))
	}
	kind := xad.at(7)
	var use r4.AddressUse
	if fhirCode("AddressType[Use]", kind, &use) {
		a.Use = &use
	}
	var typ r4.AddressType
	if fhirCode("AddressType[Type]", kind, &typ) {
		a.Type = &typ
	}
	if kind == "HV" { // a vacation home, for which R4's use has no word
		a.Extension = []r4.Extension{{Url: coreExt + "iso21090-AD-use", ValueCode: &kind}}
	}
	a.Extension = append(a.Extension, stringExtension("iso21090-ADXP-censusTract", xad.at(10))...)
	return a
}

// textOf is what a CWE says in words, its code when it has none.
//
// Source: v2-to-FHIR, CWE[string], which has no fallback to the code; a county
// is mostly sent as one.
func textOf(cwe data) string {
	for _, n := range [...]int{9, 2, 1} {
		if s := cwe.at(n); s != "" {
			return s
		}
	}
	return ""
}

// telecoms maps the repetitions of an XTN field. use is what the field itself
// implies ("home", "work") for numbers that do not say; it may be "".
func (b *build) telecoms(f hl7.Field, use string) []r4.ContactPoint {
	var all []r4.ContactPoint
	for _, xtn := range each(f) {
		if t := b.telecom(xtn, use); t != nil {
			all = append(all, *t)
		}
	}
	return all
}

// telecom maps an XTN, nil when it has neither number nor address.
//
// The system is what XTN.3 says, e-mail where only XTN.4 is sent, and otherwise
// unsaid: see unsaidSystems. Without a number or address there is a ContactPoint
// only for the parts of a number that are sent.
//
// Source: v2-to-FHIR, XTN[ContactPoint].
func (b *build) telecom(xtn data, fieldUse string) *r4.ContactPoint {
	equipment, mail := xtn.at(3), xtn.at(4)
	t := &r4.ContactPoint{Period: period(b.when(xtn.at(13)), b.when(xtn.at(14)))}
	var number string
	if equipment == "Internet" || equipment == "X.400" || equipment == "" && mail != "" {
		number = mail
		if number == "" {
			number = xtn.at(1)
		}
		email := r4.ContactPointSystemEmail
		t.System = &email
	} else {
		number = phone(xtn)
		var system r4.ContactPointSystem
		if fhirCode("TelecommunicationEquipmentType", equipment, &system) {
			t.System = &system
		}
		t.Extension = append(t.Extension, stringExtension("contactpoint-country", xtn.at(5))...)
		t.Extension = append(t.Extension, stringExtension("contactpoint-area", xtn.at(6))...)
		t.Extension = append(t.Extension, stringExtension("contactpoint-local", xtn.at(7))...)
		t.Extension = append(t.Extension, stringExtension("contactpoint-extension", xtn.at(8))...)
	}
	if number == "" && t.Extension == nil {
		return nil
	}
	t.Value = p(number)
	var use r4.ContactPointUse
	switch code := xtn.at(2); {
	case equipment == "CP":
		system := r4.ContactPointSystemPhone
		use = r4.ContactPointUseMobile
		t.System, t.Use = &system, &use
	case fhirCode("TelecommunicationUseCode", code, &use), code == "" && fhirCode("", fieldUse, &use):
		t.Use = &use
	}
	if n, _, ok := number32(xtn.at(18)); ok && n > 0 {
		t.Rank = &n
	}
	return t
}

// unsaidSystems says of each number in model that its kind is not known, where
// the message did not tell it: a value needs a system (R4 cpt-2).
//
// Source: v2-to-FHIR, XTN[ContactPoint], row XTN.3.
func unsaidSystems(model any) (all []fhir.Set) {
	say := func(path string, telecoms []r4.ContactPoint) {
		for i, t := range telecoms {
			if t.System == nil {
				all = append(all, fhir.Set{Path: fmt.Sprintf("%s[%d]._system", path, i), Value: absent("unknown")})
			}
		}
	}
	switch m := model.(type) {
	case r4.Patient:
		say("telecom", m.Telecom)
		for i, c := range m.Contact {
			say(fmt.Sprintf("contact[%d].telecom", i), c.Telecom)
		}
	case r4.RelatedPerson:
		say("telecom", m.Telecom)
	case r4.Practitioner:
		say("telecom", m.Telecom)
	case r4.PractitionerRole:
		say("telecom", m.Telecom)
	case r4.Organization:
		say("telecom", m.Telecom)
		for i, c := range m.Contact {
			say(fmt.Sprintf("contact[%d].telecom", i), c.Telecom)
		}
	case r4.Location:
		say("telecom", m.Telecom)
	case r4.ServiceRequest:
		for i, e := range m.Extension {
			if t := e.ValueContactPoint; t != nil && t.System == nil {
				all = append(all, fhir.Set{Path: fmt.Sprintf("extension[%d].valueContactPoint._system", i), Value: absent("unknown")})
			}
		}
	}
	return all
}

// notAtHome leaves out of an organization's addresses and numbers that they are
// somebody's home: a contact's, which came along (R4 org-2, org-3).
func notAtHome(o r4.Organization) r4.Organization {
	o.Address, o.Telecom = slices.Clone(o.Address), slices.Clone(o.Telecom)
	for i, a := range o.Address {
		if a.Use != nil && *a.Use == r4.AddressUseHome {
			o.Address[i].Use = nil
		}
	}
	for i, t := range o.Telecom {
		if t.Use != nil && *t.Use == r4.ContactPointUseHome {
			o.Telecom[i].Use = nil
		}
	}
	return o
}

// phone is the number to dial: put together from country, area, number and extension
// where area and number were sent, else as one string where it was sent so, else the
// number without its area.
func phone(xtn data) string {
	local, area := xtn.at(7), xtn.at(6)
	if whole := xtn.at(12); whole != "" && (local == "" || area == "") {
		return whole
	}
	if local == "" {
		return xtn.at(1)
	}
	s := local
	if area != "" {
		s = area + " " + s
	}
	if country := xtn.at(5); country != "" {
		s = "+" + strings.TrimPrefix(country, "+") + " " + s
	}
	if extension := xtn.at(8); extension != "" {
		s += " X" + extension
	}
	return s
}

// number32 reads a small whole number.
func number32(s string) (n int, same, ok bool) {
	if s == "" || len(s) > 9 || !isDigits(s) {
		return 0, false, false
	}
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n, true, true
}

// stringExtension is the core extension of that name, none when value is empty.
func stringExtension(name, value string) []r4.Extension {
	if value == "" {
		return nil
	}
	return []r4.Extension{{Url: coreExt + name, ValueString: &value}}
}
