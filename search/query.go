package search

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/fhir/terminology"
)

// Bounds on one query, far above what people and apps ask.
const (
	maxParameters = 100
	maxValues     = 1000 // alternatives of one parameter
	maxHops       = 4    // of a chain or nested _has
)

// Query is one parsed search. Only ParseQuery and ParseTypes make one; it is
// immutable.
type Query struct {
	Type     string   // empty for a search over several types, see Types
	Count    int      // _count; -1 when not given
	Summary  Summary  //
	Elements []string // _elements: top-level elements, sorted
	Total    Total    //
	Ignored  []string // names of parameters left out under lenient handling

	filters     []filter
	sorts       []sorting
	includes    []include
	revincludes []include
	values      url.Values
	within      fhir.Ref // of a search in a compartment: whose it is
	record      fhir.Ref // of a search for all of a patient's record: whose it is
	latest      latest   // of a search for the newest of each kind
	own         string   // what options ask for besides the parameters
	each        []Query  // of a search over several types: what it asks of each, sorted by type
	dropped     []string // names left out under lenient handling, as they were written
}

// filter is one parameter of a query: all filters must hold, any of its values will do.
type filter struct {
	name     string // as asked, "subject:Patient.name"
	param    *param // nil for has
	modifier string
	values   []value
	missing  int               // 0, or +1 for :missing=true, -1 for false
	chain    map[string]filter // by type of the target: what must hold there
	has      *has
	either   []filter // of a compartment: one of these must hold
	typ      string   // reference:Type, "" otherwise
}

// has is what a _has asks of resources that refer to the match.
type has struct {
	typ  string
	ref  *param
	then filter
}

// value is one value of a filter, read as the parameter's kind needs.
type value struct {
	token  Token
	words  *fullText
	sounds []string // words as they sound
	around around
	text   string // string: folded, or exact; uri
	prefix string
	span   span
	number wanted
	ref    reference
	parts  []value            // of a composite
	sets   []*terminology.Set // of a modifier by terms: the codes that will do
}

// reference is a searched reference: by type and id, by id alone, or by address.
type reference struct {
	typ, id string
	url     string
}

// Token is one value of a token parameter.
type Token struct {
	System    string
	Code      string
	AnySystem bool // asked without a bar: any system will do
	AnyCode   bool // asked as "system|": any code will do
}

type sorting struct {
	param   *param
	falling bool
}

type include struct {
	source  string // type that has the reference; "*" any
	param   *param // nil: every reference
	target  string // "" any
	iterate bool
}

// Option changes how ParseQuery reads.
type Option func(*options)

type options struct {
	lenient bool
	base    string
	now     time.Time
	within  fhir.Ref
	record  fhir.Ref
	start   string
	end     string
	by      string
	most    int
	codes   *terminology.Library
}

// Lenient leaves out parameters and values that are not understood, and names
// them in Query.Ignored (Prefer: handling=lenient). A modifier that is not
// understood is refused all the same: R4 wants it so, for without it the
// parameter would be another question.
func Lenient() Option { return func(o *options) { o.lenient = true } }

// Base names this server's own address, "https://example.org/fhir", so that
// absolute references to it are found.
func Base(address string) Option {
	return func(o *options) { o.base = strings.TrimSuffix(address, "/") }
}

// Codes gives the value sets and code systems that the modifiers :in, :not-in,
// :above and :below are answered by, instead of R4's own.
func Codes(l *terminology.Library) Option { return func(o *options) { o.codes = l } }

// At gives the time that the prefix ap measures from.
func At(now time.Time) Option { return func(o *options) { o.now = now } }

// Within asks for the compartment of a Patient, Encounter, Practitioner,
// RelatedPerson or Device alone.
func Within(focus fhir.Ref) Option { return func(o *options) { o.within = focus } }

// ParseQuery reads the parameters of a search for resources of type typ.
//
// What is not understood is a *fhir.Error 400 that names the parameter and
// quotes no value. _format and _pretty are passed over: they are not the
// search's.
func ParseQuery(typ string, v url.Values, opts ...Option) (Query, error) {
	if !fhir.IsType(typ) {
		return Query{}, refuse("not-supported", typ, "This type cannot be searched.")
	}
	r := reader{q: Query{Type: typ, Count: -1, values: url.Values{}}}
	for _, o := range opts {
		o(&r.options)
	}
	if focus := r.options.within; focus != (fhir.Ref{}) {
		f, err := inCompartment(focus, typ)
		if err != nil {
			return Query{}, err
		}
		r.q.within, r.q.filters = focus, []filter{f}
	}
	if r.options.record != (fhir.Ref{}) {
		var err error
		if r.q.filters, err = r.inTime(typ); err != nil {
			return Query{}, err
		}
		r.q.record = r.options.record
	}
	r.q.own = strings.Join([]string{r.options.record.ID, r.options.start, r.options.end, r.options.by, strconv.Itoa(r.options.most)}, "&")
	if r.options.most > 0 {
		if v.Has("_sort") {
			return Query{}, refuse("not-supported", "_sort", "The newest come first.")
		}
		date := params().params[typ]["date"]
		r.q.latest = latest{by: params().params[typ][r.options.by], date: date, most: r.options.most}
		r.q.sorts = []sorting{{date, true}}
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if name == "_format" || name == "_pretty" {
			continue
		}
		for _, text := range v[name] {
			if total++; total > maxParameters {
				return Query{}, refuse("too-costly", "", "The search has too many parameters.")
			}
			r.firm = false
			if err := r.parameter(name, text); err != nil {
				if !r.options.lenient || r.firm {
					return Query{}, err
				}
				r.q.dropped = append(r.q.dropped, name)
				if !slices.Contains(r.q.Ignored, printable(name)) {
					r.q.Ignored = append(r.q.Ignored, printable(name))
				}
				continue
			}
			r.q.values.Add(name, text)
		}
	}
	slices.SortStableFunc(r.q.filters, func(a, b filter) int { return a.cost() - b.cost() })
	return r.q, nil
}

func refuse(code, name, text string) *fhir.Error {
	if name != "" {
		text = "Parameter " + printable(name) + ": " + text
	}
	return &fhir.Error{Status: 400, Code: code, Text: text}
}

// printable is a parameter's name if it can be one; a name may hold anything.
func printable(name string) string {
	ok := len(name) <= 128
	for _, c := range []byte(name) {
		ok = ok && (isName(c) || c == ':' || c == '.' || c == '-')
	}
	if !ok {
		return "(a name that no parameter has)"
	}
	return name
}

type reader struct {
	q       Query
	options options
	firm    bool  // what was read last is refused however leniently it is asked
	unknown error // why, where it is for codes that are not known
}

func (r *reader) parameter(name, text string) error {
	bare, modifier, _ := strings.Cut(name, ":")
	if text == "" {
		return refuse("value", name, "It has no value.")
	}
	once := func(given bool) error {
		if modifier != "" {
			return refuse("not-supported", name, "It takes no modifier.")
		}
		if given {
			return refuse("invalid", name, "It is given twice.")
		}
		return nil
	}
	switch bare {
	case "_count":
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return refuse("value", name, "It is not a number of resources.")
		}
		if err := once(r.q.Count >= 0); err != nil {
			return err
		}
		r.q.Count = n
	case "_total":
		if !slices.Contains([]Total{TotalNone, TotalEstimate, TotalAccurate}, Total(text)) {
			return refuse("value", name, "It is none, estimate or accurate.")
		}
		if err := once(r.q.Total != ""); err != nil {
			return err
		}
		r.q.Total = Total(text)
	case "_summary":
		if err := once(r.q.Summary != ""); err != nil {
			return err
		}
		switch s := Summary(text); s {
		case SummaryTrue, SummaryText, SummaryData, SummaryCount:
			r.q.Summary = s
		case "false":
		default:
			return refuse("value", name, "It is true, text, data, count or false.")
		}
	case "_elements":
		if modifier != "" {
			return refuse("not-supported", name, "It takes no modifier.")
		}
		return r.elements(name, text)
	case "_sort":
		if err := once(len(r.q.sorts) > 0); err != nil {
			return err
		}
		return r.sort(name, text)
	case "_include", "_revinclude":
		return r.include(bare, modifier, name, text)
	default:
		f, err := r.filter(r.q.Type, name, text, 0)
		if err != nil {
			return err
		}
		r.q.filters = append(r.q.filters, f)
	}
	return nil
}

func (r *reader) elements(name, text string) error {
	var all []string
	for e := range strings.SplitSeq(text, ",") {
		e = strings.TrimPrefix(e, r.q.Type+".")
		t := r4def.Lookup(r.q.Type)
		if m, ok := t.Member(e); ok {
			e = m.Element.Name
		} else if len(t.Members(e)) == 0 {
			return refuse("value", name, "It names an element that "+r.q.Type+" does not have.")
		}
		all = append(all, e)
	}
	all = append(all, r.q.Elements...)
	slices.Sort(all)
	r.q.Elements = slices.Compact(all)
	return nil
}

func (r *reader) sort(name, text string) error {
	var all []sorting
	for code := range strings.SplitSeq(text, ",") {
		code, falling := strings.CutPrefix(code, "-")
		p := params().params[r.q.Type][code]
		if p == nil || p.kind == kindComposite || p.kind == kindSpecial || p.words != nil {
			return refuse("not-supported", name, "It names a parameter that "+r.q.Type+" cannot be sorted by.")
		}
		all = append(all, sorting{p, falling})
	}
	if len(all) > 8 {
		return refuse("too-costly", name, "It names too many parameters.")
	}
	r.q.sorts = all
	return nil
}

func (r *reader) include(kind, modifier, name, text string) error {
	if modifier != "" && modifier != "iterate" {
		return refuse("not-supported", name, "It takes no modifier but iterate.")
	}
	parts := strings.Split(text, ":")
	in := include{source: parts[0], iterate: modifier == "iterate"}
	switch {
	case text == "*":
	case len(parts) < 2 || len(parts) > 3 || !fhir.IsType(parts[0]):
		return refuse("value", name, "It is written Type:parameter or Type:parameter:Type.")
	case parts[1] != "*":
		in.param = params().params[parts[0]][parts[1]]
		if in.param == nil || in.param.kind != kindReference {
			return refuse("not-supported", name, "It names no reference parameter of "+parts[0]+".")
		}
		if apart(parts[0], parts[1]) {
			r.firm = true
			return refuse("not-supported", name, errApart)
		}
	}
	if len(parts) == 3 {
		in.target = parts[2]
		if !fhir.IsType(in.target) || in.param != nil && !slices.Contains(in.param.targets, in.target) {
			return refuse("value", name, "It names a type that the parameter cannot lead to.")
		}
	}
	if kind == "_include" {
		r.q.includes = append(r.q.includes, in)
	} else {
		r.q.revincludes = append(r.q.revincludes, in)
	}
	return nil
}

// filter reads one filtering parameter, for resources of type typ.
func (r *reader) filter(typ, name, text string, hops int) (filter, error) {
	if hops > maxHops {
		return filter{}, refuse("too-costly", name, "It goes through too many references.")
	}
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		return r.has(typ, name, rest, text, hops)
	}
	first, rest, chained := strings.Cut(name, ".")
	code, modifier, modified := strings.Cut(first, ":")
	p := params().params[typ][code]
	if p == nil {
		return filter{}, refuse("not-supported", name, "It is not a search parameter of "+typ+".")
	}
	if code == "_list" {
		return r.list(typ, name, text, modified || chained, hops)
	}
	f := filter{name: name, param: p, modifier: modifier}
	if modified && fhir.IsType(modifier) && p.kind == kindReference {
		if !slices.Contains(p.targets, modifier) {
			return filter{}, refuse("not-supported", name, "It cannot lead to that type.")
		}
		f.typ, f.modifier = modifier, ""
	}
	if chained && apart(typ, code) {
		r.firm = true
		return filter{}, refuse("not-supported", name, errApart)
	}
	if chained {
		return r.chain(f, rest, text, hops)
	}
	if modified && f.typ == "" && !slices.Contains(p.modifiers(), f.modifier) {
		r.firm = true
		if slices.Contains(byTerms, f.modifier) {
			return filter{}, refuse("not-supported", name, "What it looks at are no codes of a system.")
		}
		return filter{}, refuse("not-supported", name, "The modifier is not known.")
	}
	if f.modifier == "missing" {
		switch text {
		case "true":
			f.missing = 1
		case "false":
			f.missing = -1
		default:
			return filter{}, refuse("value", name, "It is true or false.")
		}
		return f, nil
	}
	for one := range unescaped(text, ',') {
		if len(f.values) == maxValues {
			return filter{}, refuse("too-costly", name, "It has too many values.")
		}
		v, err := r.value(p, f, one)
		if err != nil {
			return filter{}, err
		}
		f.values = append(f.values, v)
	}
	return f, nil
}

// list reads _list: what a List names, as far as the List is in the index.
func (r *reader) list(typ, name, text string, more bool, hops int) (filter, error) {
	if more {
		r.firm = true
		return filter{}, refuse("not-supported", name, "It takes no modifier.")
	}
	for id := range unescaped(text, ',') {
		if strings.HasPrefix(strings.TrimPrefix(id, "List/"), "$") {
			return filter{}, refuse("not-supported", name, "There are no lists but those that were sent: it takes the id of a List.")
		}
	}
	then, err := r.filter("List", "_id", strings.ReplaceAll(text, "List/", ""), hops+1)
	if err != nil {
		return filter{}, err
	}
	then.name = name
	return filter{name: name, has: &has{typ: "List", ref: params().params["List"]["item"], then: then}}, nil
}

func (r *reader) chain(f filter, rest, text string, hops int) (filter, error) {
	if f.param.kind != kindReference || f.modifier != "" {
		return filter{}, refuse("not-supported", f.name, "Only references can be followed.")
	}
	types := f.param.targets
	if f.typ != "" {
		types = []string{f.typ}
	}
	f.chain = map[string]filter{}
	var why error
	for _, t := range types {
		next, err := r.filter(t, rest, text, hops+1)
		if r.unknown != nil { // what the other types have would be a part of the answer
			return filter{}, r.unknown
		}
		if err != nil {
			why = err
			continue
		}
		f.chain[t] = next
	}
	if len(f.chain) == 0 {
		if len(types) == 1 && why != nil {
			return filter{}, why
		}
		return filter{}, refuse("not-supported", f.name, "What follows the reference is no search parameter of what it leads to.")
	}
	return f, nil
}

func (r *reader) has(typ, name, rest, text string, hops int) (filter, error) {
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 3 || !fhir.IsType(parts[0]) {
		return filter{}, refuse("invalid", name, "It is written _has:Type:reference:parameter.")
	}
	ref := params().params[parts[0]][parts[1]]
	if ref == nil || ref.kind != kindReference || !slices.Contains(ref.targets, typ) {
		return filter{}, refuse("not-supported", name, "It names no parameter of "+parts[0]+" that leads to "+typ+".")
	}
	if apart(parts[0], parts[1]) {
		r.firm = true
		return filter{}, refuse("not-supported", name, errApart)
	}
	then, err := r.filter(parts[0], parts[2], text, hops+1)
	if err != nil {
		return filter{}, err
	}
	return filter{name: name, has: &has{typ: parts[0], ref: ref, then: then}}, nil
}

// cost orders filters: those that an index answers at once come first.
func (f *filter) cost() int {
	switch {
	case f.param != nil && f.param.code == "_id":
		return 0
	case f.chain != nil || f.has != nil || f.either != nil:
		return 3
	case f.param.kind == kindToken && (f.modifier == "" || f.modifier == "of-type"), f.param.kind == kindReference, f.param.kind == kindURI:
		return 1
	case f.param.kind == kindComposite:
		return 4
	case f.param.words != nil: // reads whole resources: after all others
		return 5
	}
	return 2
}

// unescaped splits at a separator that no backslash precedes. The parts keep
// their escapes; [plain] removes them.
func unescaped(s string, separator byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		from := 0
		for i := 0; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case separator:
				if !yield(s[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(s[from:])
	}
}

// plain removes escapes: a backslash before ',', '|', '$' or '\'.
func plain(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,|$\`, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
