package ccda

import "strings"

// Words is the text of an ED such as originalText or text: what it refers to in the
// narrative, or what stands in it, on one line.
func (d *Document) Words(e *Element) string {
	if e == nil {
		return ""
	}
	if parts := d.Resolve(e); len(parts) > 0 && !d.TooMuch() {
		var all []string
		for _, p := range parts {
			if s := Plain(p); s != "" {
				all = append(all, s)
				d.resolved += len(s)
			}
		}
		if len(all) > 0 {
			return strings.Join(all, " ")
		}
	}
	return Plain(e)
}

// Resolve is the part of the narrative that e refers to, by <reference value="#id"/>,
// an attribute, or a bare "#id"; nil when it refers to none. An ID that stands
// in the document more than once means the one in e's section, and all of them
// when that does not tell.
func (d *Document) Resolve(e *Element) []*Element {
	if e == nil {
		return nil
	}
	id := e.Child("reference").Attr("value")
	if id == "" && len(e.Kids) == 1 {
		if s := strings.TrimSpace(e.Kids[0].Text); strings.HasPrefix(s, "#") {
			id = s
		}
	}
	id = strings.TrimPrefix(id, "#")
	parts := d.parts[id]
	if id == "" || len(parts) < 2 {
		return parts
	}
	var here []*Element
	own := sectionOf(e)
	for _, p := range parts {
		if sectionOf(p) == own {
			here = append(here, p)
		}
	}
	if here != nil {
		return here
	}
	return parts
}

func sectionOf(e *Element) *Element {
	for ; e != nil && e.Name != "section"; e = e.Up {
	}
	return e
}

// TooMuch tells whether references have given out more of the narrative than a
// document can mean: many entries may name one long part.
func (d *Document) TooMuch() bool { return d.resolved > maxResolved }

// Plain is the text of e on one line, its blanks made single.
func Plain(e *Element) string {
	if e == nil {
		return ""
	}
	if len(e.Kids) == 1 && e.Kids[0].Name == "" {
		return oneLine(e.Kids[0].Text)
	}
	return oneLine(Text(e))
}

func oneLine(s string) string {
	if !strings.ContainsAny(s, "\n\t\r\u00a0") && !strings.Contains(s, "  ") {
		return strings.TrimSpace(s)
	}
	return strings.Join(strings.Fields(s), " ")
}

// Text is narrative as plain text: a line for each paragraph, item and row, the cells
// of a row parted by " | ", lists indented. Nothing that a reader of the narrative
// sees is left out but pictures.
//
// Source: CDA R2 4.3.5, Section Narrative Block.
func Text(e *Element) string {
	w := &writer{}
	w.kids(e)
	return strings.Trim(w.b.String(), "\n ")
}

// writer lays narrative out.
type writer struct {
	b     strings.Builder
	lists int
	blank bool // a blank is due before the next word
	cells int  // written in this row
}

// line ends a line that has anything.
func (w *writer) line() {
	w.blank = false
	if s := w.b.String(); s != "" && s[len(s)-1] != '\n' {
		w.b.WriteByte('\n')
	}
}

func (w *writer) words(s string) {
	for i, word := range strings.Fields(s) {
		if i > 0 || w.blank || leading(s) {
			if t := w.b.String(); t != "" && t[len(t)-1] != '\n' && t[len(t)-1] != ' ' {
				w.b.WriteByte(' ')
			}
		}
		w.blank = false
		w.b.WriteString(word)
	}
	if s != "" && leading(s[len(s)-1:]) {
		w.blank = true
	}
}

func leading(s string) bool {
	return s != "" && (s[0] == ' ' || s[0] == '\n' || s[0] == '\t' || s[0] == '\r')
}

func (w *writer) kids(e *Element) {
	if e == nil {
		return
	}
	for _, k := range e.Kids {
		if k.Name == "" {
			w.words(k.Text)
			continue
		}
		switch k.Name {
		case "br":
			w.line()
		case "paragraph", "caption", "table", "thead", "tbody", "tfoot", "footnote":
			w.line()
			w.kids(k)
			w.line()
		case "list":
			w.line()
			w.lists++
			w.kids(k)
			w.lists--
			w.line()
		case "item":
			w.line()
			w.b.WriteString(strings.Repeat("  ", max(0, w.lists-1)) + "- ")
			w.kids(k)
			w.line()
		case "tr":
			w.line()
			w.cells = 0
			w.kids(k)
			w.line()
		case "td", "th":
			cell := strings.Join(strings.Split(Text(k), "\n"), "; ")
			if w.cells++; w.cells > 1 {
				w.b.WriteString(" | ")
			}
			w.b.WriteString(cell)
			w.blank = false
		case "reference":
		default: // content, linkHtml, sub, sup, and what is not of the schema
			w.kids(k)
		}
	}
}

// raw is the character data of e itself.
func raw(e *Element) string {
	if e == nil {
		return ""
	}
	if len(e.Kids) == 1 {
		return e.Kids[0].Text
	}
	var b strings.Builder
	for _, k := range e.Kids {
		b.WriteString(k.Text)
	}
	return b.String()
}
