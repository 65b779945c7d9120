package mapping

import (
	"encoding/base64"
	"strings"

	"firebreak/adapters/ccda"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// docKey is what the document is called by.
func (c *clinical) docKey() []string {
	if key := called(c.doc.Root); key != nil {
		return key
	}
	return []string{"", c.doc.Code().Code, c.doc.Time()}
}

// sectionNote makes a document of a section's narrative, as plain text: what a
// clinician wrote and no entry says. It stands under the rules of its own words and of
// the entries of the section, so that one sensitive section hides no other.
func (c *clinical) sectionNote(s *ccda.Section, entries []r4.Reference) *r4.Reference {
	words := tidy(ccda.Text(s.Child("text")))
	if words == "" {
		return nil
	}
	title := or(clean(s.Title), or(clean(s.Code.Display), "Section"))
	key := append(c.docKey(), "section", s.Code.Code, title)
	if id := called(s.Element); id != nil {
		key = append(key, id...)
	}
	rid := c.distinct("DocumentReference", key, words)
	self := refer("DocumentReference", rid)
	if c.has("DocumentReference", rid) {
		return &self
	}
	also := []fhir.Set{{Path: "status", Value: "current"}}
	tags := c.confidentiality(s.Element)
	if len(tags) > 0 {
		also = append(also, fhir.Set{Path: "meta.security", Value: tags})
	}
	file := c.file(textContent(words), &self, append(key, "text"), tags)
	file.Title = p(title)
	typ := c.conceptOf(s.Code)
	if typ == nil {
		typ = &r4.CodeableConcept{}
	}
	if typ.Text == nil {
		typ.Text = &title
	}
	doc := r4.DocumentReference{
		Id: &rid, Type: typ, Subject: ptr(c.subject()), Date: c.recordedAt(), Author: c.authorsOf(s.Element), Description: p(title),
		Category: []r4.CodeableConcept{clinicalNote()},
		Content:  []r4.DocumentReferenceContent{{Attachment: file}},
		Context:  &r4.DocumentReferenceContext{Related: unique(entries), Encounter: c.inEncounter()},
	}
	c.add(doc, also...)
	return &self
}

// file makes the Binary of a content that belongs to a document.
func (c *clinical) file(a attached, of *r4.Reference, key []string, tags []r4.Coding) r4.Attachment {
	rid := c.id("Binary", key...)
	var also []fhir.Set
	if len(tags) > 0 {
		also = append(also, fhir.Set{Path: "meta.security", Value: tags})
	}
	c.add(r4.Binary{Id: &rid, ContentType: a.mime, SecurityContext: of, Data: &a.data}, also...)
	return r4.Attachment{ContentType: p(a.mime), Url: ptr("Binary/" + rid), Size: &a.size}
}

// recordedAt is the document's time as an instant.
func (c *clinical) recordedAt() *string { return ptr(c.instant(c.at)) }

// composition makes the document's index: its sections in their order, each with the
// document of its narrative and what its entries became. All of it stands once more as
// the details of an event: so it is as sensitive as all of them, and what refers to it is.
func (c *clinical) composition(sections []*ccda.Section, entries map[*ccda.Section][]r4.Reference) r4.Reference {
	rid := c.id("Composition", c.docKey()...)
	self := refer("Composition", rid)
	comp := r4.Composition{
		Id: &rid, Subject: ptr(c.subject()), Date: c.instant(c.at), Author: c.authors(c.doc.Root),
		Title: or(clean(c.doc.Title()), "Clinical document"), Custodian: c.organizationOf(c.doc.Custodian()),
	}
	if m, ok := c.moments(c.doc.Time()); ok {
		comp.Date = m.text
	}
	if id := c.identifierOfII(c.doc.ID()); id != nil {
		comp.Identifier = id
	}
	also := []fhir.Set{{Path: "status", Value: "final"}}
	if typ := c.conceptOf(c.doc.Code()); typ != nil {
		comp.Type = *typ
	} else {
		also = append(also, fhir.Set{Path: "type", Value: absent("unknown")})
	}
	if len(comp.Author) == 0 {
		comp.Author = []r4.Reference{{Display: ptr(or(c.in.Source, "unnamed feed"))}}
	}
	if code := clean(c.doc.Root.Child("confidentialityCode").Attr("code")); strings.Contains(" U L M N R V ", " "+code+" ") && code != "" {
		comp.Confidentiality = &code
	}
	if visit := c.inEncounter(); visit != nil {
		comp.Encounter = &visit[0]
	}
	for _, who := range [...]struct {
		name string
		mode r4.CompositionAttestationMode
	}{{"legalAuthenticator", r4.CompositionAttestationModeLegal}, {"authenticator", r4.CompositionAttestationModeProfessional}} {
		for e := range c.doc.Root.All(who.name) {
			at := c.timeOf(e.Child("time").Attr("value"))
			party := c.practitionerIn(e.Child("assignedEntity"))
			if at != nil || party != nil {
				n := len(comp.Attester)
				comp.Attester = append(comp.Attester, r4.CompositionAttester{Mode: who.mode, Time: at, Party: party})
				also = append(also, fhir.Set{Path: "attester[" + itoa(n) + "].mode", Value: map[bool]string{true: "legal", false: "professional"}[who.name == "legalAuthenticator"]})
			}
		}
	}
	for _, s := range c.doc.Services() {
		event := r4.CompositionEvent{Period: c.periodOf(s.Child("effectiveTime"))}
		if code := c.conceptIn(s, "code"); code != nil {
			event.Code = []r4.CodeableConcept{*code}
		}
		if event.Period != nil || event.Code != nil {
			comp.Event = append(comp.Event, event)
		}
	}
	comp.Section = c.sections(sections, nil, entries)
	var said []r4.Reference
	for _, s := range sections {
		said = append(said, entries[s]...)
	}
	if said = unique(said); said != nil {
		comp.Event = append(comp.Event, r4.CompositionEvent{Detail: said})
	}
	if tags := c.confidentiality(c.doc.Root); len(tags) > 0 {
		also = append(also, fhir.Set{Path: "meta.security", Value: tags})
	}
	c.add(comp, also...)
	return self
}

// sections are those within up.
func (c *clinical) sections(all []*ccda.Section, up *ccda.Section, entries map[*ccda.Section][]r4.Reference) []r4.CompositionSection {
	var out []r4.CompositionSection
	for _, s := range all {
		if s.Within != up {
			continue
		}
		sec := r4.CompositionSection{Title: p(clean(s.Title)), Code: c.conceptOf(s.Code), Entry: unique(entries[s]), Section: c.sections(all, s, entries)}
		if sec.Entry == nil && sec.Section == nil {
			sec.EmptyReason = one(fixed("http://terminology.hl7.org/CodeSystem/list-empty-reason", "unavailable", "Unavailable"))
		}
		out = append(out, sec)
	}
	return out
}

// whole keeps the document as it came: a DocumentReference, the file of an unstructured
// document as its first content, and the document itself.
func (c *clinical) whole(index r4.Reference) fhir.Ref {
	key := c.docKey()
	rid := c.id("DocumentReference", key...)
	self := refer("DocumentReference", rid)
	tags := c.confidentiality(c.doc.Root)
	doc := r4.DocumentReference{
		Id: &rid, Type: c.conceptOf(c.doc.Code()), Subject: ptr(c.subject()), Date: c.recordedAt(), Author: c.authors(c.doc.Root),
		Custodian: c.organizationOf(c.doc.Custodian()), Description: p(clean(c.doc.Title())), MasterIdentifier: c.identifierOfII(c.doc.ID()),
		Category: []r4.CodeableConcept{clinicalNote()},
	}
	if set := c.identifierOfII(c.doc.SetID()); set != nil {
		doc.Identifier = []r4.Identifier{*set}
	}
	also := []fhir.Set{{Path: "status", Value: "current"}}
	if code := c.conceptIn(c.doc.Root, "confidentialityCode"); code != nil {
		doc.SecurityLabel = []r4.CodeableConcept{*code}
	}
	if len(tags) > 0 {
		also = append(also, fhir.Set{Path: "meta.security", Value: tags})
	}
	for _, e := range c.doc.Related() {
		code := map[string]string{"RPLC": "replaces", "APND": "appends", "XFRM": "transforms"}[e.Attr("typeCode")]
		if id := c.identifierOfII(ccda.IIOf(e.At("parentDocument/id"))); id != nil && code != "" {
			also = append(also, fhir.Set{Path: "relatesTo[" + itoa(len(doc.RelatesTo)) + "].code", Value: code})
			doc.RelatesTo = append(doc.RelatesTo, r4.DocumentReferenceRelatesTo{Target: r4.Reference{Type: ptr("DocumentReference"), Identifier: id}})
		}
	}
	doc.Context = &r4.DocumentReferenceContext{Related: []r4.Reference{index}, Encounter: c.inEncounter()}
	for _, s := range c.doc.Services() {
		if doc.Context.Period == nil {
			doc.Context.Period = c.periodOf(s.Child("effectiveTime"))
		}
	}
	if body := c.doc.NonXML(); body != nil {
		if a := embedded(ccda.EDOf(body)); !a.isZero() {
			form := c.file(a, &self, append(key, "body"), tags)
			form.Title = doc.Description
			doc.Content = append(doc.Content, r4.DocumentReferenceContent{Attachment: form})
		}
	}
	form := c.file(attached{mime: "text/xml", data: base64.StdEncoding.EncodeToString(c.in.Body), size: len(c.in.Body)}, &self, append(key, "document"), tags)
	form.Title = doc.Description
	doc.Content = append(doc.Content, r4.DocumentReferenceContent{Attachment: form, Format: ptr(c.format())})
	return c.add(doc, also...)
}

// format says that a content is a C-CDA document, of which release and kind.
//
// Source: IHE and HL7 format codes, urn:hl7-org:sdwg:*.
func (c *clinical) format() r4.Coding {
	release, body := "1.1", "structuredBody"
	for t := range c.doc.Root.All("templateId") {
		if t.Attr("extension") != "" && strings.HasPrefix(t.Attr("root"), "2.16.840.1.113883.10.20.22.1.") {
			release = "2.1"
		}
	}
	if c.doc.NonXML() != nil {
		body = "nonXMLBody"
	}
	return fixed("http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode", "urn:hl7-org:sdwg:ccda-"+body+":"+release, "")
}

// embedded is an ED as a file.
func embedded(d ccda.ED) attached {
	if d.Base64 {
		mime, subtype, _ := strings.Cut(d.MediaType, "/")
		return encapsulated(mime, subtype, "base64", d.Data)
	}
	if d.Data == "" {
		return attached{}
	}
	return textContent(tidy(d.Data))
}
