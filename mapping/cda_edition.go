package mapping

import (
	"slices"
	"strconv"
	"strings"

	"firebreak/adapters/ccda"
	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// edition says which version of which document it is, and marks what stays of it when
// another replaces it: the document as it came, its patient, and whoever wrote and keeps
// it. A document that nothing calls is no version of any other.
//
// Source: CDA R2, setId, versionNumber and relatedDocument.
func (c *clinical) edition(whole fhir.Ref, index r4.Reference) {
	name := nameOf(c.doc.ID())
	if name == "" || c.fault != nil {
		return
	}
	e := &Edition{Name: name, Series: nameOf(c.doc.SetID())}
	if e.Series != "" {
		e.Number, _ = strconv.ParseInt(clean(c.doc.Root.Child("versionNumber").Attr("value")), 10, 64)
	}
	for _, r := range c.doc.Related() {
		if parent := nameOf(ccda.IIOf(r.At("parentDocument/id"))); r.Attr("typeCode") == "RPLC" && parent != "" && parent != name {
			e.Replaces = append(e.Replaces, parent)
		}
	}
	c.out.Edition = e
	lasts := map[fhir.Ref]bool{whole: true, c.out.Patient: true}
	for work := []fhir.Ref{whole}; len(work) > 0; {
		ref := work[0]
		work = work[1:]
		i := slices.IndexFunc(c.out.Resources, func(r Resource) bool { return r.Ref() == ref })
		if i < 0 {
			continue
		}
		for _, to := range c.out.Resources[i].References() {
			if !lasts[to] && to.String() != *index.Reference && to.Type != "Encounter" {
				lasts[to] = true
				work = append(work, to)
			}
		}
	}
	for i := range c.out.Resources {
		r := &c.out.Resources[i]
		r.Lasts, r.Whole = lasts[r.Ref()], r.Ref() == whole
	}
}

// carried says which version of which document an MDM message with C-CDA documents is,
// by the numbers of TXA, and marks what stays of it when another replaces it: all that
// they alone do not say.
//
// Source: HL7 v2.9 9.6.1.12 and 9.6.1.13, 9.4.10.
func (b *build) carried(txa hl7.Segment) {
	key := entityKey(first(txa.Field(12)))
	if key == nil || b.docs == nil || b.fault != nil {
		return
	}
	called := func(key []string) string { return "txa|" + strings.Join(key, "|") }
	b.out.Edition = &Edition{Name: called(key)}
	if parent := entityKey(first(txa.Field(13))); parent != nil && b.typ.Trigger == "T10" && called(parent) != called(key) {
		b.out.Edition.Replaces = []string{called(parent)}
	}
	whole := fhir.Ref{Type: "DocumentReference", ID: b.id("DocumentReference", key...)}
	lasts := map[fhir.Ref]bool{}
	for grown := true; grown; {
		grown = false
		for i := range b.out.Resources {
			r := &b.out.Resources[i]
			index, within := b.docs[r.Ref()]
			if r.Lasts || within && (index || !lasts[r.Ref()]) {
				continue
			}
			r.Lasts, r.Whole, grown = true, r.Ref() == whole, true
			for _, to := range r.References() {
				lasts[to] = true
			}
		}
	}
}

// nameOf is what a document is called by; empty when it is called nothing.
func nameOf(ii ccda.II) string {
	if ii.Null != "" || ii.Root == "" || ii.Extension == "" && !isUUID(ii.Root) && !isOID(ii.Root) || ii.Extension != "" && placeholder(ii) {
		return ""
	}
	return strings.ToLower(ii.Root) + "|" + ii.Extension
}
