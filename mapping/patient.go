package mapping

import (
	"slices"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	"golang.org/x/text/language"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// mentionPatient adds the patient of a message that is about something else.
func (b *build) mentionPatient() {
	if b.has("Patient", b.chart) {
		return
	}
	b.once(b.on("mentioned patient", append(b.segments("PID", "PD1", "NK1", "ROL", "PRT", "DB1"), b.msg.Segment("PV1").Field(16).Raw())...), func(b *build) *r4.Reference {
		model, also := b.patient(b.msg.Segments())
		b.support(reminder(b.at), model, also...)
		return nil
	})
}

// statePatient adds the patient of a message that is about the patient; of one whose
// visit was moved it tells the number alone.
func (b *build) statePatient() {
	if b.guest {
		b.mentionPatient()
		return
	}
	b.once(b.on("stated patient", append(b.segments("PID", "PD1", "NK1", "ROL", "PRT", "DB1"), b.msg.Segment("PV1").Field(16).Raw())...), func(b *build) *r4.Reference {
		model, also := b.patient(b.msg.Segments())
		b.support(b.at, model, also...)
		return nil
	})
}

// patient maps PID and PD1, PV1-16, NK1 as contacts, a ROL that names the
// general practitioner and the patient's number of DB1, with what samply's struct
// cannot hold.
//
// Source: v2-to-FHIR, PID[Patient], PD1[Patient], NK1[Patient],
// ROL[Patient-GeneralPractitioner]; HL7 v2.9 3.4.12, DB1-2 and DB1-3.
func (b *build) patient(group hl7.Group) (r4.Patient, []fhir.Set) {
	pid, pd1 := group.Segment("PID"), group.Segment("PD1")
	id := b.chart
	pat := r4.Patient{
		Id:            &id,
		Identifier:    b.identifiers(pid.Field(3), pid.Field(2), pid.Field(4)),
		Name:          append(b.names(pid.Field(5)), b.names(pid.Field(9))...),
		Gender:        b.gender(pid, 8),
		Address:       b.patientAddresses(pid),
		MaritalStatus: b.concept(first(pid.Field(16)), "MaritalStatus"),
	}
	pat.Identifier = append(pat.Identifier, b.socialSecurity(value(pid.Field(19)))...)
	pat.Identifier = append(pat.Identifier, b.driversLicence(first(pid.Field(20)))...)
	for db1 := range group.All("DB1") {
		if value(db1.Field(2)) == "PT" { // the patient, table 0334
			pat.Identifier = append(pat.Identifier, b.identifiers(db1.Field(3))...)
		}
	}
	pat.Telecom = append(pat.Telecom, b.telecoms(pid.Field(13), "home")...)
	pat.Telecom = append(pat.Telecom, b.telecoms(pid.Field(14), "work")...)
	pat.Telecom = append(pat.Telecom, b.telecoms(pid.Field(40), "")...)
	pat.Telecom = slices.DeleteFunc(pat.Telecom, func(t r4.ContactPoint) bool { return t.Value == nil }) // US Core Patient: telecom.value 1..1
	for _, language := range b.languages(pid.Field(15)) {
		pat.Communication = append(pat.Communication, r4.PatientCommunication{Language: language})
	}
	if n, _, ok := number32(value(pid.Field(25))); ok {
		pat.MultipleBirthInteger = &n
	} else {
		pat.MultipleBirthBoolean = b.yesNo(pid, 24)
	}
	if pat.DeceasedDateTime = b.dateTime(pid, 29); pat.DeceasedDateTime == nil {
		pat.DeceasedBoolean = b.yesNo(pid, 30)
	}
	pat.Extension = b.patientExtensions(pid, pd1)
	if vip := b.concept(first(group.Segment("PV1").Field(16)), "VIPIndicator"); vip != nil {
		pat.Extension = append(pat.Extension, r4.Extension{Url: coreExt + "patient-importance", ValueCodeableConcept: vip})
	}
	for _, xon := range each(pd1.Field(3)) {
		if ref := b.organization(xon); ref != nil {
			pat.GeneralPractitioner = append(pat.GeneralPractitioner, *ref)
		}
	}
	pat.GeneralPractitioner = append(pat.GeneralPractitioner, b.practitioners(pd1.Field(4))...)
	for rol := range group.All("ROL") {
		if value(rol.Field(3)) == "PP" { // primary care provider, table 0443
			h := b.heldByROL(rol)
			h.role.Period = period(b.dateTime(rol, 5), b.dateTime(rol, 6))
			h.key = append(h.key, rol.Field(5).Raw(), rol.Field(6).Raw())
			pat.GeneralPractitioner = append(pat.GeneralPractitioner, b.holders(h)...)
		}
	}
	pat.GeneralPractitioner = append(pat.GeneralPractitioner, b.takers(sharesOf(group, "PID", "PD1", "ARV", "ROL", "NTE").inRole("PP"))...)
	for nk1 := range group.All("NK1") {
		if c := b.contact(nk1); c != nil {
			pat.Contact = append(pat.Contact, *c)
		}
	}
	var also []fhir.Set
	if born, ok := b.moment(pid, 7); ok {
		pat.BirthDate = p(born.date())
		if born.clocked() {
			also = append(also, fhir.Set{Path: "_birthDate", Value: fhir.Object{{Name: "extension", Value: []r4.Extension{
				{Url: coreExt + "patient-birthTime", ValueDateTime: &born.text},
			}}}})
		}
	}
	return pat, also
}

// gender maps a field by table 0001; nil, with a note, for a code outside it.
func (b *build) gender(seg hl7.Segment, field int) *r4.AdministrativeGender {
	sex := value(seg.Field(field))
	var gender r4.AdministrativeGender
	if fhirCode("AdministrativeSex", sex, &gender) {
		return &gender
	}
	if sex != "" {
		b.note(seg, field, "not a code of table 0001")
	}
	return nil
}

// yesNo maps an indicator of table 0136; nil for anything but Y and N.
func (b *build) yesNo(seg hl7.Segment, field int) *bool {
	switch yes, no := true, false; value(seg.Field(field)) {
	case "Y":
		return &yes
	case "N":
		return &no
	}
	return nil
}

// patientAddresses maps PID-11, and PID-12 as the district where it has none.
func (b *build) patientAddresses(pid hl7.Segment) []r4.Address {
	all := b.addresses(pid.Field(11))
	county := value(pid.Field(12))
	switch {
	case county == "":
	case len(all) == 1 && all[0].District == nil:
		all[0].District = &county
	case len(all) == 1 && *all[0].District == county:
	default:
		all = append(all, r4.Address{District: &county})
	}
	return all
}

// socialSecurity maps PID-19: a number in the form of the United States' as
// theirs, any other as a social beneficiary's without a system.
func (b *build) socialSecurity(number string) []r4.Identifier {
	if number == "" {
		return nil
	}
	id := r4.Identifier{Value: &number}
	bare := strings.ReplaceAll(number, "-", "")
	if len(bare) == 9 && isDigits(bare) && (len(number) == 9 || len(number) == 11) {
		id.System, id.Type = p("http://hl7.org/fhir/sid/us-ssn"), b.identifierType("SS")
	} else {
		id.Type = b.identifierType("SB")
	}
	return []r4.Identifier{id}
}

// driversLicence maps a DLN.
//
// Source: v2-to-FHIR, DLN[Identifier].
func (b *build) driversLicence(dln data) []r4.Identifier {
	number := dln.at(1)
	if number == "" {
		return nil
	}
	id := r4.Identifier{Value: &number, Type: b.identifierType("DL"), Period: period(nil, b.when(dln.at(3)))}
	if state := dln.in(2).at(1); state != "" {
		id.System = p(b.feed.local("DL " + state))
	}
	return []r4.Identifier{id}
}

// patientExtensions are what R4 has standard extensions for.
func (b *build) patientExtensions(pid, pd1 hl7.Segment) []r4.Extension {
	var all []r4.Extension
	for _, xpn := range each(pid.Field(6)) {
		all = append(all, stringExtension("patient-mothersMaidenName", xpn.in(1).at(1))...)
	}
	all = append(all, b.usCore(pid, 10, "race")...)
	all = append(all, b.usCore(pid, 22, "ethnicity")...)
	if religion := b.concept(first(pid.Field(17)), "Religion"); religion != nil {
		all = append(all, r4.Extension{Url: coreExt + "patient-religion", ValueCodeableConcept: religion})
	}
	if place := value(pid.Field(23)); place != "" {
		all = append(all, r4.Extension{Url: coreExt + "patient-birthPlace", ValueAddress: &r4.Address{Text: &place}})
	}
	for _, of := range [...]struct {
		field int
		name  string
	}{{26, "patient-citizenship"}, {28, "patient-nationality"}, {39, "patient-citizenship"}} {
		for _, c := range b.concepts(pid.Field(of.field), "") {
			all = append(all, r4.Extension{Url: coreExt + of.name, Extension: []r4.Extension{{Url: "code", ValueCodeableConcept: &c}}})
		}
	}
	if handicap := b.concept(first(pd1.Field(6)), ""); handicap != nil {
		all = append(all, r4.Extension{Url: coreExt + "patient-disability", ValueCodeableConcept: handicap})
	}
	var kind []r4.Extension
	for _, of := range [...]struct {
		field int
		name  string
	}{{35, "species"}, {36, "breed"}} {
		if c := b.concept(first(pid.Field(of.field)), ""); c != nil {
			kind = append(kind, r4.Extension{Url: of.name, ValueCodeableConcept: c})
		}
	}
	if kind != nil {
		all = append(all, r4.Extension{Url: coreExt + "patient-animal", Extension: kind})
	}
	for _, xon := range each(pd1.Field(14)) {
		all = append(all, stringExtension("patient-congregation", xon.at(1))...)
	}
	return all
}

// usCore maps race and ethnicity where they are coded as the United States do:
// the only such codes with a public extension. Others are left out with a note.
//
// Source: v2-to-FHIR leaves PID-10 and PID-22 to each country; US Core 3.1.1,
// us-core-race and us-core-ethnicity.
func (b *build) usCore(pid hl7.Segment, field int, what string) []r4.Extension {
	var parts []r4.Extension
	var text string
	for _, cwe := range each(pid.Field(field)) {
		code, words := cwe.at(1), cwe.at(2)
		if sub, ok := hispanic[code]; ok && what == "ethnicity" {
			code, words = sub, or(words, hispanicText[sub])
		}
		if !isRaceCode(code) || !fromTable(cwe.at(3)) && b.feed.coding(cwe.at(3), "") != cdcRace {
			if words != "" || code != "" {
				b.note(pid, field, what+" is not coded by CDC's race and ethnicity set")
			}
			continue
		}
		url := "detailed"
		if ombCodes[code] {
			url = "ombCategory"
		}
		parts = append(parts, r4.Extension{Url: url, ValueCoding: &r4.Coding{System: p(cdcRace), Code: &code, Display: p(words)}})
		text = strings.TrimPrefix(text+", "+or(words, code), ", ")
	}
	if parts == nil {
		return nil
	}
	return []r4.Extension{{
		Url:       "http://hl7.org/fhir/us/core/StructureDefinition/us-core-" + what,
		Extension: append(parts, r4.Extension{Url: "text", ValueString: &text}),
	}}
}

// ombCodes are the categories of the Office of Management and Budget; any other
// code of the set is a detail of one.
var ombCodes = map[string]bool{
	"1002-5": true, "2028-9": true, "2054-5": true, "2076-8": true, "2106-3": true, // race
	"2135-2": true, "2186-5": true, // ethnicity
}

// hispanic are the codes of HL7 table 0189 that say the same as a category.
var (
	hispanic     = map[string]string{"H": "2135-2", "N": "2186-5"}
	hispanicText = map[string]string{"2135-2": "Hispanic or Latino", "2186-5": "Not Hispanic or Latino"}
)

// isRaceCode tells whether s has the form NNNN-N.
func isRaceCode(s string) bool {
	return len(s) == 6 && s[4] == '-' && isDigits(s[:4]) && isDigits(s[5:])
}

// languages maps a field by BCP 47, as FHIR and US Core ask, with the code that was
// sent behind it: codes of ISO 639, two letters or three, whatever table they are
// said to be of, but no others.
//
// Source: R4 http://hl7.org/fhir/R4/valueset-languages.html; RFC 5646 2.2.1.
func (b *build) languages(f hl7.Field) []r4.CodeableConcept {
	all := b.concepts(f, "")
	for i := range all {
		var tags []r4.Coding
		for _, c := range all[i].Coding {
			if tag := languageTag(c.Code); tag != nil && !hasCoding(tags, *tag) {
				tag.Version = c.Version
				tags = append(tags, *tag)
			}
		}
		all[i].Coding = append(tags, all[i].Coding...)
	}
	return all
}

// languageTag is a code of ISO 639 as BCP 47 writes it, nil for any other.
func languageTag(code *string) *r4.Coding {
	if code == nil || len(*code) < 2 || len(*code) > 3 {
		return nil
	}
	sent := strings.ToLower(*code)
	base, err := language.ParseBase(or(bibliographic[sent], sent))
	if err != nil {
		return nil
	}
	return &r4.Coding{System: p("urn:ietf:bcp:47"), Code: p(base.String())}
}

// bibliographic are the codes of ISO 639-2/B that are others in 639-2/T, by which BCP
// 47 goes.
//
// Source: ISO 639-2, the twenty languages with two codes.
var bibliographic = map[string]string{
	"alb": "sqi", "arm": "hye", "baq": "eus", "bur": "mya", "chi": "zho", "cze": "ces", "dut": "nld", "fre": "fra", "geo": "kat", "ger": "deu",
	"gre": "ell", "ice": "isl", "mac": "mkd", "mao": "mri", "may": "msa", "per": "fas", "rum": "ron", "slo": "slk", "tib": "bod", "wel": "cym",
}
