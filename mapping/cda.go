package mapping

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/adapters/ccda"
	"firebreak/fhir"
	"firebreak/inbox"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// clinical is one C-CDA document on its way to resources: of its patient's chart by
// itself, or inside a message about the same patient.
//
// What a document says of its patient and of who took part is a reminder, as in a
// message that is no ADT. What it says in entries is valid from when it was made, so of
// one fact in two documents the later counts.
//
// Source: HL7 C-CDA on FHIR, commit 2ecc3242; C-CDA R1.1, R2.1.
type clinical struct {
	*build
	doc     *ccda.Document
	section *ccda.Section                 // being mapped
	made    []r4.Reference                // what the section's entries became
	used    map[string]usage              // by id, what told the first of that name apart
	tags    map[*ccda.Element][]r4.Coding // by which the source restricts an element
	visits  []*r4.Reference               // encompassingEncounter, once mapped
	nested  int                           // depth of statements being mapped
}

// maxSections bounds the sections of a document. Real ones have 30.
const maxSections = 500

// usage is what tells two entries of one id apart.
type usage struct{ typ, by string }

// clinicalDocument maps a C-CDA document.
func clinicalDocument(k *Keys, m inbox.Message) (Result, error) {
	doc, err := ccda.Parse(m.Body)
	if err != nil {
		return Result{}, unreadable(err)
	}
	switch n := len(doc.Patients()); {
	case n == 0:
		return Result{}, misplaced("ClinicalDocument/recordTarget", "no patient")
	case n > 1:
		return Result{}, misplaced("ClinicalDocument/recordTarget", "two patients in one document")
	}
	f := k.feed(m.Source)
	id, err := f.patientOf(doc.Patients()[0])
	if err != nil {
		return Result{}, err
	}
	b := &build{keys: k, in: m, chart: k.Patient(m.Source, id.system, id.value), at: m.Received, seen: make(map[fhir.Ref]int, 64)}
	b.feed = f.clockOf(doc)
	c := &clinical{build: b, doc: doc}
	if at, ok := c.moments(doc.Time()); ok {
		b.at = at.time
	}
	b.out.Patient, b.out.At = fhir.Ref{Type: "Patient", ID: b.chart}, b.at
	index := c.all()
	whole := c.whole(index)
	c.origin()
	c.edition(whole, index)
	switch e, ok := errors.AsType[*Error](b.fault); {
	case ok:
		return Result{}, e
	case b.fault != nil:
		return Result{}, misplaced("ClinicalDocument", "the mapping made a resource that is not FHIR"+expression(b.fault))
	case doc.TooMuch():
		return Result{}, misplaced("ClinicalDocument", "its references to the narrative come to more than a document can mean")
	}
	return b.out, nil
}

func expression(err error) string {
	if at, ok := errors.AsType[*fhir.Error](err); ok && at.Expression != "" {
		return ": " + at.Expression
	}
	return ""
}

// unreadable is what the reader says as this package's error.
func unreadable(err error) *Error {
	at, ok := errors.AsType[*ccda.Error](err)
	if !ok {
		return misplaced("ClinicalDocument", "not a document")
	}
	e := misplaced(or(strings.TrimPrefix(at.Path, "/"), "ClinicalDocument"), at.Reason)
	if at.Line > 0 {
		e.Segment += " in line " + strconv.Itoa(at.Line)
	}
	return e
}

// clinicalKey is the chart that a document goes into, as clinicalDocument says; it reads no
// further than the patient.
func clinicalKey(k *Keys, m inbox.Message) (string, error) {
	patient, err := ccda.Patient(m.Body)
	if err != nil {
		return "", unreadable(err)
	}
	if patient == nil {
		return "", misplaced("ClinicalDocument/recordTarget", "no patient")
	}
	id, err := k.feed(m.Source).patientOf(patient)
	if err != nil {
		return "", err
	}
	return k.Patient(m.Source, id.system, id.value), nil
}

// patientOf chooses the identifier of a patientRole that names the patient, as choose
// does of a PID: by declared authority, else any other before social security, driver's
// licence and insurance. What stands where there is no number is none.
func (f *Feed) patientOf(role *ccda.Element) (identity, error) {
	var best identity
	bestRank := -1
	for _, ii := range ccda.IIs(role, "id") {
		if called := ii.Extension == "" && isUUID(ii.Root); !called && (ii.Extension == "" || placeholder(ii)) {
			continue
		}
		id := identity{f.authorityOfRoot(ii.Root), clean(ii.Extension)}
		rank := 2
		switch {
		case len(f.PatientAuthorities) > 0:
			if rank = slices.Index(f.PatientAuthorities, id.system); rank < 0 {
				continue
			}
		case lastResort(ii.Root):
			rank = 3
		}
		if bestRank < 0 || rank < bestRank || rank == bestRank && id.system < best.system {
			best, bestRank = id, rank
		}
	}
	switch {
	case bestRank >= 0:
		return best, nil
	case len(f.PatientAuthorities) > 0:
		return best, misplaced("ClinicalDocument/recordTarget/patientRole/id", "no patient identifier of a declared assigning authority")
	}
	return best, misplaced("ClinicalDocument/recordTarget/patientRole/id", "no patient identifier")
}

// lastResort tells whether a root's numbers name a person to somebody else: social
// security, Medicare, driver's licences.
func lastResort(root string) bool {
	return root == oidSSN || root == "2.16.840.1.113883.4.572" || root == "2.16.840.1.113883.4.927" || strings.HasPrefix(root, "2.16.840.1.113883.4.3.")
}

// authorityOfRoot is the assigning authority of an II as ids are made from it: the name
// that the feed's v2 messages use where Systems declares both as one system, so that
// both go into one chart; else the root.
func (f *Feed) authorityOfRoot(root string) string {
	uri := or(f.Systems[root], "urn:oid:"+root)
	best := ""
	for name, of := range f.Systems {
		if of == uri && name != root && (best == "" || name < best) {
			best = name
		}
	}
	return or(best, strings.ToLower(root))
}

// clockOf is f with the zone of the document's own time, where none is declared.
func (f *Feed) clockOf(doc *ccda.Document) *Feed {
	if f.Zone != nil {
		return f
	}
	own := *f
	if m, ok := (&clinical{build: &build{feed: f}}).moments(doc.Time()); ok {
		if _, offset := m.time.Zone(); offset != 0 {
			own.Zone = time.FixedZone("", offset)
		}
	}
	return &own
}

// all maps the header and every section, and gives the reference to the Composition.
func (c *clinical) all() r4.Reference {
	c.used, c.tags = map[string]usage{}, map[*ccda.Element][]r4.Coding{}
	c.mentionRecordTarget()
	c.relatives()
	sections := c.doc.Sections()
	if len(sections) > maxSections {
		c.fault = misplaced("ClinicalDocument/component", "more sections than a document has")
		sections = nil
	}
	notes := make(map[*ccda.Section][]r4.Reference, len(sections))
	for _, s := range sections {
		c.section, c.made = s, nil
		for _, e := range s.Entries() {
			if before := len(c.made); !c.statement(e) && before == len(c.made) {
				c.left(e)
			}
		}
		notes[s] = c.made
		if note := c.sectionNote(s, c.made); note != nil {
			notes[s] = append([]r4.Reference{*note}, c.made...)
		}
	}
	c.section, c.made = nil, nil
	c.encompassing()
	return c.composition(sections, notes)
}

// left notes an entry that only the narrative keeps.
func (c *clinical) left(e *ccda.Element) {
	c.out.Notes = append(c.out.Notes, note(misplaced("ClinicalDocument in line "+strconv.Itoa(e.Line), "an entry ("+e.Name+" "+e.Attr("moodCode")+") is kept in the narrative only")))
}

// put adds what an entry states, with its part of the narrative and the security tags of
// its section and document.
func (c *clinical) put(model any, e *ccda.Element, also ...fhir.Set) fhir.Ref {
	if words := c.wordsOf(e); words != "" {
		also = append(also, fhir.Set{Path: "text", Value: narrative(words)})
	}
	if tags := c.confidentiality(e); len(tags) > 0 {
		also = append(also, fhir.Set{Path: "meta.security", Value: tags})
	}
	ref := c.add(model, also...)
	if !ref.IsZero() {
		c.made = append(c.made, refer(ref.Type, ref.ID))
	}
	return ref
}

// confidentiality gives the codes by which the source restricts e: its own, its
// section's, its document's. "N", normal, and below say nothing.
func (c *clinical) confidentiality(e *ccda.Element) []r4.Coding {
	if e == nil {
		return nil
	}
	if all, known := c.tags[e]; known {
		return all
	}
	all := c.confidentiality(e.Up)
	for _, k := range e.Kids {
		code := clean(k.Attr("code"))
		if k.Name != "confidentialityCode" && k.Name != "sdtc:confidentialityCode" || !isCode(code) || strings.Contains(" N L U M ", " "+code+" ") {
			continue
		}
		if !slices.ContainsFunc(all, func(x r4.Coding) bool { return *x.Code == code }) {
			all = append(slices.Clip(all), fixed(v3System+"Confidentiality", code, ""))
		}
	}
	c.tags[e] = all
	return all
}

// narrative is words as the text of a resource.
func narrative(words string) fhir.Object {
	return fhir.Object{{Name: "status", Value: "additional"}, {Name: "div", Value: `<div xmlns="http://www.w3.org/1999/xhtml">` + xhtml.Replace(words) + "</div>"}}
}

var xhtml = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\n", "<br/>")

// origin adds the document's Provenance: who wrote and who keeps it, and what it states.
//
// Source: C-CDA on FHIR, CDA to FHIR Provenance.
func (c *clinical) origin() {
	if len(c.target) == 0 || c.fault != nil {
		return
	}
	const roles = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
	id := c.id("Provenance", c.docKey()...)
	prov := r4.Provenance{Id: &id, Recorded: c.instant(c.at)}
	for _, who := range c.authors(c.doc.Root) {
		prov.Agent = append(prov.Agent, r4.ProvenanceAgent{Type: one(fixed(roles, "author", "Author")), Who: who})
	}
	if who := c.organizationOf(c.doc.Custodian()); who != nil {
		prov.Agent = append(prov.Agent, r4.ProvenanceAgent{Type: one(fixed(roles, "custodian", "Custodian")), Who: *who})
	}
	if len(prov.Agent) == 0 {
		prov.Agent = []r4.ProvenanceAgent{{Type: one(fixed(roles, "author", "Author")), Who: r4.Reference{Display: ptr(or(c.in.Source, "unnamed feed"))}}}
	}
	for _, ref := range c.target {
		prov.Target = append(prov.Target, refer(ref.Type, ref.ID))
	}
	if id := c.identifierOfII(c.doc.ID()); id != nil {
		prov.Entity = []r4.ProvenanceEntity{{Role: r4.ProvenanceEntityRoleSource, What: r4.Reference{Identifier: id}}}
	}
	c.support(c.at, prov)
}
