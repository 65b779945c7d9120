package fhirxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// Read reads a resource from an XML document in UTF-8: one element of a
// resource type, in FHIR's namespace. A document type is refused, as are
// elements and attributes that R4 does not know, text where none belongs, more
// than fhir.MaxBytes bytes and fhir.MaxDepth levels. A narrative is kept to the
// byte.
//
// The error is a *fhir.Error that names the element and quotes nothing. As with
// JSON, [r4def.Check] judges what was read.
func Read(b []byte) (fhir.Resource, error) {
	if len(b) > fhir.MaxBytes {
		return fhir.Resource{}, &fhir.Error{Status: 413, Code: "too-long", Text: "The resource is larger than this server takes."}
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	r := &reader{b: b, d: xml.NewDecoder(bytes.NewReader(b))}
	start, err := r.first()
	if err != nil {
		return fhir.Resource{}, err
	}
	json, err := r.resource(start.Name.Local, start)
	if err != nil {
		return fhir.Resource{}, err
	}
	if next, err := r.next("The document"); err != io.EOF {
		if err == nil && next != nil {
			err = bad("", "There is something after the resource.")
		}
		return fhir.Resource{}, err
	}
	return fhir.Take(json)
}

func bad(path, text string) *fhir.Error {
	return &fhir.Error{Status: 400, Code: "structure", Text: text, Expression: path}
}

type reader struct {
	b     []byte
	d     *xml.Decoder
	from  int64 // where the token that next gave begins
	depth int
}

// next gives the next element's beginning or end; text that is not white space
// is refused.
func (r *reader) next(path string) (xml.Token, error) {
	for {
		r.from = r.d.InputOffset()
		t, err := r.d.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, bad(path, "The content is not well-formed XML in UTF-8.")
		}
		switch t := t.(type) {
		case xml.StartElement:
			if r.depth++; r.depth > fhir.MaxDepth {
				return nil, &fhir.Error{Status: 400, Code: "too-costly", Text: "The content is nested too deep."}
			}
			return t, nil
		case xml.EndElement:
			r.depth--
			return t, nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, bad(path, path+" has text that belongs to no element.")
			}
		case xml.Directive:
			return nil, bad(path, "A document type is not allowed.")
		}
	}
}

func (r *reader) first() (xml.StartElement, error) {
	t, err := r.next("The document")
	if err == io.EOF {
		err = bad("", "The content is empty.")
	}
	start, ok := t.(xml.StartElement)
	if err == nil && !ok {
		err = bad("", "The content is not an element.")
	}
	return start, err
}

// resource reads the element of a resource as JSON.
func (r *reader) resource(path string, start xml.StartElement) ([]byte, error) {
	t := r4def.Lookup(start.Name.Local)
	if start.Name.Space != space || t == nil || !t.Resource || !fhir.IsType(t.Name) {
		return nil, bad("", "The element is not a resource of R4 in the namespace "+space+".")
	}
	out := []byte(`{"resourceType":"` + t.Name + `"`)
	return r.object(path, t, start, out)
}

// given is one element of an object, in all its repetitions.
type given struct {
	member         r4def.Member
	values, beside [][]byte // JSON, nil for none; beside is what a primitive has besides its value
}

// object reads attributes and elements into JSON, behind what out holds of it
// already.
func (r *reader) object(path string, t *r4def.Type, start xml.StartElement, out []byte) ([]byte, error) {
	put := func(name string, value []byte) {
		if out[len(out)-1] != '{' {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), name...), `":`...), value...)
	}
	for _, a := range start.Attr {
		switch {
		case isNamespace(a):
		case a.Name.Space == "" && slices.Contains(attributes(t), a.Name.Local):
			put(a.Name.Local, quote(a.Value))
		default:
			return nil, bad(path, path+" has an attribute that R4 does not know.")
		}
	}
	var all []*given
	byName := map[string]*given{}
	for {
		token, err := r.next(path)
		if err != nil {
			return nil, ended(err)
		}
		child, begins := token.(xml.StartElement)
		if !begins {
			break
		}
		name := child.Name.Local
		m, known := t.Member(name)
		if !known || slices.Contains(attributes(t), name) || child.Name.Space != space && m.Type != "xhtml" {
			return nil, bad(path, path+" has an element that R4 does not know.")
		}
		g := byName[name]
		if g == nil {
			g = &given{member: m}
			byName[name] = g
			all = append(all, g)
		}
		if len(g.values) > 0 && m.Element.Max == 1 {
			return nil, bad(path+"."+name, path+"."+name+" is given twice.")
		}
		value, beside, err := r.value(path+"."+name, m, child)
		if err != nil {
			return nil, err
		}
		g.values, g.beside = append(g.values, value), append(g.beside, beside)
	}
	for _, g := range all {
		if g.member.Element.Max == 1 {
			if g.values[0] != nil {
				put(g.member.Name, g.values[0])
			}
			if g.beside[0] != nil {
				put("_"+g.member.Name, g.beside[0])
			}
			continue
		}
		if list := array(g.values); list != nil {
			put(g.member.Name, list)
		}
		if list := array(g.beside); list != nil {
			put("_"+g.member.Name, list)
		}
	}
	return append(out, '}'), nil
}

// array is nil when no item has anything.
func array(items [][]byte) []byte {
	out, any := []byte{'['}, false
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		if item == nil {
			out = append(out, "null"...)
			continue
		}
		any = true
		out = append(out, item...)
	}
	if !any {
		return nil
	}
	return append(out, ']')
}

// value reads one element of a type: its value, and of a primitive what stands
// beside it.
func (r *reader) value(path string, m r4def.Member, start xml.StartElement) (value, beside []byte, err error) {
	switch {
	case m.Type == "xhtml":
		value, err = r.narrative(path, start)
	case m.Type == "Resource":
		value, err = r.inner(path, start)
	case r4def.IsPrimitive(m.Type):
		return r.primitive(path, m.Type, start)
	default:
		value, err = r.object(path, r4def.Lookup(m.Type), start, []byte{'{'})
	}
	return value, nil, err
}

// inner reads the one resource in an element, such as contained.
func (r *reader) inner(path string, start xml.StartElement) ([]byte, error) {
	for _, a := range start.Attr {
		if !isNamespace(a) {
			return nil, bad(path, path+" has an attribute that R4 does not know.")
		}
	}
	token, err := r.next(path)
	if err != nil {
		return nil, ended(err)
	}
	child, begins := token.(xml.StartElement)
	if !begins {
		return nil, bad(path, path+" holds no resource.")
	}
	value, err := r.resource(path, child)
	if err != nil {
		return nil, err
	}
	if token, err = r.next(path); err != nil {
		return nil, ended(err)
	}
	if _, more := token.(xml.StartElement); more {
		return nil, bad(path, path+" holds more than one resource.")
	}
	return value, nil
}

func (r *reader) primitive(path, typ string, start xml.StartElement) (value, beside []byte, err error) {
	plain := xml.StartElement{Name: start.Name}
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == "value" {
			if value, err = literal(path, typ, a.Value); err != nil {
				return nil, nil, err
			}
			continue
		}
		plain.Attr = append(plain.Attr, a)
	}
	if beside, err = r.object(path, r4def.Lookup("Element"), plain, []byte{'{'}); err != nil {
		return nil, nil, err
	}
	if len(beside) == len("{}") {
		beside = nil
	}
	if value == nil && beside == nil {
		return nil, nil, bad(path, path+" has neither a value nor extensions.")
	}
	return value, beside, nil
}

// literal is a primitive's value as JSON writes it: numbers and booleans as they
// stand, all else as a string.
func literal(path, typ, s string) ([]byte, error) {
	switch typ {
	case "boolean":
		if s != "true" && s != "false" {
			return nil, bad(path, path+" is not true or false.")
		}
		return []byte(s), nil
	case "integer", "positiveInt", "unsignedInt", "decimal":
		if v := jsontext.Value(s); s == "" || strings.TrimSpace(s) != s || !v.IsValid() || v.Kind() != '0' {
			return nil, bad(path, path+" is not a number.")
		}
		return []byte(s), nil
	}
	return quote(s), nil
}

// narrative keeps the bytes of a div.
func (r *reader) narrative(path string, start xml.StartElement) ([]byte, error) {
	from, declared := r.from, false
	for _, a := range start.Attr {
		declared = declared || a.Name.Space == "" && a.Name.Local == "xmlns" && a.Value == xhtmlSpace
	}
	if start.Name.Space != xhtmlSpace || !declared {
		return nil, bad(path, path+" must declare the namespace "+xhtmlSpace+" itself.")
	}
	for depth := 1; depth > 0; {
		t, err := r.d.Token()
		if err != nil {
			return nil, bad(path, "The content is not well-formed XML in UTF-8.")
		}
		switch t.(type) {
		case xml.StartElement:
			if depth++; depth > 4*fhir.MaxDepth {
				return nil, &fhir.Error{Status: 400, Code: "too-costly", Text: "The content is nested too deep."}
			}
		case xml.EndElement:
			depth--
		case xml.Directive, xml.ProcInst:
			return nil, bad(path, path+" has what does not belong into a narrative.")
		}
	}
	r.depth--
	return quote(string(r.b[from:r.d.InputOffset()])), nil
}

func quote(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s)
	return b
}

func isNamespace(a xml.Attr) bool {
	return a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" || a.Name.Space == "http://www.w3.org/2001/XMLSchema-instance" && a.Name.Local == "schemaLocation"
}

// ended says of a document that ends too early what it is.
func ended(err error) error {
	if err == io.EOF {
		return bad("", "The content is not well-formed XML in UTF-8.")
	}
	return err
}
