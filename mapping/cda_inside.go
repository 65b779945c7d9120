package mapping

import (
	"encoding/base64"
	"strings"

	"firebreak/adapters/ccda"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// unpack maps the C-CDA documents among the contents of a message's document, into the
// message's chart, and refers to their indexes: the DocumentReference that keeps them
// whole then says what they say. A document about another patient is a fault, which
// holds the message; one that cannot be read stays the file that it is.
func (b *build) unpack(contents []titled) []r4.Reference {
	var all []r4.Reference
	for _, content := range contents {
		if content.data == "" || !strings.Contains(content.mime, "xml") && !strings.HasPrefix(content.mime, "text/") && content.mime != "application/octet-stream" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(content.data)
		if err != nil || !ccda.Is(raw) {
			continue
		}
		doc, err := ccda.Parse(raw)
		if err != nil {
			b.out.Notes = append(b.out.Notes, note(misplaced("OBX", "a C-CDA document that cannot be read is kept as a file")))
			continue
		}
		if e := b.samePatient(doc); e != nil {
			if b.fault == nil {
				b.fault = e
			}
			return nil
		}
		all = append(all, b.inside(doc))
	}
	return all
}

// inside maps one document on a build of its own and takes over what it became.
func (b *build) inside(doc *ccda.Document) r4.Reference {
	own := &build{keys: b.keys, feed: b.feed.clockOf(doc), in: b.in, chart: b.chart, at: b.at, seen: map[fhir.Ref]int{{Type: "Patient", ID: b.chart}: -1}}
	c := &clinical{build: own, doc: doc}
	if at, ok := c.moments(doc.Time()); ok {
		own.at = at.time
	}
	index := c.all()
	if doc.TooMuch() && own.fault == nil {
		own.fault = misplaced("ClinicalDocument", "its references to the narrative come to more than a document can mean")
	}
	if b.fault == nil {
		b.fault = own.fault
	}
	if b.docs == nil {
		b.docs = map[fhir.Ref]bool{}
	}
	for _, r := range own.out.Resources {
		if ref := r.Ref(); !b.has(ref.Type, ref.ID) {
			b.docs[ref] = ref.String() == *index.Reference
		}
		b.mention(r.At, r.Resource)
	}
	b.target = append(b.target, own.target...)
	b.out.Notes = append(b.out.Notes, own.out.Notes...)
	return index
}

// samePatient tells whether the document is about the patient of PID: by a number of
// one system and no other birth date, or, where a system is named in a way that
// cannot be compared, by number and birth date.
func (b *build) samePatient(doc *ccda.Document) *Error {
	patients := doc.Patients()
	if len(patients) != 1 {
		return misplaced("ClinicalDocument/recordTarget", "not one patient")
	}
	born := strings.ReplaceAll(patients[0].At("patient/birthTime").Attr("value"), "-", "")
	known := value(b.pid.Field(7))
	dated := len(born) >= 8 && len(known) >= 8
	if dated && born[:8] != known[:8] {
		return misplaced("ClinicalDocument/recordTarget/patientRole/patient/birthTime", "not the birth date of the message's patient")
	}
	for _, ii := range ccda.IIs(patients[0], "id") {
		if ii.Extension == "" || placeholder(ii) {
			continue
		}
		if ii.Root == oidSSN && strings.ReplaceAll(ii.Extension, "-", "") == strings.ReplaceAll(value(b.pid.Field(19)), "-", "") {
			return nil
		}
		for _, field := range [...]int{3, 2, 4} {
			for _, cx := range each(b.pid.Field(field)) {
				if clean(ii.Extension) != cx.at(1) {
					continue
				}
				switch b.feed.compare(cx, ii.Root) {
				case sameSystem:
					return nil
				case unknownSystem:
					if dated {
						return nil
					}
				}
			}
		}
	}
	return misplaced("ClinicalDocument/recordTarget/patientRole/id", "not the message's patient")
}

type sameness int

const (
	otherSystem sameness = iota
	sameSystem
	unknownSystem
)

// compare tells whether a CX is of the system that root names.
func (f *Feed) compare(cx data, root string) sameness {
	hd := cx.in(4)
	name, universal := f.authority(cx), hd.at(2)
	switch {
	case f.authorityOfRoot(root) == name, strings.EqualFold(universal, root), f.systemOf(root, "") == f.issuer(hd):
		return sameSystem
	case isOID(universal), isUUID(universal), f.Systems[name] != "":
		return otherSystem
	}
	return unknownSystem
}
