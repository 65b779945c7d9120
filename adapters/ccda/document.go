package ccda

import "slices"

// Document is a clinical document.
type Document struct {
	Root *Element

	parts    map[string][]*Element // what carries an ID, by it
	resolved int                   // bytes of narrative given out, see Resolve
}

func newDocument(root *Element) *Document {
	d := &Document{Root: root, parts: map[string][]*Element{}}
	d.index(root)
	return d
}

func (d *Document) index(e *Element) {
	if id := e.Attr("ID"); id != "" && len(d.parts[id]) < maxSame {
		d.parts[id] = append(d.parts[id], e)
	}
	for _, k := range e.Kids {
		if k.Name != "" {
			d.index(k)
		}
	}
}

// ID is the document's own identifier.
func (d *Document) ID() II { return IIOf(d.Root.Child("id")) }

// SetID is what all versions of the document share.
func (d *Document) SetID() II { return IIOf(d.Root.Child("setId")) }

// Code is what kind of document it is.
func (d *Document) Code() CD { return d.CD(d.Root.Child("code")) }

// Title is its title in plain text.
func (d *Document) Title() string { return Plain(d.Root.Child("title")) }

// Time is when it was made (TS).
func (d *Document) Time() string { return d.Root.Child("effectiveTime").Attr("value") }

// Patients are its patientRoles; there should be one.
func (d *Document) Patients() []*Element {
	var all []*Element
	for t := range d.Root.All("recordTarget") {
		if p := t.Child("patientRole"); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// Authors are the document's authors.
func (d *Document) Authors() []*Element { return slices.Collect(d.Root.All("author")) }

// Custodian is the organization that keeps the document.
func (d *Document) Custodian() *Element {
	return d.Root.At("custodian/assignedCustodian/representedCustodianOrganization")
}

// Encounter is the encompassingEncounter.
func (d *Document) Encounter() *Element { return d.Root.At("componentOf/encompassingEncounter") }

// Services are what the document documents (documentationOf/serviceEvent).
func (d *Document) Services() []*Element {
	var all []*Element
	for x := range d.Root.All("documentationOf") {
		if s := x.Child("serviceEvent"); s != nil {
			all = append(all, s)
		}
	}
	return all
}

// Related are the documents that this one appends to, replaces or transforms.
func (d *Document) Related() []*Element { return slices.Collect(d.Root.All("relatedDocument")) }

// NonXML is the body of an unstructured document, an ED; nil of any other.
func (d *Document) NonXML() *Element { return d.Root.At("component/nonXMLBody/text") }

// Section is a section of a structured document.
type Section struct {
	*Element
	Code   CD
	Title  string
	Within *Section // nil at the top
}

// Sections are all sections in document order, those inside others behind these.
func (d *Document) Sections() []*Section {
	var all []*Section
	var in func(e *Element, up *Section)
	in = func(e *Element, up *Section) {
		for c := range e.All("component") {
			s := c.Child("section")
			if s == nil {
				continue
			}
			sec := &Section{Element: s, Code: d.CD(s.Child("code")), Title: Plain(s.Child("title")), Within: up}
			all = append(all, sec)
			in(s, sec)
		}
	}
	in(d.Root.At("component/structuredBody"), nil)
	return all
}

// Entries are the clinical statements of a section, in order.
func (s *Section) Entries() []*Element {
	var all []*Element
	for e := range s.All("entry") {
		if c := Statement(e); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// statements are the kinds of clinical statement.
var statements = []string{"act", "encounter", "observation", "observationMedia", "organizer", "procedure", "regionOfInterest", "substanceAdministration", "supply"}

// Statement is the clinical statement of an entry, entryRelationship or component.
func Statement(e *Element) *Element {
	if e == nil {
		return nil
	}
	for _, k := range e.Kids {
		if slices.Contains(statements, k.Name) {
			return k
		}
	}
	return nil
}
