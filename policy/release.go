package policy

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// entry is one resource of a chart on its way to being shown.
type entry struct {
	view    *View
	history chart.History // nil once nothing more will be made of it
	ref     fhir.Ref
	first   int // the version shown as current, when visible
	state   state

	making sync.Mutex
	made   atomic.Pointer[made]
}

// made are an entry's visible versions.
type made struct {
	newest shown
	older  []shown // newest first
	whole  bool    // each has its meta: until then, what it says stands alone
}

// at is the n-th version, 0 the newest.
func (m *made) at(n int) *shown {
	if n == 0 {
		return &m.newest
	}
	return &m.older[n-1]
}

// current is the version that decides: the one shown as current, or the newest.
func (e *entry) current() *chart.Version { return &e.history[e.first] }

// contents makes what the visible versions say.
func (e *entry) contents() *made {
	if m := e.made.Load(); m != nil {
		return m
	}
	e.making.Lock()
	defer e.making.Unlock()
	return e.said()
}

// shown makes the visible versions as they are shown.
func (e *entry) shown() *made {
	if m := e.made.Load(); m != nil && m.whole {
		return m
	}
	e.making.Lock()
	defer e.making.Unlock()
	m := e.said()
	if m.whole {
		return m
	}
	w := &made{newest: e.whole(m.newest), whole: true}
	for _, x := range m.older {
		w.older = append(w.older, e.whole(x))
	}
	e.made.Store(w)
	return w
}

// whole is x with its meta.
func (e *entry) whole(x shown) shown {
	x.version = digest(x.res.JSON())
	var err error
	if x.res, err = x.res.With(e.ref.ID, x.version, x.recorded); err != nil {
		x.res = bareOf(e.ref)
	}
	return x
}

// said makes the versions without their meta, the lock held. Two that follow
// each other and say the same are one, true since the older and known since the
// first that came: the difference was withheld.
func (e *entry) said() *made {
	if m := e.made.Load(); m != nil {
		return m
	}
	var room [4]shown
	all := room[:0]
	for n := len(e.history) - 1; n >= e.first; n-- {
		x := &e.history[n]
		if n > e.first && !e.view.sight.sees(x) {
			continue
		}
		res, err := e.view.release(e, x)
		if err != nil {
			// What cannot be mended is not shown; the bare type and id are
			// known to the caller from the address already.
			res = bareOf(e.ref)
		}
		y := shown{res: res, recorded: x.Recorded, at: x.At, source: x.Source}
		if k := len(all); k > 0 && bytes.Equal(all[k-1].res.JSON(), res.JSON()) {
			if before := all[k-1]; !x.Recorded.Before(before.recorded) {
				continue
			}
			y.at = all[k-1].at
			all = all[:k-1]
		}
		all = append(all, y)
	}
	slices.Reverse(all)
	e.history = nil
	m := &made{newest: all[0]}
	if len(all) > 1 {
		m.older = slices.Clone(all[1:])
	}
	e.made.Store(m)
	return m
}

func bareOf(ref fhir.Ref) fhir.Resource {
	res, _ := fhir.Parse([]byte(`{"resourceType":"` + ref.Type + `","id":"` + ref.ID + `"}`))
	return res
}

// quoting elements of a report or panel are words about all its results. An
// extension may be a note too, where R4 has no element for one.
var quoting = map[string]bool{"extension": true, "conclusion": true, "conclusionCode": true, "presentedForm": true, "text": true, "note": true, "valueString": true, "interpretation": true, "media": true, "imagingStudy": true}

var quotingPaths = sortedNames(quoting)

// release is one version without what this caller may not see in it.
func (v *View) release(e *entry, x *chart.Version) (fhir.Resource, error) {
	res := x.Resource()
	if v.sight.owns(x) { // exactly as it was sent
		return res, nil
	}
	var err error
	if v.sight.lists(e.ref.Type) {
		if res, err = v.known(x); err != nil {
			return res, err
		}
	}
	before := res
	if v.superseded[e.ref] {
		if res, err = superseded(res); err != nil {
			return res, err
		}
		before = res
	}
	if slices.ContainsFunc(x.Links(), func(l label.Link) bool { return v.drops(l.To) }) {
		for _, r := range required[e.ref.Type] {
			if res, err = v.dropItems(res, r[0], r[1]); err != nil {
				return res, err
			}
		}
		if res, err = res.WithoutReferences(v.drops); err != nil {
			return res, err
		}
	}
	var out []string
	if v.mends(x) {
		out = append(out, quotingPaths...)
	}
	if v.spoken[spoken{e.ref, x.Source, x.Recorded.UnixMicro()}] {
		out = append(out, "note", "patientInstruction", "text")
	}
	if e.ref.Type == "Patient" {
		out = append(out, v.telling(x)...)
	}
	for _, path := range v.sight.redact {
		if strings.HasPrefix(path, e.ref.Type+".") {
			out = append(out, path)
		}
	}
	if bytes.Contains(res.JSON(), []byte(`"header"`)) { // a password or a token may stand in it
		if e.ref.Type == "Endpoint" {
			out = append(out, "header")
		}
		out = append(out, "contained.header", "contained.channel")
	}
	if len(out) > 0 {
		if res, err = res.Without(out...); err != nil {
			return res, err
		}
	}
	// Its narrative may speak of what is gone.
	if len(res.JSON()) != len(before.JSON()) {
		if res, err = res.Without("text", "contained.text", "section.text"); err != nil {
			return res, err
		}
	}
	if !v.sight.labels && bytes.Contains(res.JSON(), []byte(`"meta"`)) {
		if res, err = res.Without("meta.security", "meta.tag", "contained.meta.security", "contained.meta.tag", "securityLabel"); err != nil {
			return res, err
		}
	}
	if v.merged != nil {
		if e.ref.Type == "Patient" {
			return v.linked(res)
		}
		return res.RewriteReferences(v.survivor)
	}
	if v.sight.roster != nil {
		return res.RewriteReferences(v.sight.roster.survivor)
	}
	return res, nil
}

// required are elements that are nothing without the reference in them: an
// Encounter's diagnosis is its rank and use besides, which would tell.
var required = map[string][][2]string{
	"Encounter": {{"diagnosis", "condition"}, {"location", "location"}}, "EpisodeOfCare": {{"diagnosis", "condition"}},
	"List": {{"entry", "item"}}, "Communication": {{"payload", "contentReference"}}, "DocumentReference": {{"relatesTo", "target"}},
	"DiagnosticReport": {{"media", "link"}}, "CarePlan": {{"activity", "reference"}}, "Provenance": {{"entity", "what"}},
	"Appointment": {{"participant", "actor"}}, "Group": {{"characteristic", "valueReference"}}, "Claim": {{"diagnosis", "diagnosisReference"}}, "Account": {{"coverage", "coverage"}},
}

// dropItems takes the items out of an array whose reference must go.
func (v *View) dropItems(res fhir.Resource, array, element string) (fhir.Resource, error) {
	list := res.Get(array)
	if list.Kind() != '[' {
		return res, nil
	}
	var kept [][]byte
	all := 0
	for item := range list.Items() {
		all++
		ref, ok := fhir.ParseRef(item.Get(element).Get("reference").Text())
		if !ok || !v.drops(ref) {
			kept = append(kept, item.Raw())
		}
	}
	switch {
	case len(kept) == all:
		return res, nil
	case len(kept) == 0:
		return res.Without(array)
	}
	var b bytes.Buffer
	for name, v := range res.Root().Members() {
		raw := v.Raw()
		if name == array {
			raw = slices.Concat([]byte("["), bytes.Join(kept, []byte(",")), []byte("]"))
		}
		if b.Len() == 0 {
			b.WriteByte('{')
		} else {
			b.WriteByte(',')
		}
		quoted, err := jsontext.AppendQuote(nil, name)
		if err != nil {
			return res, err
		}
		b.Write(quoted)
		b.WriteByte(':')
		b.Write(raw)
	}
	b.WriteByte('}')
	return fhir.Parse(b.Bytes())
}

// drops tells whether a reference must go: it names what is withheld, or
// a matter of a patient that is not in this chart; the two must look the same.
// One to a Patient stays, known or not: who refers to them said it. A Group's does not:
// who is not known is not in it.
func (v *View) drops(ref fhir.Ref) bool {
	if ref.Type == "Patient" {
		if v.sight.roster == nil {
			return false
		}
		_, ok := v.sight.roster.shown(ref.ID)
		return !ok
	}
	if k, ok := v.byRef[ref]; ok {
		return v.entries[k].state != visible
	}
	return fhir.IsPatientCompartment(ref.Type)
}

// mends tells whether a version of a report or panel has members that are
// withheld, and must not speak of them.
func (v *View) mends(x *chart.Version) bool {
	return slices.ContainsFunc(x.Links(), func(l label.Link) bool {
		return (l.Element == "result" || l.Element == "hasMember") && v.stateOf(l.To) == hidden
	})
}

// telling are the elements of a Patient for which it has a withheld label. A
// person's record is not withheld for them: they are taken out.
func (v *View) telling(x *chart.Version) []string {
	var out []string
	for _, r := range x.Reasons() {
		if !v.sight.holds(r.Label) {
			continue
		}
		_, element, _ := strings.Cut(r.Element, ".")
		element, _, _ = strings.Cut(element, ".")
		element, _, _ = strings.Cut(element, "[")
		if element != "" {
			out = append(out, element)
		}
	}
	for _, l := range x.Labels() { // a label without a reason: keep only who it is
		if v.sight.holds(l) && len(out) == 0 {
			out = append(out, "extension", "contact", "generalPractitioner", "managingOrganization", "communication", "contained", "text", "photo")
		}
	}
	return out
}

// linked gives a merged record's Patient its links, as far as their other ends
// are visible.
// Source: R4 Patient.link, http://hl7.org/fhir/R4/valueset-link-type.html.
func (v *View) linked(res fhir.Resource) (fhir.Resource, error) {
	var links []string
	for _, l := range v.links {
		other, typ := l.Into, "replaced-by"
		switch res.Ref() {
		case l.From:
		case l.Into:
			other, typ = l.From, "replaces"
		default:
			continue
		}
		if v.stateOf(other) == visible {
			links = append(links, `{"other":{"reference":"`+other.String()+`"},"type":"`+typ+`"}`)
		}
	}
	res, err := res.Without("link")
	if err != nil || len(links) == 0 {
		return res, err
	}
	slices.Sort(links)
	b := bytes.TrimRight(res.JSON(), " \t\r\n")
	b = slices.Concat(b[:len(b)-1], []byte(`,"link":[`+strings.Join(slices.Compact(links), ",")+`]}`))
	return fhir.Parse(b)
}

// superseded is a document that another one replaced.
func superseded(res fhir.Resource) (fhir.Resource, error) {
	res, err := res.Without("status")
	if err != nil {
		return res, err
	}
	b := bytes.TrimRight(res.JSON(), " \t\r\n")
	return fhir.Parse(slices.Concat(b[:len(b)-1], []byte(`,"status":"superseded"}`)))
}
