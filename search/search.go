// Package search evaluates FHIR R4 searches over resources held in memory:
// filter first, search second. Nothing here reads a store.
package search

import (
	"net/url"
	"time"

	"firebreak/fhir"
)

// Item is what an index holds: a resource, with whatever its owner needs beside it.
type Item interface{ Resource() fhir.Resource }

// Summary is the value of _summary.
type Summary string

// Total is the value of _total.
type Total string

const (
	SummaryNone  Summary = "" // not asked, or "false"
	SummaryTrue  Summary = "true"
	SummaryText  Summary = "text"
	SummaryData  Summary = "data"
	SummaryCount Summary = "count"

	TotalUnsaid   Total = ""
	TotalNone     Total = "none"
	TotalEstimate Total = "estimate"
	TotalAccurate Total = "accurate"
)

// Query is one parsed search. Only ParseQuery makes one.
type Query struct {
	Type     string
	Count    int      // _count; -1 when not given
	Summary  Summary  //
	Elements []string // _elements, without those always there
	Total    Total    //
	Ignored  []string // names of parameters left out under lenient handling
}

// Option changes how ParseQuery reads.
type Option func(*options)

type options struct {
	lenient bool
	base    string
	now     time.Time
}

// Lenient ignores parameters and modifiers that are not known (Prefer: handling=lenient).
func Lenient() Option { return func(o *options) { o.lenient = true } }

// Base names this server's own address, "https://example.org/fhir", so that
// absolute references to it are found.
func Base(address string) Option { return func(o *options) { o.base = address } }

// At gives the time that the prefix ap measures from.
func At(now time.Time) Option { return func(o *options) { o.now = now } }

// ParseQuery reads the parameters of a search for typ.
func ParseQuery(typ string, v url.Values, opts ...Option) (Query, error) {
	return Query{Type: typ, Count: -1}, nil
}

// Param is a search parameter as a CapabilityStatement lists it.
type Param struct {
	Name       string
	Type       string   // "token", "date", ...
	Definition string   // canonical url
	Target     []string // of references
	Modifiers  []string
}

// Types are the resource types that can be searched.
func Types() []string { return fhir.Types() }

// Params are the search parameters of a type, sorted by name.
func Params(typ string) []Param { return nil }

// Includes and RevIncludes are the values of _include and _revinclude for a type.
func Includes(typ string) []string    { return nil }
func RevIncludes(typ string) []string { return nil }

// Result is what a search found, in order, all of it: pages are cut by the caller.
type Result[T Item] struct {
	Matches  []T
	Includes []T // of all Matches; see [Index.Include] for one page's
}

// Index is an immutable set of items and what searches have computed of them.
// It is safe for many goroutines.
type Index[T Item] struct{ items []T }

// NewIndex makes an index. No two items may have the same type and id.
func NewIndex[T Item](items []T) *Index[T] { return &Index[T]{items: items} }

// Get finds one resource.
func (x *Index[T]) Get(ref fhir.Ref) (T, bool) { var none T; return none, false }

// Run gives what q finds.
func (x *Index[T]) Run(q Query) Result[T] { return Result[T]{} }

// Include gives what q's _include and _revinclude add to a page of matches.
func (x *Index[T]) Include(q Query, page []T) []T { return nil }

// Patient gives the patients that q is limited to; ok is false when it is not.
func (q Query) Patient() (patients []fhir.Ref, ok bool) { return nil, false }

// Token is one value of a token parameter.
type Token struct {
	System    string
	Code      string
	AnySystem bool // "code" without a bar
}

// Identifier gives the identifiers that q is limited to.
func (q Query) Identifier() (any []Token, ok bool) { return nil, false }

// FamilyAndBirth gives the family names (folded, starts-with) and the range of
// birth dates [from, until) that q is limited to, when it has both.
func (q Query) FamilyAndBirth() (families []string, from, until time.Time, ok bool) { return }

// LastUpdated gives bounds: only resources updated in [from, until) can match. Zero: unbounded.
func (q Query) LastUpdated() (from, until time.Time) { return }

// Key is the same for queries that find the same, whatever the order of their parameters.
func (q Query) Key() string { return "" }

// Names are the names of q's parameters, sorted, for the audit; no values.
func (q Query) Names() []string { return nil }

// Values are the parameters that were understood, for Bundle.link self.
func (q Query) Values() url.Values { return nil }

// Project gives r as _summary and _elements ask: a subset, tagged SUBSETTED, or r itself.
func (q Query) Project(r fhir.Resource) (fhir.Resource, error) { return r, nil }
