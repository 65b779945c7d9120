package mapping

import (
	"slices"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// mdm maps MDM^T01 to T11, documents: the DocumentReference of TXA with its
// contents as Binaries, or a Communication where the type says that it is one;
// the ServiceRequests of its orders; Observations of what OBX say in codes.
//
// A notification without content (T01, T03, T05, T07, T09) must not lie over
// the version that has it, so it counts only until one comes; T11, which takes
// a document back, does lie over it.
//
// Source: v2-to-FHIR, MDM_T02, TXA[DocumentReference], OBX[DocumentReference],
// NTE[DocumentReference].
func (b *build) mdm() error {
	txa, err := b.msg.Require("TXA")
	if err != nil {
		return fault(err)
	}
	b.encounter()
	l := b.lab()
	var related []r4.Reference
	for _, g := range b.msg.Before("TXA").Groups("ORC OBR") {
		o := group(g)
		if !hasContent(o.orc) && !hasContent(o.obr) {
			continue
		}
		o.key = l.reportKey(o)
		o.requestID = l.id("ServiceRequest", l.requestKey(o)...)
		l.request(o, saysStatus(o), nil)
		related = append(related, refer("ServiceRequest", o.requestID))
	}
	if err := l.transcription(txa, group(behind(b.msg.Segments(), "TXA")), related); err != nil {
		return err
	}
	l.finish()
	b.carried(txa)
	return nil
}

// behind are the segments after the first of that name.
func behind(g hl7.Group, name string) hl7.Group {
	for i, s := range g {
		if s.Name() == name {
			return g[i+1:]
		}
	}
	return nil
}

// transcription maps TXA and the OBX behind it.
func (l *lab) transcription(txa hl7.Segment, o *order, related []r4.Reference) error {
	trigger := l.typ.Trigger
	d := document{
		key:     l.documentKey(first(txa.Field(12))),
		typ:     l.documentType(txa),
		related: related,
		authors: l.practitioners(txa.Field(9)),
		sent:    l.dateTime(txa, 4),
		wrong:   trigger == "T11",
	}
	d.period = period(d.sent, nil)
	d.model = r4.DocumentReference{
		MasterIdentifier: l.entity(first(txa.Field(12)), ""),
		Description:      p(clean(txa.Field(25).Text())),
		SecurityLabel:    l.concepts(txa.Field(18), "DocumentConfidentialityStatus"),
		RelatesTo:        l.relatesTo(txa),
	}
	if file := clean(txa.Field(16).Text()); file != "" {
		d.model.Identifier = []r4.Identifier{{Value: &file}}
	}
	if made, ok := l.moment(txa, 6); ok && made.instant() {
		d.model.Date = &made.text
	}
	d.model.Authenticator = l.authenticator(txa)
	d.related = append(d.related, l.practitioners(txa.Field(5))...)
	d.status = documentStatus(txa, d.wrong)
	if len(d.model.RelatesTo) > 0 { // the first code of a list would count as not said
		d.status = append(d.status, fhir.Set{Path: "relatesTo[0].code", Value: d.model.RelatesTo[0].Code})
	}

	o.key = d.key
	coded := l.contents(&d, o)
	if d.category = append(d.category, l.kinds(o)...); !d.isCommunication() {
		d.category = append(d.category, clinicalNote())
	}
	at := l.at
	if !slices.ContainsFunc(d.contents, func(c titled) bool { return !c.isZero() }) {
		if len(d.contents) == 0 {
			d.contents = []titled{{attached{mime: mediaType(value(txa.Field(3)), "")}, ""}}
		}
		if !d.wrong {
			at = reminder(at)
		}
	}
	l.document(at, d)
	a := &about{order: o, at: l.at}
	if !d.isCommunication() {
		a.derived = []r4.Reference{refer("DocumentReference", l.id("DocumentReference", d.key...))}
	}
	for _, r := range coded {
		if _, err := l.observation(a, r, l.values(r.lines)); err != nil {
			return err
		}
	}
	return nil
}

// orderDocument maps the document that stands with an order in ORU and OUL from
// version 2.8 on, a TXA with its one OBX before it, and gives the rest of the group.
//
// Source: HL7 v2.9 7.3.1 and 7.3.9, group ORDER_DOCUMENT.
func (l *lab) orderDocument(g hl7.Group) (hl7.Group, error) {
	end := slices.IndexFunc(g, func(s hl7.Segment) bool { return s.Name() == "TXA" })
	if end < 0 {
		return g, nil
	}
	start := end
	for start > 0 && slices.Contains([]string{"PRT", "NTE"}, g[start-1].Name()) {
		start--
	}
	if start > 0 && g[start-1].Name() == "OBX" {
		start--
	} else {
		start = end
	}
	rest := slices.Concat(g[:start], g[end+1:])
	var related []r4.Reference
	if o := group(rest); hasContent(o.orc) && o.obr.Exists() { // without OBR nothing is made of the order
		related = []r4.Reference{refer("ServiceRequest", l.id("ServiceRequest", l.requestKey(o)...))}
	}
	return rest, l.transcription(g[end], group(g[start:end]), related)
}

// documentKey is what a document is called by: its number, or its message
// where it has none.
func (l *lab) documentKey(number data) []string {
	if k := entityKey(number); k != nil {
		return k
	}
	msh := l.msg.Segment("MSH")
	return []string{"message", value(msh.Field(10)), value(msh.Field(7))}
}

// contents gives d a content for each document and text among the OBX, in
// order. Prose under one code is one text. What OBX say in codes and numbers is
// given back.
func (l *lab) contents(d *document, o *order) (coded []result) {
	for i := 0; i < len(o.results); i++ {
		r := o.results[i]
		typ := value(r.lines[0].Field(2))
		if isText(typ) {
			for i+1 < len(o.results) && sameText(r, o.results[i+1]) {
				i++
				r.lines = append(r.lines, o.results[i].lines...)
				r.notes = append(r.notes, o.results[i].notes...)
			}
		}
		title := textOf(first(r.lines[0].Field(3)))
		values := l.values(r.lines)
		switch docs := documents(values); {
		case docs != nil:
			for _, doc := range docs {
				d.contents = append(d.contents, titled{doc, title})
			}
		case isText(typ) || typ == "ST" || typ == "":
			for _, v := range values {
				if v.text != nil {
					d.contents = append(d.contents, titled{textContent(*v.text), title})
				}
			}
		default:
			coded = append(coded, r)
			continue
		}
		if s := comment(r.notes); s != "" {
			d.contents = append(d.contents, titled{textContent(s), ""})
		}
	}
	return coded
}

func sameText(a, b result) bool {
	x, y := a.lines[0], b.lines[0]
	return isText(value(y.Field(2))) && x.Field(3).Raw() == y.Field(3).Raw()
}

// kinds are the distinct OBX-3 of the contents: what the sender calls them.
func (l *lab) kinds(o *order) []r4.CodeableConcept {
	var all []r4.CodeableConcept
	seen := map[string]bool{}
	for _, r := range o.results {
		switch f := r.lines[0].Field(3); {
		case seen[f.Raw()]:
		case isText(value(r.lines[0].Field(2))), value(r.lines[0].Field(2)) == "ED", value(r.lines[0].Field(2)) == "RP":
			seen[f.Raw()] = true
			if c := l.concept(first(f), ""); c != nil {
				all = append(all, *c)
			}
		}
	}
	return all
}

// documentTypes are the suggested values of HL7 table 0270, document type, which
// is TXA-2's table where the field names no other.
var documentTypes = map[string]string{
	"AR": "Autopsy report", "CD": "Cardiodiagnostics", "CN": "Consultation", "DI": "Diagnostic imaging",
	"DS": "Discharge summary", "ED": "Emergency department report", "HP": "History and physical examination",
	"OP": "Operative report", "PC": "Psychiatric consultation", "PH": "Psychiatric history and physical examination",
	"PN": "Procedure note", "PR": "Progress note", "SP": "Surgical pathology", "TS": "Transfer summary",
}

func (l *lab) documentType(txa hl7.Segment) *r4.CodeableConcept {
	cwe := first(txa.Field(2))
	if words := documentTypes[cwe.at(1)]; words != "" && cwe.at(2) == "" && cwe.at(3) == "" {
		return one(fixed(v2System+"0270", cwe.at(1), words))
	}
	return l.concept(cwe, "")
}

// authenticator is TXA-10, or the first of TXA-22.
func (l *lab) authenticator(txa hl7.Segment) *r4.Reference {
	for _, f := range [...]int{10, 22} {
		if all := l.practitioners(txa.Field(f)); len(all) > 0 {
			return &all[0]
		}
	}
	return nil
}

// documentStatus is the reference's status by TXA-19 and the document's by
// TXA-17. Table 0271 has no map in the guide; its codes are told apart by
// FHIR's own definition: "final" is complete and verified, as authenticated and
// legally authenticated are, all before is "preliminary". The code sent stands
// beside it.
//
// Source: v2-to-FHIR, TXA[DocumentReference]; HL7 tables 0271, 0273; R4
// http://hl7.org/fhir/R4/valueset-composition-status.html.
func documentStatus(txa hl7.Segment, wrong bool) []fhir.Set {
	var all []fhir.Set
	switch available := value(txa.Field(19)); {
	case wrong:
		all = append(all, fhir.Set{Path: "status", Value: "entered-in-error"})
	case available == "" || available == "AV":
		all = append(all, fhir.Set{Path: "status", Value: "current"})
	default:
		all = append(all, unsaid("_status", available, "0273"))
	}
	completion := value(txa.Field(17))
	if completion == "" {
		return all
	}
	switch completion {
	case "AU", "LA":
		all = append(all, fhir.Set{Path: "docStatus", Value: "final"})
	case "DI", "DO", "IP", "IN", "PA":
		all = append(all, fhir.Set{Path: "docStatus", Value: "preliminary"})
	}
	return append(all, fhir.Set{Path: "_docStatus", Value: asSent(tableCode(completion, "0271"))})
}

// relatesTo is the document of TXA-13 that an addendum appends to or a
// replacement replaces. So that the reference leads somewhere, the little that
// is known of it becomes a resource, below any version a message gives. It leads
// back to what names it, and so is withheld with that: it would tell of it.
func (l *lab) relatesTo(txa hl7.Segment) []r4.DocumentReferenceRelatesTo {
	parent := first(txa.Field(13))
	key := entityKey(parent)
	if key == nil {
		return nil
	}
	var code r4.DocumentRelationshipType
	switch l.typ.Trigger {
	case "T05", "T06":
		code = r4.DocumentRelationshipTypeAppends
	case "T09", "T10":
		code = r4.DocumentRelationshipTypeReplaces
	default:
		return nil
	}
	rid := l.id("DocumentReference", key...)
	by := l.id("DocumentReference", l.documentKey(first(txa.Field(12)))...)
	l.later = append(l.later, func() {
		if l.has("DocumentReference", by) && !l.has("DocumentReference", rid) {
			l.support(reminder(l.at), r4.DocumentReference{
				Id: &rid, MasterIdentifier: l.entity(parent, ""), Subject: ptr(l.subject()),
				Context: &r4.DocumentReferenceContext{Related: []r4.Reference{refer("DocumentReference", by)}},
			}, unsaid("_status", "", ""), fhir.Set{Path: "content[0].attachment._url", Value: absent("unknown")})
		}
	})
	return []r4.DocumentReferenceRelatesTo{{Code: code, Target: refer("DocumentReference", rid)}}
}
