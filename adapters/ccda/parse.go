package ccda

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

const (
	// MaxSize is the largest document that is read, in bytes. It leaves room for a
	// scan inside.
	MaxSize = 24 << 20
	// MaxDepth is how deep elements may stand in each other. Real documents reach 25.
	MaxDepth = 100

	maxTags       = 1 << 20 // "<" in a document
	maxAttributes = 1 << 20 // "=" in a document
	maxEach       = 64      // attributes of one element
	maxResolved   = 64 << 20
	maxSame       = 16 // elements of one ID
)

// The namespaces that mean something here.
const (
	nsV3   = "urn:hl7-org:v3"
	nsSDTC = "urn:hl7-org:sdtc"
	nsXSI  = "http://www.w3.org/2001/XMLSchema-instance"
)

// Error says why a document is refused and where. It holds nothing of the
// document but names of elements of CDA.
type Error struct {
	Line   int    // from 1; 0: the document as a whole
	Path   string // "/ClinicalDocument/recordTarget"; may be empty
	Reason string
}

func (e *Error) Error() string {
	s := "ccda: "
	if e.Line > 0 {
		s += "line " + strconv.Itoa(e.Line) + ": "
	}
	if e.Path != "" {
		s += e.Path + ": "
	}
	return s + e.Reason
}

// Is tells whether b looks like a clinical document, by its first few thousand bytes.
func Is(b []byte) bool {
	head := b[:min(len(b), 8192)]
	if len(head) > 1 && (head[0] == 0xfe && head[1] == 0xff || head[0] == 0xff && head[1] == 0xfe || head[0] == 0) {
		head = bytes.ReplaceAll(head, []byte{0}, nil)
	}
	return bytes.Contains(head, []byte("<")) && bytes.Contains(head, []byte("ClinicalDocument"))
}

// Parse reads a document. The error is an *Error.
func Parse(b []byte) (*Document, error) {
	root, err := read(b, "")
	if err != nil {
		return nil, err
	}
	return newDocument(root), nil
}

// Patient reads no further than to the end of the first recordTarget, and gives
// its patientRole; nil when there is none. The error is an *Error.
func Patient(b []byte) (*Element, error) {
	root, err := read(b, "recordTarget")
	if err != nil {
		return nil, err
	}
	return root.At("recordTarget/patientRole"), nil
}

// reader builds the tree.
type reader struct {
	dec    *xml.Decoder
	root   *Element
	at     *Element
	depth  int
	line   int // where the token begins
	words  int // depth at which narrative began; 0: outside
	spaces []space
	names  map[string]string
}

// space is a declared prefix, in force from its depth on.
type space struct {
	prefix, uri string
	depth       int
}

// read builds the tree, up to the end of the first child of the root called until.
func read(b []byte, until string) (*Element, error) {
	if len(b) > MaxSize {
		return nil, &Error{Reason: "larger than " + strconv.Itoa(MaxSize>>20) + " MB"}
	}
	if bytes.Count(b, []byte("<")) > maxTags || bytes.Count(b, []byte("=")) > maxAttributes {
		return nil, &Error{Reason: "more elements than a document has"}
	}
	b, err := utf8From(b)
	if err != nil {
		return nil, err
	}
	r := &reader{dec: xml.NewDecoder(bytes.NewReader(b)), names: make(map[string]string, 128)}
	r.dec.CharsetReader = charset
	for {
		r.line, _ = r.dec.InputPos()
		tok, err := r.dec.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, r.malformed(err)
		}
		if err := r.token(tok); err != nil {
			return nil, err
		}
		if until != "" && r.at != nil && r.at == r.root && len(r.root.Kids) > 0 {
			if _, closed := tok.(xml.EndElement); closed && r.root.Kids[len(r.root.Kids)-1].Name == until {
				return r.root, nil
			}
		}
	}
	switch {
	case r.root == nil:
		return nil, &Error{Reason: "no element"}
	case r.at != nil:
		return nil, r.fail("ends before its elements do")
	}
	return r.root, nil
}

// utf8From takes a byte order mark off, and UTF-16 that one announces into UTF-8.
func utf8From(b []byte) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok {
		return rest, nil
	}
	if len(b) < 2 || !(b[0] == 0xfe && b[1] == 0xff || b[0] == 0xff && b[1] == 0xfe) {
		return b, nil
	}
	out, err := unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder().Bytes(b)
	if err != nil || len(out) > 2*MaxSize {
		return nil, &Error{Line: 1, Reason: "not UTF-16, as its first bytes say"}
	}
	return out, nil
}

// charset reads what the XML declaration names. UTF-16 has been read by its mark.
func charset(label string, in io.Reader) (io.Reader, error) {
	if label = strings.ToLower(label); strings.HasPrefix(label, "utf-16") || label == "utf8" {
		return in, nil
	}
	var enc encoding.Encoding
	enc, err := ianaindex.IANA.Encoding(label)
	if err != nil || enc == nil {
		return nil, errCharset
	}
	return enc.NewDecoder().Reader(in), nil
}

var errCharset = errors.New("unknown character set")

func (r *reader) fail(reason string) *Error {
	path := r.at.Path()
	if len(path) > 300 {
		path = path[:300]
	}
	return &Error{Line: r.line, Path: path, Reason: reason}
}

// malformed is what the decoder says, without the content that it may quote.
func (r *reader) malformed(err error) *Error {
	if errors.Is(err, errCharset) {
		return r.fail("its character set is not known")
	}
	return r.fail("not well-formed XML")
}

func (r *reader) token(tok xml.Token) error {
	switch t := tok.(type) {
	case xml.StartElement:
		return r.start(t)
	case xml.EndElement:
		return r.end(t)
	case xml.CharData:
		return r.text(t)
	case xml.Directive:
		return r.fail("a document type declaration is not taken")
	}
	return nil
}

func (r *reader) start(t xml.StartElement) error {
	if r.at == nil && r.root != nil {
		return r.fail("a second element beside the document")
	}
	if r.depth++; r.depth > MaxDepth {
		return r.fail("deeper than " + strconv.Itoa(MaxDepth) + " levels")
	}
	if len(t.Attr) > maxEach {
		return r.fail("an element with more than " + strconv.Itoa(maxEach) + " attributes")
	}
	for i, a := range t.Attr {
		for _, b := range t.Attr[:i] {
			if a.Name == b.Name {
				return r.fail("an attribute twice in one element")
			}
		}
		switch {
		case a.Name.Space == "xmlns":
			r.spaces = append(r.spaces, space{a.Name.Local, a.Value, r.depth})
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			r.spaces = append(r.spaces, space{"", a.Value, r.depth})
		}
	}
	name, ok := r.name(t.Name, true)
	if !ok {
		return r.fail("a prefix that is not declared")
	}
	e := &Element{Name: name, Up: r.at, Line: r.line}
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		name, ok := r.name(a.Name, false)
		if !ok {
			return r.fail("a prefix that is not declared")
		}
		if e.attrs == nil {
			e.attrs = make([]attribute, 0, len(t.Attr))
		}
		e.attrs = append(e.attrs, attribute{name, a.Value})
	}
	if r.at == nil {
		if e.Name != "ClinicalDocument" {
			return r.fail("not a ClinicalDocument of " + nsV3)
		}
		r.root = e
	} else {
		r.at.Kids = append(r.at.Kids, e)
	}
	if r.words == 0 && (e.Name == "text" || e.Name == "title" || e.Name == "originalText") {
		r.words = r.depth
	}
	r.at = e
	return nil
}

func (r *reader) end(t xml.EndElement) error {
	name, ok := r.name(t.Name, true)
	if r.at == nil || !ok || name != r.at.Name {
		return r.fail("an end tag that ends nothing")
	}
	for n := len(r.spaces); n > 0 && r.spaces[n-1].depth == r.depth; n-- {
		r.spaces = r.spaces[:n-1]
	}
	if r.words == r.depth {
		r.words = 0
	}
	r.depth--
	r.at = r.at.Up
	return nil
}

// text keeps words; blanks only where words are written.
func (r *reader) text(t xml.CharData) error {
	blank := len(bytes.TrimSpace(t)) == 0
	switch {
	case r.at == nil && !blank:
		return r.fail("text outside of the document")
	case r.at == nil, blank && r.words == 0:
		return nil
	}
	r.at.Kids = append(r.at.Kids, &Element{Text: string(t), Up: r.at, Line: r.line})
	return nil
}

// name is a qualified name as this package writes it. false: its prefix is not
// declared.
func (r *reader) name(n xml.Name, element bool) (string, bool) {
	uri := ""
	if n.Space != "" || element {
		found := false
		for i := len(r.spaces) - 1; i >= 0 && !found; i-- {
			if r.spaces[i].prefix == n.Space {
				uri, found = r.spaces[i].uri, true
			}
		}
		switch {
		case n.Space == "xml":
			return "xml:" + n.Local, true
		case !found && n.Space != "":
			return "", false
		}
	}
	switch {
	case uri == nsV3 && element, uri == "" && !element:
		return r.same(n.Local), true
	case uri == nsSDTC:
		return r.same("sdtc:" + n.Local), true
	case uri == nsXSI:
		return r.same("xsi:" + n.Local), true
	}
	return r.same("?" + n.Local), true
}

// same keeps one copy of each name.
func (r *reader) same(name string) string {
	if s, ok := r.names[name]; ok {
		return s
	}
	r.names[name] = name
	return name
}
