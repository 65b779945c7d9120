package clinical

import (
	"cmp"
	"slices"
	"strings"

	"firebreak/fhir"
	"firebreak/policy"
)

// Result is one result of one test: an Observation, or one component of one.
type Result struct {
	Origin
	Test      *Test
	When      Time    // collected, or the time the source says it holds for
	Issued    Time    // made available by the source; may be zero
	Value     Value   //
	Flags     []Flag  //
	Ranges    []Range // as given with this result
	Status    Status  //
	Method    string
	Specimen  string
	BodySite  string
	Performer string
	Notes     []string
	Sources   []string // feeds that sent the same result, two or more; else nil
	Differs   bool     // another feed gives another value for the same test and time

	told      *reading // while tests are read
	component int      // which component, -1 for the Observation itself
	folded    []fhir.Ref
}

// Flag is the heaviest flag; the zero Flag when none was sent.
func (r *Result) Flag() Flag { return worst(r.Flags) }

// Counts tells whether the result holds: it was neither withdrawn nor
// cancelled and has a value.
func (r *Result) Counts() bool {
	return !r.Status.Withdrawn() && !r.Status.Cancelled() && !r.Value.Absent
}

// Normal is the reference range to measure the result by; ok is false when
// none was given.
func (r *Result) Normal() (Range, bool) {
	if len(r.Ranges) == 0 {
		return Range{}, false
	}
	return r.Ranges[0], true
}

// Long tells whether the value is prose, which a grid cannot hold.
func (r *Result) Long() bool {
	return !r.Value.Numeric && (len(r.Value.Text) > 32 || strings.ContainsAny(r.Value.Text, "\n\r"))
}

// Status is a FHIR status code as sent.
type Status string

func (s Status) Preliminary() bool {
	return s == "preliminary" || s == "registered" || s == "partial"
}

func (s Status) Corrected() bool {
	return s == "corrected" || s == "amended" || s == "appended"
}

func (s Status) Cancelled() bool { return s == "cancelled" }
func (s Status) Withdrawn() bool { return s == "entered-in-error" }

// observation is an Observation on its way to Results.
type observation struct {
	code, method   Concept
	category       []Concept
	when, issued   Time
	status         Status
	own            valueNodes
	flags, ranges  fhir.Node
	components     fhir.Node
	members        fhir.Node
	notes          []string
	specimen, body fhir.Node
	performer      fhir.Node
	effective      Span
}

// readObservation goes over an Observation once.
func readObservation(r fhir.Resource) observation {
	var o observation
	for name, v := range r.Root().Members() {
		switch name {
		case "status":
			o.status = Status(v.Text())
		case "code":
			o.code = concept(v)
		case "category":
			o.category = concepts(v)
		case "effectiveDateTime", "effectiveInstant":
			o.when = ParseTime(v.Text())
		case "effectivePeriod":
			o.effective = span(v)
			o.when = o.effective.Start
			if o.when.IsZero() {
				o.when = o.effective.End
			}
		case "issued":
			o.issued = ParseTime(v.Text())
		case "interpretation":
			o.flags = v
		case "referenceRange":
			o.ranges = v
		case "component":
			o.components = v
		case "hasMember":
			o.members = v
		case "note":
			o.notes = notes(v)
		case "method":
			o.method = concept(v)
		case "specimen":
			o.specimen = v
		case "bodySite":
			o.body = v
		case "performer":
			o.performer = v
		case "dataAbsentReason":
			o.own.absent = v
		default:
			if strings.HasPrefix(name, "value") {
				o.own.kind, o.own.value = name, v
			}
		}
	}
	return o
}

// results makes the Results of one Observation: its own value, and one for
// each component. A panel that only points to its members has none.
func (c *Chart) observationResults(x policy.Released, o observation) []*Result {
	base := Result{
		Origin: originOf(x), When: o.when, Issued: o.issued, Status: o.status, Notes: o.notes,
		Method: o.method.Name(), BodySite: concept(o.body).Name(), component: -1,
	}
	if s := ref(o.specimen); !s.IsZero() {
		if spec, ok := c.src.Get(s); ok {
			base.Specimen = concept(spec.Content().Get("type")).Name()
		}
	}
	base.Performer = c.everyone(o.performer)
	var all []*Result
	if o.own.kind != "" || !o.flags.IsZero() || o.components.Len() == 0 && o.members.Len() == 0 {
		r := base
		r.Value = readValue(o.own, c.say)
		if o.own.kind == "" && o.components.Len() > 0 {
			r.Value = together(o.components) // the flag is the whole's; no part may take it
		}
		r.Flags = readFlags(o.flags, c.say)
		r.Ranges = readRanges(o.ranges)
		all = append(all, &r)
	}
	i := 0
	for item := range o.components.Items() {
		r := base
		r.component = i
		i++
		own := valueNodes{absent: item.Get("dataAbsentReason")}
		for name, v := range item.Members() {
			if strings.HasPrefix(name, "value") {
				own.kind, own.value = name, v
			}
		}
		r.Value = readValue(own, c.say)
		r.Flags = readFlags(item.Get("interpretation"), c.say)
		r.Ranges = readRanges(item.Get("referenceRange"))
		all = append(all, &r)
	}
	return all
}

// together writes the parts of a result in one, "120/80 mmHg".
func together(components fhir.Node) Value {
	var v Value
	var texts []string
	for item := range components.Items() {
		part := quantity(item.Get("valueQuantity"))
		texts = append(texts, cmp.Or(part.Text, "–"))
		v.Unit = part.Unit
	}
	v.Text = strings.Join(texts, "/")
	return v
}

// Earlier are the values this result had before, newest first: what a
// correction replaced, and preliminary values that changed. A version that
// says the same value again is left out.
func (c *Chart) Earlier(r *Result) []*Result {
	history := c.src.History(r.Ref)
	if len(history) < 2 {
		return nil
	}
	var all []*Result
	last := r
	for _, x := range history[1:] {
		if x.Content().Type() != "Observation" {
			continue
		}
		for _, old := range c.observationResults(x, readObservation(x.Content())) {
			if old.component != r.component {
				continue
			}
			if old.Value.Text != last.Value.Text || old.Value.Unit != last.Value.Unit {
				old.Test = r.Test
				all = append(all, old)
				last = old
			}
		}
	}
	return all
}

// fold joins results that two feeds sent alike, and marks those that disagree.
// all is sorted by time, newest first; so it stays.
func fold(all []*Result) []*Result {
	kept := all[:0:0]
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].When.same(all[i].When) && !all[i].When.IsZero() {
			j++
		}
		kept = append(kept, foldMoment(all[i:j])...)
		i = j
	}
	return kept
}

func foldMoment(moment []*Result) []*Result {
	if len(moment) == 1 {
		return moment
	}
	var kept []*Result
	for _, r := range moment {
		at := slices.IndexFunc(kept, func(k *Result) bool {
			return k.Source != r.Source && !slices.Contains(k.Sources, r.Source) && r.Counts() && k.Counts() &&
				k.Value.Text == r.Value.Text && sameUnit(k.Value.Unit) == sameUnit(r.Value.Unit)
		})
		if at < 0 {
			kept = append(kept, r)
			continue
		}
		k := kept[at]
		if k.Sources == nil {
			k.Sources = []string{k.Source}
		}
		k.Sources = append(k.Sources, r.Source)
		slices.Sort(k.Sources)
		k.folded = append(k.folded, r.Ref)
		k.Flags = mergeFlags(k.Flags, r.Flags)
	}
	for _, a := range kept {
		for _, b := range kept {
			if a != b && a.Source != b.Source && a.Counts() && b.Counts() {
				a.Differs = true
			}
		}
	}
	return kept
}

// mergeFlags keeps every letter that any of the sources sent.
func mergeFlags(a, b []Flag) []Flag {
	for _, f := range b {
		if !slices.ContainsFunc(a, func(x Flag) bool { return x.Letters == f.Letters }) {
			a = append(slices.Clip(a), f)
		}
	}
	return a
}

// newestFirst orders results for every list and grid.
func newestFirst(a, b *Result) int {
	return cmp.Or(newer(a.When, b.When), b.Issued.At.Compare(a.Issued.At), b.Received.Compare(a.Received),
		cmp.Compare(a.Ref.ID, b.Ref.ID), cmp.Compare(a.component, b.component))
}

// Unshown tells whether the result holds and the patient still waits to be shown
// it; see policy.View.
func (c *Chart) Unshown(r *Result) bool { return r.Counts() && c.src.Unshown(r.Ref) }
