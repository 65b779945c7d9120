// Package patch changes parts of a resource, as JSON Patch (RFC 6902) or FHIRPath
// Patch says (R4 fhirpatch.html). It is pure. What a patch does not touch stays
// byte for byte; whether what comes of it is a valid resource is for others to say.
package patch

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/fhir/r4def"
)

// Bounds on one patch.
const (
	maxOperations = 1000
	maxCopied     = 8 << 20 // bytes that its copies add
)

func invalid(at, text string) error {
	return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: text, Expression: at}
}

// unprocessable is a patch that says what cannot be done with this resource.
func unprocessable(at, text string) error {
	return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "processing", Text: text, Expression: at}
}

// JSON applies a JSON Patch document: all of its operations or, with an error that
// names the one that cannot be done, none.
func JSON(r fhir.Resource, doc []byte) (fhir.Resource, error) {
	var all []jsontext.Value
	if err := json.Unmarshal(doc, &all); err != nil {
		return fhir.Resource{}, invalid("", "A JSON Patch is an array of operations, in which no name stands twice.")
	}
	for i, one := range all {
		if err := wellFormed("["+strconv.Itoa(i)+"]", one); err != nil {
			return fhir.Resource{}, err
		}
	}
	return apply(r, all, func(i int) string { return "[" + strconv.Itoa(i) + "]" })
}

// wellFormed holds an operation to RFC 6902 section 4.
func wellFormed(at string, one []byte) error {
	var o struct {
		Op    *string        `json:"op"`
		Path  *string        `json:"path"`
		From  *string        `json:"from"`
		Value jsontext.Value `json:"value"`
	}
	if err := json.Unmarshal(one, &o); err != nil || o.Op == nil || o.Path == nil {
		return invalid(at, "An operation has an op and a path, which are strings.")
	}
	switch *o.Op {
	case "add", "replace", "test":
		if o.Value == nil {
			return invalid(at, "This operation needs a value.")
		}
	case "move", "copy":
		if o.From == nil {
			return invalid(at, "This operation needs a from.")
		}
		if *o.From != "" && !strings.HasPrefix(*o.From, "/") {
			return invalid(at, "A from is empty or begins with a slash.")
		}
	case "remove":
	default:
		return invalid(at, "An op is add, remove, replace, move, copy or test.")
	}
	if *o.Path != "" && !strings.HasPrefix(*o.Path, "/") {
		return invalid(at, "A path is empty or begins with a slash.")
	}
	return nil
}

// apply carries out operations one by one, so that an error names the one it is of.
func apply(r fhir.Resource, all []jsontext.Value, place func(int) string) (fhir.Resource, error) {
	if len(all) > maxOperations {
		return fhir.Resource{}, invalid("", "A patch has up to "+strconv.Itoa(maxOperations)+" operations.")
	}
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices, options.AccumulatedCopySizeLimit, options.EscapeHTML = false, maxCopied, false
	text := r.JSON()
	for i, one := range all {
		p, err := jsonpatch.DecodePatch(append(append([]byte{'['}, one...), ']'))
		if err != nil {
			return fhir.Resource{}, invalid(place(i), "This is no operation of JSON Patch.")
		}
		if text, err = p.ApplyWithOptions(text, options); err != nil {
			return fhir.Resource{}, unprocessable(place(i), "This operation cannot be done: its path leads nowhere, or its test fails.")
		}
		if len(text) > maxCopied {
			return fhir.Resource{}, unprocessable(place(i), "The resource grows too long.")
		}
	}
	out, err := fhir.Parse(text)
	if err != nil {
		return fhir.Resource{}, unprocessable("", "What comes of the patch is not a resource.")
	}
	return out, nil
}

// Path applies a FHIRPath Patch: Parameters, of which each parameter is an operation.
func Path(r fhir.Resource, params fhir.Resource) (fhir.Resource, error) {
	if params.Type() != "Parameters" {
		return fhir.Resource{}, invalid(params.Type(), "A FHIRPath Patch is a Parameters resource.")
	}
	n := 0
	for p := range params.All("parameter") {
		at := "Parameters.parameter[" + strconv.Itoa(n) + "]"
		if n++; n > maxOperations {
			return fhir.Resource{}, invalid("Parameters", "A patch has up to "+strconv.Itoa(maxOperations)+" operations.")
		}
		o, err := read(at, p)
		if err != nil {
			return fhir.Resource{}, err
		}
		steps, err := o.steps(r)
		if err != nil {
			return fhir.Resource{}, err
		}
		if r, err = apply(r, steps, func(int) string { return at }); err != nil {
			return fhir.Resource{}, err
		}
	}
	return r, nil
}

// operation is one of FHIRPath Patch.
type operation struct {
	at, kind, name string
	path           *fhirpath.Expr
	value          fhir.Node // the parameter part that is named value
	numbers        map[string]int
}

func read(at string, p fhir.Node) (operation, error) {
	o := operation{at: at, numbers: map[string]int{}}
	if !p.Get("name").Is("operation") {
		return o, invalid(at, "Each parameter is an operation.")
	}
	var path string
	for part := range p.Get("part").Items() {
		switch name := part.Get("name").Text(); name {
		case "type":
			o.kind = part.Get("valueCode").Text()
		case "path":
			path = part.Get("valueString").Text()
		case "name":
			o.name = part.Get("valueString").Text()
		case "value":
			o.value = part
		case "index", "source", "destination":
			i, err := strconv.Atoi(part.Get("valueInteger").Text())
			if err != nil || i < 0 {
				return o, invalid(at, "The "+name+" is a number from 0 on.")
			}
			o.numbers[name] = i
		default:
			return o, invalid(at, "There is no part of this name in an operation.")
		}
	}
	needs := map[string][]string{"add": {"name", "value"}, "insert": {"index", "value"}, "delete": nil, "replace": {"value"}, "move": {"source", "destination"}}
	parts, ok := needs[o.kind]
	if !ok {
		return o, invalid(at, "The type of an operation is add, insert, delete, replace or move.")
	}
	for _, part := range parts {
		_, numbered := o.numbers[part]
		if !numbered && !(part == "name" && o.name != "") && !(part == "value" && !o.value.IsZero()) {
			return o, invalid(at, "This operation needs the part "+part+".")
		}
	}
	var err error
	if o.path, err = fhirpath.Compile(path); err != nil || path == "" {
		return o, invalid(at, "The path is no FHIRPath expression that can be evaluated here.")
	}
	return o, nil
}

// steps are the operation on this resource, as JSON Patch.
func (o operation) steps(r fhir.Resource) ([]jsontext.Value, error) {
	root := fhirpath.Of(r)
	found, err := o.path.Eval(root, root, root)
	if err != nil {
		return nil, unprocessable(o.at, "The path cannot be evaluated on this resource.")
	}
	pointers := make([]string, len(found))
	for i, v := range found {
		var ok bool
		if pointers[i], ok = r.Pointer(v.Node()); !ok {
			return nil, unprocessable(o.at, "The path leads to something that is computed, or has no value.")
		}
	}
	if o.kind == "insert" || o.kind == "move" {
		return o.inList(r, found, pointers)
	}
	if len(found) == 0 && o.kind == "delete" {
		return nil, nil
	}
	if len(found) != 1 {
		return nil, unprocessable(o.at, "The path must lead to one element.")
	}
	switch o.kind {
	case "add":
		return o.added(r, found[0], pointers[0])
	case "delete":
		if pointers[0] == "" {
			return nil, unprocessable(o.at, "A patch does not delete the resource.")
		}
		return steps(o.removed(r, pointers[0])...), nil
	}
	if pointers[0] == "" {
		return nil, unprocessable(o.at, "A patch does not replace the resource.")
	}
	parent, last := cut(pointers[0])
	typ := found[0].Type()
	value, suffix, err := o.made(typ)
	if err != nil {
		return nil, err
	}
	if old := strings.ToUpper(typ[:1]) + typ[1:]; suffix != "" && suffix != old && strings.HasSuffix(last, old) { // a choice of another type
		return steps(o.removed(r, pointers[0])[0], step{"add", parent + "/" + strings.TrimSuffix(last, old) + suffix, "", value}), nil
	}
	return steps(step{"replace", pointers[0], "", value}), nil
}

// added is a new child of an element: the next of a list, or one that is not there.
func (o operation) added(r fhir.Resource, in fhirpath.Value, pointer string) ([]jsontext.Value, error) {
	t := r4def.Lookup(in.Type())
	if t == nil {
		return nil, unprocessable(o.at, "The path leads to what has no elements.")
	}
	m, ok := t.Member(o.name)
	typ := m.Type
	if !ok { // a choice, whose type the value tells
		members := t.Members(o.name)
		if len(members) == 0 {
			return nil, unprocessable(o.at, "There is no element of this name there.")
		}
		typ = ""
	}
	value, suffix, err := o.made(typ)
	if err != nil {
		return nil, err
	}
	name := o.name
	if !ok {
		if m, ok = t.Member(o.name + suffix); !ok || m.Element.Name != o.name {
			return nil, unprocessable(o.at, "The element cannot have a value of this type.")
		}
		name += suffix
	}
	to := pointer + "/" + name
	have := in.Node().Get(name)
	switch {
	case m.Element.Max == 1 && !have.IsZero():
		return nil, unprocessable(o.at, "The element is there already, and there can be one.")
	case m.Element.Max == 1:
		return steps(step{"add", to, "", value}), nil
	case have.IsZero():
		return steps(step{"add", to, "", append(append([]byte{'['}, value...), ']')}), nil
	}
	return steps(step{"add", to + "/-", "", value}), nil
}

// inList is an insertion into a list, or a move inside one.
func (o operation) inList(_ fhir.Resource, found []fhirpath.Value, pointers []string) ([]jsontext.Value, error) {
	if len(found) == 0 {
		return nil, unprocessable(o.at, "The path leads to no list.")
	}
	list, _ := cut(pointers[0])
	for i, p := range pointers {
		if p != list+"/"+strconv.Itoa(i) {
			return nil, unprocessable(o.at, "The path must lead to all of one list.")
		}
	}
	at := func(name string, end int) (string, error) {
		if o.numbers[name] > end {
			return "", unprocessable(o.at, "The "+name+" is beyond the list's end.")
		}
		return list + "/" + strconv.Itoa(o.numbers[name]), nil
	}
	if o.kind == "insert" {
		value, _, err := o.made(found[0].Type())
		if err != nil {
			return nil, err
		}
		to, err := at("index", len(found))
		return steps(step{"add", to, "", value}), err
	}
	from, err := at("source", len(found)-1)
	if err != nil {
		return nil, err
	}
	to, err := at("destination", len(found)-1)
	return steps(step{"move", to, from, nil}), err
}

// removed takes a value away, and a list with its last item, and what a primitive
// has besides its value with it.
func (o operation) removed(r fhir.Resource, pointer string) []step {
	parent, last := cut(pointer)
	if _, err := strconv.Atoi(last); err == nil {
		if n := at(r, parent); n.Kind() == '[' && size(n) == 1 {
			pointer = parent
			parent, last = cut(pointer)
		} else {
			return []step{{"remove", pointer, "", nil}}
		}
	}
	all := []step{{"remove", pointer, "", nil}}
	if beside := parent + "/_" + last; !at(r, beside).IsZero() {
		all = append(all, step{"remove", beside, "", nil})
	}
	return all
}

// made is the operation's value as JSON, and by which type it was given: "Boolean"
// of valueBoolean. typ is what is expected, for a value that is given in parts.
func (o operation) made(typ string) (value []byte, suffix string, err error) {
	return o.build(o.value, typ)
}

func (o operation) build(part fhir.Node, typ string) (value []byte, suffix string, err error) {
	for name, v := range part.Members() {
		if s, ok := strings.CutPrefix(name, "value"); ok {
			return bytes.Clone(v.Raw()), s, nil
		}
		if name == "resource" {
			return bytes.Clone(v.Raw()), "", nil
		}
	}
	t := r4def.Lookup(typ)
	if t == nil || part.Get("part").IsZero() {
		return nil, "", invalid(o.at, "A value is value[x], or parts of an element whose type is known.")
	}
	type field struct {
		name string
		all  [][]byte
		list bool
	}
	var fields []*field
	for p := range part.Get("part").Items() {
		name := p.Get("name").Text()
		m, ok := t.Member(name)
		v, suffix, err := o.build(p, m.Type)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			name += suffix
			m, ok = t.Member(name)
		}
		if !ok {
			return nil, "", unprocessable(o.at, "There is no element of this name in a value.")
		}
		i := 0
		for i < len(fields) && fields[i].name != name {
			i++
		}
		if i == len(fields) {
			fields = append(fields, &field{name: name, list: m.Element.Max != 1})
		} else if !fields[i].list {
			return nil, "", unprocessable(o.at, "An element of which there can be one stands twice in a value.")
		}
		fields[i].all = append(fields[i].all, v)
	}
	out := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, f.name)
		out = append(out, ':')
		v := bytes.Join(f.all, []byte{','})
		if f.list {
			v = append(append([]byte{'['}, v...), ']')
		}
		out = append(out, v...)
	}
	return append(out, '}'), "", nil
}

// step is one operation of JSON Patch.
type step struct {
	op, path, from string
	value          []byte
}

func steps(all ...step) []jsontext.Value {
	var out []jsontext.Value
	for _, s := range all {
		b := append([]byte(`{"op":`), strconv.Quote(s.op)...)
		b, _ = jsontext.AppendQuote(append(b, `,"path":`...), s.path)
		if s.op == "move" {
			b, _ = jsontext.AppendQuote(append(b, `,"from":`...), s.from)
		}
		if s.value != nil {
			b = append(append(b, `,"value":`...), s.value...)
		}
		out = append(out, append(b, '}'))
	}
	return out
}

// cut splits a pointer before its last part.
func cut(pointer string) (parent, last string) {
	i := strings.LastIndexByte(pointer, '/')
	return pointer[:i], pointer[i+1:]
}

// at is the value at a pointer that was made of a value, or absent.
func at(r fhir.Resource, pointer string) fhir.Node {
	n := r.Root()
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if i, err := strconv.Atoi(part); err == nil && n.Kind() == '[' {
			next := fhir.Node{}
			for v := range n.Slots() {
				if i == 0 {
					next = v
					break
				}
				i--
			}
			n = next
			continue
		}
		n = n.Get(strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
	}
	return n
}

func size(n fhir.Node) (count int) {
	for range n.Slots() {
		count++
	}
	return count
}
