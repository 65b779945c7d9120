package mapping

import (
	"strconv"
	"strings"

	"firebreak/adapters/ccda"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

func itoa(n int) string { return strconv.Itoa(n) }

// mentionRecordTarget adds the patient, unless a message around the document has.
//
// Source: C-CDA on FHIR, CF-patient.
func (c *clinical) mentionRecordTarget() {
	if c.has("Patient", c.chart) {
		return
	}
	role := c.doc.Patients()[0]
	who := role.Child("patient")
	id := c.chart
	pat := r4.Patient{
		Id: &id, Identifier: c.identifiersOf(role), Name: c.namesOf(who), Address: c.addressesOf(role), Telecom: c.telecomsOf(role),
		Gender: c.genderOf(who), MaritalStatus: c.conceptIn(who, "maritalStatusCode"), ManagingOrganization: c.organizationOf(role.Child("providerOrganization")),
	}
	var also []fhir.Set
	if born, ok := c.moments(who.Child("birthTime").Attr("value")); ok {
		pat.BirthDate = p(born.date())
		if born.clocked() && born.instant() {
			also = append(also, fhir.Set{Path: "_birthDate", Value: fhir.Object{{Name: "extension", Value: []r4.Extension{{Url: coreExt + "patient-birthTime", ValueDateTime: &born.text}}}}})
		}
	}
	if pat.DeceasedDateTime = c.timeOf(who.Child("sdtc:deceasedTime").Attr("value")); pat.DeceasedDateTime == nil {
		pat.DeceasedBoolean = truth(who.Child("sdtc:deceasedInd"))
	}
	pat.Extension = append(pat.Extension, c.usCoreOf(who, "race", "raceCode", "sdtc:raceCode")...)
	pat.Extension = append(pat.Extension, c.usCoreOf(who, "ethnicity", "ethnicGroupCode", "sdtc:ethnicGroupCode")...)
	if religion := c.conceptIn(who, "religiousAffiliationCode"); religion != nil {
		pat.Extension = append(pat.Extension, r4.Extension{Url: coreExt + "patient-religion", ValueCodeableConcept: religion})
	}
	for _, a := range c.addressesOf(who.At("birthplace/place")) {
		pat.Extension = append(pat.Extension, r4.Extension{Url: coreExt + "patient-birthPlace", ValueAddress: &a})
	}
	for g := range who.All("guardian") {
		contact := r4.PatientContact{
			Relationship: append([]r4.CodeableConcept{*one(fixed(v3System+"RoleCode", "GUARD", ""))}, c.conceptsIn(g, "code")...),
			Telecom:      c.telecomsOf(g),
		}
		if all := c.namesOf(g.Child("guardianPerson")); all != nil {
			contact.Name = &all[0]
		}
		if all := c.addressesOf(g); all != nil {
			contact.Address = &all[0]
		}
		if contact.Name != nil || contact.Telecom != nil || contact.Address != nil {
			pat.Contact = append(pat.Contact, contact)
		}
	}
	for l := range who.All("languageCommunication") {
		code := clean(l.Child("languageCode").Attr("code"))
		if !isCode(code) {
			continue
		}
		code = or(shortLanguages[code], code)
		said := r4.PatientCommunication{Language: *one(fixed("urn:ietf:bcp:47", code, "")), Preferred: truth(l.Child("preferenceInd"))}
		pat.Communication = append(pat.Communication, said)
	}
	c.support(reminder(c.at), pat, also...)
}

// shortLanguages are the codes of ISO 639-2 that BCP 47 wants in their shorter form.
var shortLanguages = map[string]string{
	"eng": "en", "spa": "es", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "por": "pt", "zho": "zh", "chi": "zh", "ita": "it", "rus": "ru",
	"vie": "vi", "kor": "ko", "jpn": "ja", "ara": "ar", "pol": "pl", "tgl": "tl", "hin": "hi", "ukr": "uk", "nld": "nl", "dut": "nl", "tur": "tr",
}

// truth is a BL; nil when it says neither.
func truth(e *ccda.Element) *bool {
	switch yes, no := true, false; e.Attr("value") {
	case "true":
		return &yes
	case "false":
		return &no
	}
	return nil
}

func (c *clinical) genderOf(e *ccda.Element) *r4.AdministrativeGender {
	var g r4.AdministrativeGender
	if word := map[string]string{"M": "male", "F": "female", "UN": "other"}[e.Child("administrativeGenderCode").Attr("code")]; fhirCode("", word, &g) {
		return &g
	}
	return nil
}

// ombCategories are the categories of race and ethnicity; other codes are details.
//
// Source: US Core, ValueSets omb-race-category and omb-ethnicity-category.
var ombCategories = map[string]bool{"1002-5": true, "2028-9": true, "2054-5": true, "2076-8": true, "2106-3": true, "2135-2": true, "2186-5": true, "UNK": true, "ASKU": true}

// usCoreOf is US Core's extension of race or ethnicity.
func (c *clinical) usCoreOf(who *ccda.Element, what string, names ...string) []r4.Extension {
	ext := r4.Extension{Url: "http://hl7.org/fhir/us/core/StructureDefinition/us-core-" + what}
	var words []string
	seen := map[string]bool{}
	for _, name := range names {
		for e := range who.All(name) {
			cd := c.doc.CD(e)
			coding, said := c.codingOf(cd)
			if coding == nil && cd.Null != "" && said == "" {
				if cd.Null != "UNK" && cd.Null != "ASKU" {
					continue
				}
				coding = ptr(fixed(v3System+"NullFlavor", cd.Null, ""))
				said = map[string]string{"UNK": "Unknown", "ASKU": "Asked but no answer"}[cd.Null]
			}
			said = or(clean(cd.Original), or(clean(cd.Display), or(said, clean(cd.Code))))
			if coding != nil && !seen[*coding.Code] {
				seen[*coding.Code] = true
				sub := r4.Extension{Url: "detailed", ValueCoding: coding}
				if ombCategories[*coding.Code] {
					sub.Url = "ombCategory"
				}
				ext.Extension = append(ext.Extension, sub)
			}
			if said != "" && !seen["said "+said] {
				seen["said "+said] = true
				words = append(words, said)
			}
		}
	}
	if len(words) == 0 {
		return nil
	}
	text := strings.Join(words, ", ")
	ext.Extension = append(ext.Extension, r4.Extension{Url: "text", ValueString: &text})
	return []r4.Extension{ext}
}

// practitionerIn makes the Practitioner of an assignedEntity or assignedAuthor, and its
// Organization where it names no person; a reference by identifier where it names
// neither; nil when it says nothing.
//
// Source: C-CDA on FHIR, CF-participations.
func (c *clinical) practitionerIn(e *ccda.Element) *r4.Reference {
	if e == nil {
		return nil
	}
	person := e.Child("assignedPerson")
	names := c.namesOf(person)
	ids := c.identifiersOf(e)
	if names == nil {
		if d := e.Child("assignedAuthoringDevice"); d != nil {
			return c.authoringDevice(e, d)
		}
		if org := c.organizationOf(e.Child("representedOrganization")); org != nil {
			return org
		}
		if len(ids) > 0 {
			return byIdentifier("Practitioner", &ids[0])
		}
		return nil
	}
	key := called(e)
	if key == nil { // numbers that stand for none still tell people apart
		key = append([]string{"name", e.Child("id").Attr("extension")}, nameKey(names[0])...)
	}
	rid := c.id("Practitioner", key...)
	ref := refer("Practitioner", rid)
	if !c.has("Practitioner", rid) {
		who := r4.Practitioner{Id: &rid, Identifier: ids, Name: names, Address: c.addressesOf(e), Telecom: c.telecomsOf(e)}
		if specialty := c.conceptIn(e, "code"); specialty != nil {
			who.Qualification = []r4.PractitionerQualification{{Code: *specialty}}
		}
		c.support(c.at, who)
	}
	c.organizationOf(e.Child("representedOrganization"))
	return &ref
}

func nameKey(n r4.HumanName) []string {
	key := []string{"", ""}
	if n.Family != nil {
		key[0] = *n.Family
	}
	if n.Text != nil {
		key[1] = *n.Text
	}
	return append(key, n.Given...)
}

// authoringDevice makes the Device of the software that wrote a document.
func (c *clinical) authoringDevice(e, d *ccda.Element) *r4.Reference {
	model, software := clean(ccda.Plain(d.Child("manufacturerModelName"))), clean(ccda.Plain(d.Child("softwareName")))
	if model == "" && software == "" {
		return nil
	}
	rid := c.id("Device", "software", model, software)
	if !c.has("Device", rid) {
		dev := r4.Device{Id: &rid, Identifier: c.identifiersOf(e), Owner: c.organizationOf(e.Child("representedOrganization"))}
		var also []fhir.Set
		if model != "" {
			dev.DeviceName = []r4.DeviceDeviceName{{Name: model}}
			also = append(also, fhir.Set{Path: "deviceName[0].type", Value: "model-name"})
		}
		if software != "" {
			dev.Version = []r4.DeviceVersion{{Value: software}}
		}
		c.support(c.at, dev, also...)
	}
	return ptr(refer("Device", rid))
}

// organizationOf makes the Organization of e; a reference by identifier where it has no
// name; nil when it says nothing.
func (c *clinical) organizationOf(e *ccda.Element) *r4.Reference {
	if e == nil {
		return nil
	}
	name := ""
	for k := range e.All("name") {
		if name == "" {
			name = clean(ccda.Plain(k))
		}
	}
	ids := c.identifiersOf(e)
	if name == "" {
		if len(ids) > 0 {
			return byIdentifier("Organization", &ids[0])
		}
		return nil
	}
	key := called(e)
	if key == nil {
		key = []string{"name", name}
	}
	rid := c.id("Organization", key...)
	if !c.has("Organization", rid) {
		c.support(c.at, r4.Organization{Id: &rid, Identifier: ids, Name: &name, Address: c.addressesOf(e), Telecom: c.telecomsOf(e)})
	}
	return ptr(refer("Organization", rid))
}

// authors are the authors that stand at e itself.
func (c *clinical) authors(e *ccda.Element) []r4.Reference {
	var all []r4.Reference
	for a := range e.All("author") {
		if who := c.practitionerIn(a.Child("assignedAuthor")); who != nil {
			all = append(all, *who)
		}
	}
	return all
}

// authorsOf are the authors of e, else of what it stands in (context conduction).
func (c *clinical) authorsOf(e *ccda.Element) []r4.Reference {
	for ; e != nil; e = e.Up {
		if all := c.authors(e); all != nil {
			return all
		}
	}
	return nil
}

// authored is the last author of an entry or of one of the acts around it, and the first
// time given there.
func (c *clinical) authored(around ...*ccda.Element) (who *r4.Reference, at *string) {
	for _, e := range around {
		for a := range e.All("author") {
			if ref := c.practitionerIn(a.Child("assignedAuthor")); ref != nil && strings.HasPrefix(or(deref(ref.Reference), "Practitioner"), "Practitioner") {
				who = ref
			}
			if at == nil {
				at = c.timeOf(a.Child("time").Attr("value"))
			}
		}
		if who != nil || at != nil {
			return who, at
		}
	}
	return nil, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// performersOf are the performers of an entry.
func (c *clinical) performersOf(e *ccda.Element) []r4.Reference {
	var all []r4.Reference
	for x := range e.All("performer") {
		if who := c.practitionerIn(x.Child("assignedEntity")); who != nil {
			all = append(all, *who)
		}
	}
	return unique(all)
}

// unique drops literal references that stand twice, and keeps those by identifier.
func unique(all []r4.Reference) []r4.Reference {
	seen := map[string]bool{}
	var out []r4.Reference
	for _, r := range all {
		if s := deref(r.Reference); s == "" || !seen[s] {
			seen[s] = true
			out = append(out, r)
		}
	}
	return out
}

// relatives makes a RelatedPerson of each participant of the header who is one.
func (c *clinical) relatives() {
	for x := range c.doc.Root.All("participant") {
		e := x.Child("associatedEntity")
		names := c.namesOf(e.Child("associatedPerson"))
		if names == nil || strings.Contains(" PROV ASSIGNED PAYOR COVPTY ", " "+e.Attr("classCode")+" ") {
			continue
		}
		key := called(e)
		if key == nil {
			key = append([]string{"name"}, nameKey(names[0])...)
		}
		rid := c.id("RelatedPerson", key...)
		if c.has("RelatedPerson", rid) {
			continue
		}
		rel := c.conceptsIn(e, "code")
		if rel == nil && (e.Attr("classCode") == "NOK" || e.Attr("classCode") == "ECON" || e.Attr("classCode") == "GUARD") {
			rel = []r4.CodeableConcept{*one(fixed(v3System+"RoleClass", e.Attr("classCode"), ""))}
		}
		c.support(reminder(c.at), r4.RelatedPerson{
			Id: &rid, Patient: c.subject(), Identifier: c.identifiersOf(e), Name: names, Relationship: rel,
			Address: c.addressesOf(e), Telecom: c.telecomsOf(e), Period: c.periodOf(x.Child("time")),
		})
	}
}

// placeOf makes the Location of a service delivery location (participantRole) or a
// healthCareFacility; nil when it names none.
func (c *clinical) placeOf(e *ccda.Element) *r4.Reference {
	if e == nil {
		return nil
	}
	at := e
	name := clean(ccda.Plain(e.At("playingEntity/name")))
	if l := e.Child("location"); l != nil {
		at, name = l, clean(ccda.Plain(l.Child("name")))
	}
	org := c.organizationOf(e.Child("serviceProviderOrganization"))
	typ, addr := c.conceptsIn(e, "code"), c.addressesOf(at)
	if name == "" && typ == nil && addr == nil {
		return nil
	}
	key := called(e)
	if key == nil {
		key = []string{"name", name, e.Child("code").Attr("code")}
		if len(addr) > 0 {
			key = append(append(key, addr[0].Line...), deref(addr[0].City))
		}
	}
	rid := c.id("Location", key...)
	if !c.has("Location", rid) {
		l := r4.Location{Id: &rid, Identifier: c.identifiersOf(e), Name: p(name), Type: typ, Telecom: c.telecomsOf(e), ManagingOrganization: org}
		if addr != nil {
			l.Address = &addr[0]
		}
		c.support(c.at, l)
	}
	return ptr(refer("Location", rid))
}
