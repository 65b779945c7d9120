package fhir

import (
	"bytes"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Node is one JSON value inside a resource: a lens on its bytes that decodes
// nothing until asked. The zero Node is an absent value; every method on it
// answers "nothing", so paths may be followed without checks between.
//
// Only resources make Nodes, so the bytes are known to be valid JSON.
type Node struct {
	b []byte // its capacity reaches to the end of the resource: see editor.offset
}

// Root is the resource as a value.
func (r Resource) Root() Node { return Node{r.json} }

// Get is the member of that name of r's root object.
func (r Resource) Get(name string) Node { return Node{r.json}.Get(name) }

// All are the values at a path of element names, see [Node.All].
func (r Resource) All(path string) iter.Seq[Node] { return Node{r.json}.All(path) }

// IsZero tells whether the value is absent.
func (n Node) IsZero() bool { return len(n.b) == 0 }

// Kind is '{', '[', '"', '0' for a number, 't', 'f', 'n' for null, or 0 when absent.
func (n Node) Kind() byte {
	if len(n.b) == 0 {
		return 0
	}
	switch c := n.b[0]; c {
	case '{', '[', '"', 't', 'f', 'n':
		return c
	default:
		return '0'
	}
}

// Raw is the value's JSON, as it stands in the resource. The caller must not change it.
func (n Node) Raw() []byte { return n.b[:len(n.b):len(n.b)] }

// Text is a string's content, or the literal of a number or boolean.
// Objects, arrays, null and absent values give "".
func (n Node) Text() string {
	switch n.Kind() {
	case '"':
		if inner := n.b[1 : len(n.b)-1]; bytes.IndexByte(inner, '\\') < 0 {
			return string(inner)
		}
		s, _ := jsontext.AppendUnquote(nil, n.b)
		return string(s)
	case '0', 't', 'f':
		return string(n.b)
	}
	return ""
}

// Is tells whether the value is a string, number or boolean with that text.
// It allocates nothing for strings without escapes.
func (n Node) Is(text string) bool {
	switch n.Kind() {
	case '"':
		if inner := n.b[1 : len(n.b)-1]; bytes.IndexByte(inner, '\\') < 0 {
			return string(inner) == text
		}
		return n.Text() == text
	case '0', 't', 'f':
		return string(n.b) == text
	}
	return false
}

// Get is the object's member of that name; absent when n is no object or has
// none. Names are compared decoded, so an escaped spelling hides nothing.
func (n Node) Get(name string) Node {
	for c := n.open('{'); c.next(); {
		if c.nameIs(name) {
			return c.value()
		}
	}
	return Node{}
}

// First is the first member that has one of the names, and which of them: how
// a choice element is read, of which one type at most is there. -1: none.
func (n Node) First(names []string) (which int, v Node) {
	for c := n.open('{'); c.next(); {
		for i, name := range names {
			if c.nameIs(name) {
				return i, c.value()
			}
		}
	}
	return -1, Node{}
}

// Members yields an object's members in their order.
func (n Node) Members() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		for c := n.open('{'); c.next(); {
			if !yield(c.nameText(), c.value()) {
				return
			}
		}
	}
}

// Items yields an array's items; any other value present is itself the one
// item, as FHIRPath has it. Holes (null) are left out.
func (n Node) Items() iter.Seq[Node] {
	return func(yield func(Node) bool) { n.items(yield) }
}

func (n Node) items(yield func(Node) bool) bool {
	switch n.Kind() {
	case 0, 'n':
		return true
	case '[':
		for c := n.open('['); c.next(); {
			if v := c.value(); v.Kind() != 'n' && !yield(v) {
				return false
			}
		}
		return true
	}
	return yield(n)
}

// Slots yields an array's items in their places, null for a hole.
func (n Node) Slots() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for c := n.open('['); c.next(); {
			if !yield(c.value()) {
				return
			}
		}
	}
}

// Len is the number of items of an array or of members of an object.
func (n Node) Len() int {
	k := n.Kind()
	if k != '{' && k != '[' {
		return 0
	}
	total := 0
	for c := n.open(k); c.next(); {
		total++
	}
	return total
}

// All yields the values at a path of element names, "code.coding.code",
// through arrays, in document order.
func (n Node) All(path string) iter.Seq[Node] {
	return func(yield func(Node) bool) { n.all(path, yield) }
}

func (n Node) all(path string, yield func(Node) bool) bool {
	if path == "" {
		return n.items(yield)
	}
	name, rest, _ := strings.Cut(path, ".")
	return n.items(func(item Node) bool { return item.Get(name).all(rest, yield) })
}

// At is the first of All, or absent.
func (n Node) At(path string) Node {
	for v := range n.All(path) {
		return v
	}
	return Node{}
}

// Each calls f for n and every value below it, parents first, with the name of
// the nearest member it stands under ("" at the root). f says whether to go below.
func (n Node) Each(f func(name string, v Node) bool) { n.each("", f) }

func (n Node) each(name string, f func(string, Node) bool) {
	if !f(name, n) {
		return
	}
	switch k := n.Kind(); k {
	case '{':
		for c := n.open(k); c.next(); {
			c.value().each(c.nameText(), f)
		}
	case '[':
		for c := n.open(k); c.next(); {
			c.value().each(name, f)
		}
	}
}

// cursor steps through the members of an object or the items of an array of
// valid JSON. All positions are offsets into b.
type cursor struct {
	b                  []byte
	object             bool
	pos                int // where the next child may begin
	nameStart, nameEnd int // with quotes; objects only
	start, end         int // the current value
}

// open gives a cursor over n if it is of the given kind, else an empty one.
func (n Node) open(kind byte) cursor {
	if n.Kind() != kind {
		return cursor{}
	}
	return cursor{b: n.b, object: kind == '{', pos: 1}
}

func (c *cursor) next() bool {
	if c.pos == 0 {
		return false
	}
	i := c.pos
	for c.b[i] == ',' || isSpace(c.b[i]) {
		i++
	}
	if c.b[i] == '}' || c.b[i] == ']' {
		c.pos = 0
		return false
	}
	if c.object {
		c.nameStart = i
		i = skipString(c.b, i)
		c.nameEnd = i
		for c.b[i] == ':' || isSpace(c.b[i]) {
			i++
		}
	}
	c.start = i
	c.end = skipValue(c.b, i)
	c.pos = c.end
	return true
}

func (c *cursor) value() Node { return Node{c.b[c.start:c.end]} }

// from is where the current child begins: its name, or its value in an array.
func (c *cursor) from() int {
	if c.object {
		return c.nameStart
	}
	return c.start
}

func (c *cursor) nameIs(name string) bool {
	inner := c.b[c.nameStart+1 : c.nameEnd-1]
	if string(inner) == name {
		return true
	}
	return bytes.IndexByte(inner, '\\') >= 0 && c.nameText() == name
}

func (c *cursor) nameText() string {
	if name, ok := common[string(c.b[c.nameStart+1:c.nameEnd-1])]; ok {
		return name
	}
	return Node{c.b[c.nameStart:c.nameEnd]}.Text()
}

// common are names that most resources have; they need not be made each time.
var common = func() map[string]string {
	all := map[string]string{}
	for name := range strings.FieldsSeq(`resourceType id meta versionId lastUpdated source profile security tag text status div contained extension url
		identifier use type system value period start end assigner active name family given prefix suffix telecom gender birthDate address line city
		district state postalCode country contact relationship managingOrganization category code coding display version subject patient encounter
		reference effectiveDateTime effectivePeriod issued performer valueQuantity valueString valueCodeableConcept valueDateTime valueInteger
		comparator unit dataAbsentReason interpretation note time bodySite method specimen device referenceRange low high appliesTo age hasMember
		derivedFrom component basedOn partOf result conclusion conclusionCode presentedForm contentType data title creation size hash
		resultsInterpreter media intent priority authoredOn requester orderDetail quantityQuantity reasonCode reasonReference target occurredDateTime
		occurredPeriod recorded agent who onBehalfOf entity role what activity location class serviceType participant individual diagnosis condition
		hospitalization serviceProvider content attachment date author custodian description context payload sent received sender recipient topic
		clinicalStatus verificationStatus severity onsetDateTime recordedDate recorder asserter collection collectedDateTime collector
		accessionIdentifier receivedTime parent request`) {
		all[name] = name
	}
	return all
}()

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// skipString returns the offset after the string that begins at i.
func skipString(b []byte, i int) int {
	for start := i; ; {
		i += 1 + bytes.IndexByte(b[i+1:], '"')
		escapes := 0
		for j := i - 1; j > start && b[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// skipValue returns the offset after the value that begins at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && !isSpace(b[i]) {
		i++
	}
	return i
}
