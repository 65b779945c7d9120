package mapping

import (
	"slices"
	"strconv"
	"strings"

	"firebreak/adapters/ccda"
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

// nameOf is what a document is called by; empty when it is called nothing.
func nameOf(ii ccda.II) string {
	if ii.Null != "" || ii.Root == "" || ii.Extension == "" && !isUUID(ii.Root) && !isOID(ii.Root) || ii.Extension != "" && placeholder(ii) {
		return ""
	}
	return strings.ToLower(ii.Root) + "|" + ii.Extension
}
