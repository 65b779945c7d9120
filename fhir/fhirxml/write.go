// Package fhirxml writes resources as FHIR XML and reads them back, by the
// tables of the definitions: nothing that R4 knows is lost either way.
//
// Source: FHIR R4 2.6.1, XML representation of resources.
package fhirxml

import (
	"bytes"
	"html"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

const (
	space      = "http://hl7.org/fhir"
	xhtmlSpace = "http://www.w3.org/1999/xhtml"
)

// Write is r as an XML document without white space between elements. Elements
// come in the order of the definitions.
//
// It fails, with a *fhir.Error that names the place, on what XML cannot say: an
// element that R4 does not know, a control character.
func Write(r fhir.Resource) ([]byte, error) { return write(r, &writer{}) }

// WriteIndented is [Write] with each element on a line of its own. Narratives are as
// they are: white space counts there.
func WriteIndented(r fhir.Resource) ([]byte, error) { return write(r, &writer{indented: true}) }

func write(r fhir.Resource, w *writer) ([]byte, error) {
	w.b.Grow(len(r.JSON()) + len(r.JSON())/4)
	w.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>`)
	w.resource(r.Type(), r.Root(), ` xmlns="`+space+`"`)
	if w.fault != nil {
		return nil, w.fault
	}
	return w.b.Bytes(), nil
}

type writer struct {
	b        bytes.Buffer
	fault    *fhir.Error // the first
	indented bool
	depth    int // of elements that are open
}

// open begins an element.
func (w *writer) open(name string) {
	w.line()
	w.depth++
	w.b.WriteString("<" + name)
}

// shut ends an element that has others inside.
func (w *writer) shut(name string) {
	w.depth--
	w.line()
	w.b.WriteString("</" + name + ">")
}

// shutEmpty ends an element that has attributes alone.
func (w *writer) shutEmpty() {
	w.depth--
	w.b.WriteString("/>")
}

func (w *writer) line() {
	if w.indented {
		w.b.WriteByte('\n')
		for range w.depth {
			w.b.WriteString("  ")
		}
	}
}

func (w *writer) fail(path, text string) {
	if w.fault == nil {
		w.fault = &fhir.Error{Status: 500, Code: "exception", Text: path + " " + text, Expression: path}
	}
}

// resource writes a resource in an element of its type's name.
func (w *writer) resource(path string, n fhir.Node, attributes string) {
	typ := n.Get("resourceType").Text()
	t := r4def.Lookup(typ)
	if t == nil || !t.Resource {
		w.fail(path, "is not a resource of R4")
		return
	}
	w.open(typ + attributes + ">")
	w.members(path, t, n)
	w.shut(typ)
}

// object writes a value with parts.
func (w *writer) object(path, name string, t *r4def.Type, n fhir.Node) {
	w.open(name)
	for _, attribute := range attributes(t) {
		if v := n.Get(attribute); !v.IsZero() {
			w.attribute(path, attribute, v.Text())
		}
	}
	before := w.b.Len()
	w.b.WriteByte('>')
	w.members(path, t, n)
	if w.b.Len() == before+1 {
		w.b.Truncate(before)
		w.shutEmpty()
		return
	}
	w.shut(name)
}

// attributes are the elements of a type that XML writes as attributes.
func attributes(t *r4def.Type) []string {
	switch {
	case t.Resource:
		return nil
	case t.Name == "Extension":
		return []string{"id", "url"}
	}
	return []string{"id"}
}

// members writes an object's elements in the order of its type.
func (w *writer) members(path string, t *r4def.Type, n fhir.Node) {
	attributes, known := attributes(t), 0
	for i := range t.Elements {
		e := &t.Elements[i]
		for _, m := range t.Members(e.Name) {
			v, beside := n.Get(m.Name), n.Get("_"+m.Name)
			if !v.IsZero() {
				known++
			}
			if !beside.IsZero() {
				known++
			}
			if slices.Contains(attributes, m.Name) || v.IsZero() && beside.IsZero() {
				continue
			}
			w.member(path+"."+m.Name, m, v, beside)
		}
	}
	if t.Resource {
		known++ // resourceType
	}
	if known != n.Len() {
		w.fail(path, "has an element that R4 does not know")
	}
}

func (w *writer) member(path string, m r4def.Member, v, beside fhir.Node) {
	if r4def.IsPrimitive(m.Type) {
		if m.Element.Max == 1 {
			w.primitive(path, m, v, beside)
			return
		}
		values, extensions := slices.Collect(v.Slots()), slices.Collect(beside.Slots())
		for i := range max(len(values), len(extensions)) {
			w.primitive(path, m, at(values, i), at(extensions, i))
		}
		return
	}
	for item := range v.Items() {
		if m.Type != "Resource" {
			w.object(path, m.Name, r4def.Lookup(m.Type), item)
			continue
		}
		w.open(m.Name + ">")
		w.resource(path, item, "")
		w.shut(m.Name)
	}
}

func at(all []fhir.Node, i int) fhir.Node {
	if i < len(all) && all[i].Kind() != 'n' {
		return all[i]
	}
	return fhir.Node{}
}

func (w *writer) primitive(path string, m r4def.Member, v, beside fhir.Node) {
	if m.Type == "xhtml" {
		w.line()
		w.b.WriteString(entities.ReplaceAllStringFunc(v.Text(), plain))
		return
	}
	w.open(m.Name)
	if id := beside.Get("id"); !id.IsZero() {
		w.attribute(path, "id", id.Text())
	}
	if !v.IsZero() {
		w.attribute(path, "value", v.Text())
	}
	extensions := beside.Get("extension")
	if extensions.IsZero() {
		w.shutEmpty()
		return
	}
	w.b.WriteByte('>')
	for x := range extensions.Items() {
		w.object(path+".extension", "extension", r4def.Lookup("Extension"), x)
	}
	w.shut(m.Name)
}

func (w *writer) attribute(path, name, value string) {
	w.b.WriteString(" " + name + `="`)
	for i, c := range value {
		switch {
		case c == '&':
			w.b.WriteString("&amp;")
		case c == '<':
			w.b.WriteString("&lt;")
		case c == '"':
			w.b.WriteString("&quot;")
		case c == '\t' || c == '\n' || c == '\r': // else an attribute's white space is blanks
			w.b.WriteString("&#" + strconv.Itoa(int(c)) + ";")
		case c < ' ' || c == 0xfffe || c == 0xffff || c == utf8.RuneError && value[i] != 0xef:
			w.fail(path, "has a character that XML cannot hold")
		default:
			w.b.WriteRune(c)
		}
	}
	w.b.WriteByte('"')
}

// entities are HTML's in narratives: XML knows five.
var entities = regexp.MustCompile(`&[A-Za-z][A-Za-z0-9]*;`)

func plain(entity string) string {
	switch entity {
	case "&amp;", "&lt;", "&gt;", "&quot;", "&apos;":
		return entity
	}
	return html.UnescapeString(entity)
}
