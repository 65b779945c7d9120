package label

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firebreak/fhir"
)

// Declare is r for sources of which something is known beforehand: everything
// from a source has its labels, as 42 CFR Part 2 wants it of a programme's
// records. It is another version of the rules unless nothing is declared.
func (r *Rules) Declare(sources map[string][]Label) *Rules {
	if len(sources) == 0 {
		return r
	}
	sum := sha256.New()
	fmt.Fprintln(sum, r.version)
	declared := map[string][]Label{}
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		labels := slices.Clone(sources[source])
		slices.Sort(labels)
		declared[source] = slices.Compact(labels)
		fmt.Fprintf(sum, "%q %q\n", source, declared[source])
	}
	return &Rules{version: "r" + strings.ToLower(base32.StdEncoding.EncodeToString(sum.Sum(nil)[:10])), declared: declared,
		match: r.match, codes: r.codes, texts: r.texts, concepts: r.concepts, seen: r.seen}
}

// declare gives what is declared of a source to all that one of its messages
// brought, but for the Patient, who is known or not by what else there is.
func (r *Rules) declare(source string, all []Labeled) {
	for _, l := range r.declared[source] {
		for i := range all {
			if typ := all[i].res.Type(); typ != "Patient" && !all[i].Has(l) {
				all[i].labels = sorted(all[i].labels, l)
				all[i].reasons = append(slices.Clip(all[i].reasons), Reason{l, "everything from this source", typ, source})
			}
		}
	}
}

// enclose marks a Patient of whom a declared source told in a message without
// any matter: that the source knows him is one.
func (r *Rules) enclose(source string, all []Labeled) {
	labels := r.declared[source]
	if len(labels) == 0 {
		return
	}
	mark := contextOf(labels)
	for i := range all {
		if all[i].res.Type() == "Patient" && all[i].Context() == "" {
			all[i].labels = sorted(all[i].labels, mark)
		}
	}
}

// Code is a code that only its source knows, and what the source calls it. The
// same code under another name is another Code: a name may tell what a shared
// "MISC" means.
type Code struct{ Source, System, Code, Display string }

// Class is what somebody decided that a Code means.
type Class struct {
	Labels []Label // sorted; none: it is harmless
	Round  int64   // counts the decisions on this code
}

// Use is where a Code stands that the rules cannot judge, or that somebody has
// classified, and by which decision it was judged: round 0 by none.
type Use struct {
	Code
	Element string // "Observation.code"
	Round   int64
}

// Classify makes r judge by what was decided on local codes, from now on. A
// decision adds labels or ends the wait of a code that nobody knew; it takes
// nothing away that the rules find. It changes no version: whoever stores
// labels finds what to judge again by its Use. The caller must not change table.
func (r *Rules) Classify(table map[Code]Class) {
	t := decisions{of: table, sources: map[string]bool{}}
	for c := range table {
		t.sources[c.Source] = true
	}
	r.decided.Store(&t)
}

type decisions struct {
	of      map[Code]Class
	sources map[string]bool
}

// Use is the code of l that nobody or somebody classified; nil when the rules
// alone know what l is about.
func (l Labeled) Use() *Use { return l.use }

// Classes are the labels that a person may give to a code.
func Classes() []Label {
	return []Label{HIV, Reproductive, Cancer, STI, ViralHepatitis, SubstanceUse, Part2, MentalHealth, Psychotherapy, Genetic, Violence, GenderAffirming}
}

// named types are called by their maker, a laboratory or department; of others
// a name without a code may be what somebody wrote about a patient.
var named = set("Observation", "DiagnosticReport", "ServiceRequest")

// local settles what depends on the source: the code that says what the
// resource is about, when somebody classified it or nobody knows it. waits says
// that the rules do not.
func (j *judge) local(source string, res fhir.Resource, waits bool) *Use {
	decided := j.rules.decided.Load()
	if !waits && (decided == nil || !decided.sources[source]) {
		return nil
	}
	for _, element := range about[j.typ] {
		code, ok := codeOf(source, res.Get(element), named[j.typ])
		if !ok {
			continue
		}
		use := &Use{Code: code, Element: j.typ + "." + element}
		if decided != nil {
			if class, ok := decided.of[code]; ok {
				j.path = append(j.path[:0], step{element, -1})
				for _, l := range class.Labels {
					j.give(l, "classified by a person", "", strings.TrimSpace(code.Code+" "+code.Display))
				}
				j.known, use.Round = true, class.Round
				return use
			}
		}
		if waits {
			return use
		}
	}
	return nil
}

// codeOf is a concept's first code, or where texts count its text.
func codeOf(source string, v fhir.Node, texts bool) (Code, bool) {
	if v.Kind() != '{' {
		return Code{}, false
	}
	for c := range v.All("coding") {
		if code := c.Get("code").Text(); code != "" {
			return Code{source, c.Get("system").Text(), code, c.Get("display").Text()}, true
		}
	}
	if text := v.Get("text").Text(); texts && text != "" {
		return Code{source, "", "", text}, true
	}
	return Code{}, false
}
