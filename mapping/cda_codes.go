package mapping

import (
	"strings"

	"firebreak/adapters/ccda"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// The vocabularies of C-CDA and what FHIR has in their place.
//
// Source: HL7 C-CDA on FHIR, concept maps CF-*; R4 terminologies-systems.html;
// terminology.hl7.org.

const (
	oidLOINC    = "2.16.840.1.113883.6.1"
	oidSNOMED   = "2.16.840.1.113883.6.96"
	oidActCode  = "2.16.840.1.113883.5.4"
	oidSSN      = "2.16.840.1.113883.4.1"
	oidNPI      = "2.16.840.1.113883.4.6"
	oidUDI      = "2.16.840.1.113883.3.3719" // the FDA's, of device identifiers
	oidURI      = "2.16.840.1.113883.4.873"
	template    = "2.16.840.1.113883.10.20.22.4."
	v3System    = "http://terminology.hl7.org/CodeSystem/v3-"
	loinc       = "http://loinc.org"
	rfc3986     = "urn:ietf:rfc:3986"
	obsCategory = "http://terminology.hl7.org/CodeSystem/observation-category"
)

// cdaSystems are the URIs of coding systems and identifier systems by OID.
var cdaSystems = map[string]string{
	oidLOINC:                             loinc,
	oidSNOMED:                            sct,
	"2.16.840.1.113883.6.88":             "http://www.nlm.nih.gov/research/umls/rxnorm",
	"2.16.840.1.113883.6.69":             "http://hl7.org/fhir/sid/ndc",
	"2.16.840.1.113883.6.90":             "http://hl7.org/fhir/sid/icd-10-cm",
	"2.16.840.1.113883.6.3":              "http://hl7.org/fhir/sid/icd-10",
	"2.16.840.1.113883.6.4":              "http://www.cms.gov/Medicare/Coding/ICD10",
	"2.16.840.1.113883.6.103":            "http://hl7.org/fhir/sid/icd-9-cm",
	"2.16.840.1.113883.6.104":            "http://hl7.org/fhir/sid/icd-9-cm",
	"2.16.840.1.113883.6.12":             "http://www.ama-assn.org/go/cpt",
	"2.16.840.1.113883.6.285":            "http://terminology.hl7.org/CodeSystem/hcpcs-Level-II",
	"2.16.840.1.113883.6.8":              ucum,
	"2.16.840.1.113883.12.292":           "http://hl7.org/fhir/sid/cvx",
	"2.16.840.1.113883.6.59":             "http://hl7.org/fhir/sid/cvx",
	"2.16.840.1.113883.12.227":           "http://hl7.org/fhir/sid/mvx",
	"2.16.840.1.113883.3.26.1.1":         "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
	"2.16.840.1.113883.3.26.1.5":         "http://hl7.org/fhir/ndfrt",
	"2.16.840.1.113883.4.9":              "http://fdasis.nlm.nih.gov",
	"2.16.840.1.113883.6.101":            "http://nucc.org/provider-taxonomy",
	"2.16.840.1.113883.6.238":            cdcRace,
	"2.16.840.1.113883.6.259":            "https://www.cdc.gov/nhsn/cdaportal/terminology/codesystem/hsloc.html",
	"2.16.840.1.113883.6.73":             "http://www.whocc.no/atc",
	"2.16.840.1.113883.6.24":             "urn:iso:std:iso:11073:10101",
	"1.2.840.10008.2.16.4":               "http://dicom.nema.org/resources/ontology/DCM",
	"2.16.840.1.113883.6.301.5":          "https://www.nubc.org/CodeSystem/PatDischargeStatus",
	"2.16.840.1.113883.3.221.5":          "https://nahdo.org/sopt",
	"2.16.840.1.113883.6.121":            "urn:ietf:bcp:47",
	"2.16.840.1.113883.6.316":            "urn:ietf:bcp:47",
	"2.16.840.1.113883.1.11.11526":       "urn:ietf:bcp:47",
	oidSSN:                               "http://hl7.org/fhir/sid/us-ssn",
	oidNPI:                               "http://hl7.org/fhir/sid/us-npi",
	"2.16.840.1.113883.4.572":            "http://hl7.org/fhir/sid/us-medicare",
	"2.16.840.1.113883.4.927":            "http://hl7.org/fhir/sid/us-mbi",
	"2.16.840.1.113883.2.1.4.1":          "https://fhir.nhs.uk/Id/nhs-number",
	"2.16.840.1.113883.3.88.12.3221.6.8": sct,
}

// v3Names are HL7 version 3's own systems, 2.16.840.1.113883.5.N.
var v3Names = map[string]string{
	"1": "AdministrativeGender", "2": "MaritalStatus", "4": "ActCode", "6": "ActClass", "7": "ActPriority", "8": "ActReason", "14": "ActStatus",
	"25": "Confidentiality", "43": "EntityNamePartQualifier", "45": "EntityNameUse", "60": "LanguageAbilityMode", "61": "LanguageAbilityProficiency",
	"79": "mediatypes", "83": "ObservationInterpretation", "84": "ObservationMethod", "88": "ParticipationFunction", "90": "ParticipationType", "110": "RoleClass", "111": "RoleCode",
	"112": "RouteOfAdministration", "139": "TimingEvent", "1001": "ActMood", "1002": "ActRelationshipType", "1008": "NullFlavor",
	"1052": "ActSite", "1063": "ObservationValue", "1070": "SubstanceAdminSubstitution", "1076": "ReligiousAffiliation", "1119": "AddressUse",
}

// systemOf is the URI of a system by its OID, declared or known; "" without one.
func (f *Feed) systemOf(oid, name string) string {
	if uri := f.Systems[oid]; uri != "" && oid != "" {
		return uri
	}
	if uri := cdaSystems[oid]; uri != "" {
		return uri
	}
	if n, ok := strings.CutPrefix(oid, "2.16.840.1.113883.5."); ok && v3Names[n] != "" {
		return v3System + v3Names[n]
	}
	if n, ok := strings.CutPrefix(oid, "2.16.840.1.113883.12."); ok && isDigits(n) && len(n) <= 4 && n != "" {
		return v2System + strings.Repeat("0", 4-len(n)) + n
	}
	switch {
	case isOID(oid):
		return "urn:oid:" + oid
	case isUUID(oid):
		return "urn:uuid:" + strings.ToLower(oid)
	case oid == "" && name != "":
		return codingSystems[strings.ToUpper(name)]
	}
	return ""
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'):
			return false
		}
	}
	return true
}

// conceptOf maps a coded value: its code first, its translations behind; nil when
// it says nothing. The text is what the author wrote.
//
// Source: C-CDA on FHIR, CDA Coding to CodeableConcept.
func (c *clinical) conceptOf(cd ccda.CD) *r4.CodeableConcept {
	out := &r4.CodeableConcept{Text: p(clean(cd.Original))}
	for _, x := range append([]ccda.CD{cd}, cd.Translations...) {
		coding, words := c.codingOf(x)
		if coding != nil && !hasCoding(out.Coding, *coding) {
			out.Coding = append(out.Coding, *coding)
		}
		if out.Text == nil && coding == nil {
			out.Text = p(words)
		}
	}
	if out.Text == nil && len(out.Coding) == 0 {
		return nil
	}
	if out.Text == nil && len(cd.Translations) > 0 && cd.Code == "" && cd.Display != "" {
		out.Text = p(clean(cd.Display))
	}
	return out
}

// codingOf is one coding; nil, and the words, for what has no code that FHIR can hold.
func (c *clinical) codingOf(cd ccda.CD) (coding *r4.Coding, words string) {
	display := clean(cd.Display)
	if code := clean(cd.Code); isCode(code) {
		return &r4.Coding{System: p(c.feed.systemOf(cd.System, cd.SystemName)), Version: p(clean(cd.Version)), Code: &code, Display: p(display)}, ""
	}
	return nil, or(display, or(clean(cd.Original), clean(cd.Code)))
}

// concept reads a child element as a concept.
func (c *clinical) conceptIn(e *ccda.Element, path string) *r4.CodeableConcept {
	return c.conceptOf(c.doc.CD(e.At(path)))
}

// conceptsIn reads all children of that name.
func (c *clinical) conceptsIn(e *ccda.Element, name string) []r4.CodeableConcept {
	var all []r4.CodeableConcept
	for k := range e.All(name) {
		if x := c.conceptOf(c.doc.CD(k)); x != nil {
			all = append(all, *x)
		}
	}
	return all
}

// absence is a nullFlavor as FHIR says it.
func absence(null string) string {
	if code := nullFlavors[null]; code != "" {
		return code
	}
	return "unknown"
}

var nullFlavors = map[string]string{
	"OTH": "unsupported", "NINF": "negative-infinity", "PINF": "positive-infinity", "MSK": "masked", "NA": "not-applicable",
	"ASKU": "asked-unknown", "NAV": "temp-unknown", "NASK": "not-asked", "TRC": "unsupported",
}

// absentReason is the same as a concept.
func absentReason(null string) *r4.CodeableConcept {
	return one(fixed("http://terminology.hl7.org/CodeSystem/data-absent-reason", absence(null), ""))
}

var (
	resultStatuses = map[string]string{ // of an observation and of a report
		"completed": "final", "active": "registered", "aborted": "cancelled", "cancelled": "cancelled", "held": "registered", "suspended": "registered", "nullified": "entered-in-error",
	}
	procedureStatuses = map[string]string{
		"completed": "completed", "active": "in-progress", "aborted": "stopped", "cancelled": "not-done", "nullified": "entered-in-error", "suspended": "on-hold",
	}
	immunizationStatuses = map[string]string{
		"completed": "completed", "active": "completed", "aborted": "not-done", "cancelled": "not-done", "held": "not-done", "new": "not-done", "obsolete": "not-done", "suspended": "not-done", "nullified": "entered-in-error",
	}
	encounterStatuses = map[string]string{
		"aborted": "unknown", "cancelled": "cancelled", "held": "planned", "new": "unknown", "suspended": "onleave", "nullified": "entered-in-error",
	}
	statementStatuses = map[string]string{
		"active": "active", "completed": "completed", "aborted": "stopped", "suspended": "on-hold", "held": "on-hold", "nullified": "entered-in-error", "cancelled": "stopped", "new": "intended",
	}
	prescriptionStatuses = map[string]string{
		"active": "active", "completed": "completed", "aborted": "stopped", "suspended": "on-hold", "held": "on-hold", "nullified": "entered-in-error", "cancelled": "cancelled", "new": "draft",
	}
	requestStatuses = map[string]string{
		"active": "active", "completed": "completed", "aborted": "revoked", "cancelled": "revoked", "suspended": "on-hold", "held": "on-hold", "new": "draft", "nullified": "entered-in-error",
	}
	goalStatuses = map[string]string{
		"active": "active", "completed": "completed", "aborted": "cancelled", "cancelled": "cancelled", "suspended": "on-hold", "held": "on-hold", "new": "proposed", "nullified": "entered-in-error",
	}
	conditionByAct = map[string]string{"active": "active", "completed": "inactive", "aborted": "inactive", "suspended": "inactive"}
	clinicalStates = map[string]string{ // SNOMED CT, of a status observation
		"55561003": "active", "73425007": "inactive", "413322009": "resolved", "246455001": "recurrence", "263855007": "relapse", "277022003": "remission",
	}
	severities  = map[string]string{"255604002": "mild", "371923003": "mild", "6736007": "moderate", "371924009": "severe", "24484000": "severe", "399166001": "severe"}
	criticality = map[string]string{"CRITH": "high", "CRITL": "low", "CRITU": "unable-to-assess"}
	allergyKind = map[string][2]string{ // SNOMED CT to type and category
		"235719002": {"intolerance", "food"}, "414285001": {"allergy", "food"}, "416098002": {"allergy", "medication"}, "418471000": {"", "food"},
		"419199007": {"allergy", ""}, "419511003": {"", "medication"}, "59037007": {"intolerance", "medication"}, "232347008": {"allergy", "environment"}, "426232007": {"allergy", "environment"},
	}
	noKnownAllergy = map[string]string{"414285001": "429625007", "416098002": "409137002", "419199007": "716186003", "419511003": "409137002", "418038007": "716186003", "420134006": "716186003"}
	sectionIsAbout = map[string]string{ // LOINC of the section, to the category of its conditions
		"46240-8": "encounter-diagnosis", "11450-4": "problem-list-item", "11535-2": "encounter-diagnosis", "10154-3": "encounter-diagnosis", "46241-6": "encounter-diagnosis", "29308-4": "encounter-diagnosis", "75310-3": "health-concern",
	}
	addressUses = map[string]string{"BAD": "old", "H": "home", "HP": "home", "HV": "home", "TMP": "temp", "WP": "work", "DIR": "work", "PUB": "work"}
	telecomUses = map[string]string{"AS": "work", "BAD": "old", "DIR": "work", "H": "home", "HP": "home", "HV": "home", "MC": "mobile", "PG": "mobile", "PUB": "work", "TMP": "temp", "WP": "work"}
	nameUses    = map[string]string{"A": "nickname", "C": "official", "L": "usual", "P": "nickname", "ASGN": "usual"}
	actIntents  = map[string]string{"RQO": "order", "INT": "plan", "PRMS": "plan", "PRP": "proposal", "ARQ": "proposal", "APT": "plan"}
)
