package mapping

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// documents gathers what of several values is a document; nil when none is.
func documents(values []observed) []attached {
	var all []attached
	for _, v := range values {
		all = append(all, v.docs...)
	}
	return all
}

// document is what a DocumentReference, or a Communication, is made of.
type document struct {
	key      []string // what it is called by
	typ      *r4.CodeableConcept
	category []r4.CodeableConcept
	contents []titled
	status   []fhir.Set // of the DocumentReference
	wrong    bool       // made in error
	about    []r4.Reference
	related  []r4.Reference
	authors  []r4.Reference
	period   *r4.Period // of what it is about
	sent     *string    // of a communication
	model    r4.DocumentReference
}

type titled struct {
	attached
	title string
}

// attachment makes the document of an OBX: a DocumentReference and, for each
// content, a Binary that the report's presentedForm names too. So the content is
// kept once, and stands under the same rules from wherever it is reached.
//
// Source: v2-to-FHIR, ED[DocumentReference], RP[DocumentReference].
func (l *lab) attachment(a *about, r result, docs []attached) []r4.Attachment {
	obx := r.lines[0]
	d := document{
		key:     l.resultKey(a.order, obx),
		typ:     l.concept(first(obx.Field(3)), ""),
		authors: l.performers(obx),
		period:  a.span,
		related: a.basedOn,
		wrong:   value(obx.Field(11)) == "D" || value(obx.Field(11)) == "W",
	}
	if a.report != nil {
		d.about = []r4.Reference{*a.report}
		d.related = append(d.related[:len(d.related):len(d.related)], *a.report)
	}
	if d.sent = l.dateTime(obx, 14); d.sent != nil {
		d.period = period(d.sent, nil)
	} else if d.period == nil {
		d.period = period(a.taken, nil)
	}
	title := textOf(first(obx.Field(3)))
	for _, doc := range docs {
		d.contents = append(d.contents, titled{doc, title})
	}
	for _, n := range r.notes {
		d.contents = append(d.contents, titled{textContent(comment([]hl7.Segment{n})), ""})
	}
	d.status = []fhir.Set{{Path: "status", Value: "current"}}
	if d.wrong {
		d.status = []fhir.Set{{Path: "status", Value: "entered-in-error"}}
	}
	if s := docStatusOfResult(value(obx.Field(11))); s != "" {
		d.status = append(d.status, fhir.Set{Path: "docStatus", Value: s})
	}
	d.model.Date = a.issued
	return l.document(a.at, d)
}

// docStatusOfResult is OBX-11 as a status of the document that is the result:
// the codes of both lists that mean the same; empty for the rest.
func docStatusOfResult(state string) string {
	switch c, _ := lookup("ObservationResultStatusCodesInterpretation", state); c.code {
	case "preliminary", "final", "entered-in-error":
		return c.code
	case "corrected", "amended":
		return "amended"
	}
	return ""
}

// document makes the resources of d and gives its contents as attachments.
func (l *lab) document(at time.Time, d document) []r4.Attachment {
	if d.isCommunication() {
		return l.communication(at, d)
	}
	rid := l.own("DocumentReference", d.key...)
	self := refer("DocumentReference", rid)
	doc := d.model
	doc.Id = &rid
	doc.Type, doc.Category = d.typ, d.category
	doc.Subject = ptr(l.subject())
	doc.Author = d.authors
	if doc.Date == nil {
		doc.Date = ptr(l.instant(l.at))
	}
	doc.Context = &r4.DocumentReferenceContext{Period: d.period, Related: append(d.related[:len(d.related):len(d.related)], l.unpack(d.contents)...)}
	if visit := l.encounter(); visit != nil {
		doc.Context.Encounter = []r4.Reference{*visit}
	}
	also := d.status
	var forms []r4.Attachment
	for _, c := range d.contents {
		form := l.binary(at, &self, d.key, c)
		if form.ContentType == nil && form.Title == nil && form.Url == nil {
			continue // not even a media type is said
		}
		forms = append(forms, form)
		doc.Content = append(doc.Content, r4.DocumentReferenceContent{Attachment: form})
	}
	if len(doc.Content) == 0 {
		also = append(also, fhir.Set{Path: "content[0].attachment._url", Value: absent("unknown")})
	}
	l.addAt(at, doc, also...)
	return forms
}

// binary makes the Binary of a content, where there is one, and the attachment
// that leads to it.
func (l *lab) binary(at time.Time, of *r4.Reference, key []string, c titled) r4.Attachment {
	form := r4.Attachment{ContentType: p(c.mime), Title: p(c.title), Url: p(c.url)}
	if c.data == "" {
		return form
	}
	rid := l.own("Binary", key...)
	l.addAt(at, r4.Binary{Id: &rid, ContentType: c.mime, SecurityContext: of, Data: &c.data})
	form.Url, form.Size = ptr("Binary/"+rid), &c.size
	return form
}

// communication makes a Communication of a document whose type says that it is
// one. Prose is its content; other formats are Binaries.
//
// Its status is "unknown": HL7 v2 has none for what was said, only for its
// record.
func (l *lab) communication(at time.Time, d document) []r4.Attachment {
	rid := l.own("Communication", d.key...)
	self := refer("Communication", rid)
	com := r4.Communication{
		Id: &rid, Subject: ptr(l.subject()), Encounter: l.encounter(), About: d.about,
		Identifier: d.model.Identifier, Sent: d.sent,
	}
	if d.model.MasterIdentifier != nil {
		com.Identifier = append(com.Identifier, *d.model.MasterIdentifier)
	}
	if d.typ != nil {
		com.Category = append(com.Category, *d.typ)
	}
	com.Category = append(com.Category, d.category...)
	for _, ref := range d.related {
		if ref.Reference != nil && strings.HasPrefix(*ref.Reference, "ServiceRequest/") {
			com.BasedOn = append(com.BasedOn, ref)
		}
	}
	if len(d.authors) > 0 {
		com.Sender = &d.authors[0]
	}
	var forms []r4.Attachment
	for _, c := range d.contents {
		if text, ok := c.text(); ok {
			com.Payload = append(com.Payload, r4.CommunicationPayload{ContentString: text})
			continue
		}
		form := l.binary(at, &self, d.key, c)
		forms = append(forms, form)
		com.Payload = append(com.Payload, r4.CommunicationPayload{ContentAttachment: form})
	}
	state := "unknown"
	if d.wrong {
		state = "entered-in-error"
	}
	l.addAt(at, com, fhir.Set{Path: "status", Value: state})
	return forms
}

func (d *document) isCommunication() bool {
	return isCommunication(d.typ) || slices.ContainsFunc(d.category, func(c r4.CodeableConcept) bool { return isCommunication(&c) })
}

// telephoneNote is LOINC's code for the note of a telephone encounter.
const telephoneNote = "34748-4"

// communications are the words by which a document's type says that it records
// what passed between people, in the languages of the feeds.
var communications = []string{
	"patient message", "message from patient", "message to patient", "patient e mail", "patient email",
	"secure message", "secure messaging", "portal message", "mychart message",
	"telephone encounter", "telephone note", "telephone call", "telephone message",
	"phone note", "phone call", "phone message", "phone encounter",
	"appel telephonique", "entretien telephonique", "message du patient", "message au patient",
	"llamada telefonica", "mensaje del paciente", "mensaje al paciente",
}

// isCommunication tells whether a document's type names a communication. Only
// the type is asked, never the text; "telephone" alone, as in a provider's
// telephone number, says nothing.
func isCommunication(typ *r4.CodeableConcept) bool {
	if typ == nil {
		return false
	}
	if typ.Text != nil && saysCommunication(*typ.Text) {
		return true
	}
	for _, c := range typ.Coding {
		if c.Code != nil && *c.Code == telephoneNote && c.System != nil && *c.System == "http://loinc.org" {
			return true
		}
		if c.Display != nil && saysCommunication(*c.Display) || c.Code != nil && saysCommunication(*c.Code) {
			return true
		}
	}
	return false
}

func saysCommunication(s string) bool {
	words := " " + plain(s) + " "
	for _, phrase := range communications {
		if strings.Contains(words, " "+phrase+" ") {
			return true
		}
	}
	return false
}

var unaccent = strings.NewReplacer("é", "e", "è", "e", "ê", "e", "á", "a", "à", "a", "ó", "o", "í", "i", "ú", "u", "ç", "c")

// plain is s in lower case without accents, its words apart by one blank.
func plain(s string) string {
	return strings.Join(strings.FieldsFunc(unaccent.Replace(strings.ToLower(s)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
}
