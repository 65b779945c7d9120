package ccda

import (
	"iter"
	"strings"
)

// Element is an element of the document, or text between elements: then Name is
// empty and Text is not.
type Element struct {
	Name string
	Text string // of a text only
	Kids []*Element
	Up   *Element // nil of the root
	Line int      // where it begins, from 1

	attrs []attribute
}

type attribute struct{ name, value string }

// Attr is an attribute's value without blanks around it; "" when it is absent.
func (e *Element) Attr(name string) string {
	if e == nil {
		return ""
	}
	for i := range e.attrs {
		if e.attrs[i].name == name {
			return strings.TrimSpace(e.attrs[i].value)
		}
	}
	return ""
}

// Child is the first child of that name.
func (e *Element) Child(name string) *Element {
	if e == nil {
		return nil
	}
	for _, k := range e.Kids {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// At follows names from child to child, each the first of its name: "a/b/c".
func (e *Element) At(path string) *Element {
	for name := range strings.SplitSeq(path, "/") {
		e = e.Child(name)
	}
	return e
}

// All are the children of that name.
func (e *Element) All(name string) iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if e == nil {
			return
		}
		for _, k := range e.Kids {
			if k.Name == name && !yield(k) {
				return
			}
		}
	}
}

// Has tells whether e carries a template, by its root, in whatever version.
func (e *Element) Has(template string) bool {
	for t := range e.All("templateId") {
		if t.Attr("root") == template {
			return true
		}
	}
	return false
}

// Null is the nullFlavor of e: "UNK", "NI", ...; "" when e is known or absent.
func (e *Element) Null() string { return e.Attr("nullFlavor") }

// Path is where e stands: "/ClinicalDocument/component/structuredBody".
func (e *Element) Path() string {
	if e == nil {
		return ""
	}
	return e.Up.Path() + "/" + e.Name
}

// Type is the local name of xsi:type: "CD", "IVL_TS"; "" when there is none.
func (e *Element) Type() string {
	t := e.Attr("xsi:type")
	return t[strings.IndexByte(t, ':')+1:]
}
