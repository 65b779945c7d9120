package mapping

import "strings"

// codingSystems are the URIs of the coding systems that HL7 table 0396 and
// common feeds name.
//
// Source: R4 terminologies-systems.html; HL7 table 0396; terminology.hl7.org.
var codingSystems = map[string]string{
	"LN": "http://loinc.org", "LNC": "http://loinc.org", "LOINC": "http://loinc.org",
	"SCT": sct, "SNOMED": sct, "SNOMEDCT": sct, "SNOMED CT": sct, "SNOMED-CT": sct, "SCT2": sct,
	"I10":       "http://hl7.org/fhir/sid/icd-10",
	"ICD10":     "http://hl7.org/fhir/sid/icd-10",
	"ICD-10":    "http://hl7.org/fhir/sid/icd-10",
	"I10C":      "http://hl7.org/fhir/sid/icd-10-cm",
	"ICD10CM":   "http://hl7.org/fhir/sid/icd-10-cm",
	"ICD-10-CM": "http://hl7.org/fhir/sid/icd-10-cm",
	"ICD-10CM":  "http://hl7.org/fhir/sid/icd-10-cm",
	"I10P":      "http://www.cms.gov/Medicare/Coding/ICD10",
	"ICD10PCS":  "http://www.cms.gov/Medicare/Coding/ICD10",
	"ICD10GM":   "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
	"I10G":      "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
	"I9":        "urn:oid:2.16.840.1.113883.6.42",
	"ICD9":      "urn:oid:2.16.840.1.113883.6.42",
	"I9C":       "http://hl7.org/fhir/sid/icd-9-cm",
	"I9CDX":     "http://hl7.org/fhir/sid/icd-9-cm",
	"I9CP":      "http://hl7.org/fhir/sid/icd-9-cm",
	"ICD9CM":    "http://hl7.org/fhir/sid/icd-9-cm",
	"ICD-9-CM":  "http://hl7.org/fhir/sid/icd-9-cm",
	"C4":        "http://www.ama-assn.org/go/cpt",
	"CPT":       "http://www.ama-assn.org/go/cpt",
	"CPT4":      "http://www.ama-assn.org/go/cpt",
	"CPT-4":     "http://www.ama-assn.org/go/cpt",
	"HPC":       "http://terminology.hl7.org/CodeSystem/hcpcs-Level-II",
	"HCPCS":     "http://terminology.hl7.org/CodeSystem/hcpcs-Level-II",
	"NDC":       "http://hl7.org/fhir/sid/ndc",
	"CVX":       "http://hl7.org/fhir/sid/cvx",
	"MVX":       "http://hl7.org/fhir/sid/mvx",
	"RXNORM":    "http://www.nlm.nih.gov/research/umls/rxnorm",
	"RXN":       "http://www.nlm.nih.gov/research/umls/rxnorm",
	"UNII":      "http://fdasis.nlm.nih.gov",
	"UCUM":      ucum,
	"WC":        "http://www.whocc.no/atc",
	"ATC":       "http://www.whocc.no/atc",
	"MDC":       "urn:iso:std:iso:11073:10101",
	"NUCC":      "http://nucc.org/provider-taxonomy",
	"NUCCPT":    "http://nucc.org/provider-taxonomy",
	"CDCREC":    cdcRace,
	"ICDO":      "http://terminology.hl7.org/CodeSystem/icd-o",
	"DCM":       "http://dicom.nema.org/resources/ontology/DCM",
	"NCIT":      "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
	"HGNC-SYMB": "http://www.genenames.org",
	"ISO3166_1": "urn:iso:std:iso:3166",
}

const (
	sct     = "http://snomed.info/sct"
	ucum    = "http://unitsofmeasure.org"
	cdcRace = "urn:oid:2.16.840.1.113883.6.238"
)

// coding is the URI of a coding system by its name (CWE.3) and, where sent, its
// OID (CWE.14). A name nobody registered is the feed's own; a code without a
// name has no system.
//
// SNM3 stands for SNOMED International 3, whose codes begin with a letter; feeds
// use it for SNOMED CT. Its URI here is SNOMED CT's, so codes of the old edition
// should be declared in Feed.Systems.
func (f *Feed) coding(name, oid string) string {
	if name == "" {
		return universalURI(oid, "ISO")
	}
	if uri := f.Systems[name]; uri != "" {
		return uri
	}
	if f.Dialect != nil && f.Dialect.systems[name] {
		return name
	}
	upper := strings.ToUpper(name)
	if uri := codingSystems[upper]; uri != "" {
		return uri
	}
	if table, ok := strings.CutPrefix(upper, "HL7"); ok && len(table) == 4 && isDigits(table) {
		return v2System + table
	}
	switch upper {
	case "SNM3", "SNM":
		return sct
	}
	if isOID(name) {
		return "urn:oid:" + name
	}
	if uri := universalURI(oid, "ISO"); uri != "" {
		return uri
	}
	return f.local(name)
}
