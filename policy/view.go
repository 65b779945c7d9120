package policy

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"firebreak/access"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
	"firebreak/search"
)

// View is one chart as one audience sees it. It is immutable and safe for many
// goroutines. What is withheld and what never was look the same in it.
type View struct {
	sight      sight
	patient    fhir.Ref
	said       *directives       // the patient's, nil when there are none
	concern    string            // key of what they say of the caller
	reviews    reviews           // of its results, where they must be reviewed
	merged     map[string]string // "Patient/old" to "Patient/surviving", of merges in force
	links      []chart.Link
	entries    []entry             // the whole chart, sorted
	byRef      map[fhir.Ref]int32  // into entries
	all        []Released          // what is visible, in its current version
	listed     []Released          // what of it may be searched: all, but for the limits of a token
	limits     *limits             // of a token with granular scopes; nil for most
	superseded map[fhir.Ref]bool   // documents that were replaced
	ended      map[fhir.Ref]*entry // what the caller deleted itself; nil for most
	spoken     map[spoken]bool     // orders that came along with hidden results of theirs

	once  sync.Once
	index *search.Index[Released]

	patients  *release // what they wait for; nil where they have no way in
	reviewing sync.Once
	shown     reviews // by what is visible
}

// state is what became of a resource.
type state uint8

const (
	absent  state = iota // deleted, or not of this caller's source: as if never there
	hidden               // withheld
	waiting              // visible as soon as something visible names it
	visible
)

// View is ch as c may see it. The zero Caller sees nothing; nor does anyone see
// what is unlabelled, judged by other rules than today's, or not settled by
// label.Propagate.
func (p *Policy) View(c access.Caller, ch chart.Chart) *View {
	return p.ViewThrough(Intact, c, ch)
}

func (p *Policy) view(s sight, who []subject, now time.Time, ch chart.Chart) *View {
	v, _ := p.viewOf(s, who, now, ch)
	return v
}

// viewOf is a view, and what of the chart it is made of.
func (p *Policy) viewOf(s sight, who []subject, now time.Time, ch chart.Chart) (*View, chart.Chart) {
	v := p.viewAll(s, who, now, ch)
	gone := v.replaced(ch)
	if gone == nil {
		return v, ch
	}
	left := minus(ch, gone)
	v = p.viewAll(s, who, now, left)
	v.superseded = wholes(ch, gone)
	return v, left
}

// viewAll is a view in which no document replaces another.
func (p *Policy) viewAll(s sight, who []subject, now time.Time, ch chart.Chart) *View {
	v := &View{sight: s, patient: ch.Patient, patients: p.openRelease()}
	if v.sight.nobody {
		return v
	}
	if s.mute {
		v.said = p.directives(ch)
	}
	if s.masks {
		v.sight.mask, v.concern = v.said.of(who, now)
	}
	v.links = ch.Links
	for _, l := range ch.Links {
		if v.merged == nil {
			v.merged = map[string]string{}
		}
		v.merged[l.From.String()] = ch.Patient.String()
	}
	if v.sight.reviewed {
		v.reviews = reviewsOf(chartSays(ch), s.on)
	}
	directory := ownRight(ch)
	v.entries = make([]entry, len(ch.Histories))
	v.byRef = make(map[fhir.Ref]int32, len(ch.Histories))
	for i, h := range ch.Histories {
		e := &v.entries[i]
		e.view, e.history = v, h
		e.ref = h[0].Resource().Ref()
		e.state, e.first = v.sight.first(h)
		if e.state == absent && v.sight.own != "" {
			if end := v.end(h); end != nil {
				if v.ended == nil {
					v.ended = map[fhir.Ref]*entry{}
				}
				v.ended[e.ref] = end
			}
		}
		if e.state == visible && v.said.tells(e.ref) && !v.sight.owns(e.current()) {
			e.state = hidden
		}
		if v.sight.reviewed && results[e.ref.Type] {
			switch {
			case e.state == visible && !v.reviews.reviewed(e.current().Resource(), e.current().Recorded):
				e.state = hidden
			case e.state == hidden && v.awaited(h):
				e.state = visible
			}
		}
		if e.state == visible && needy[e.ref.Type] && !(directory && e.ref.Type != "Binary") && !v.sight.lists(e.ref.Type) && !v.sight.owns(e.current()) {
			e.state = waiting
		}
		v.byRef[e.ref] = int32(i)
	}
	v.settle()
	v.listen()
	v.reach()
	n := 0
	for i := range v.entries {
		if v.entries[i].state == visible {
			n++
		} else {
			v.entries[i].history = nil
		}
	}
	v.all = make([]Released, 0, n)
	for i := range v.entries {
		if v.entries[i].state == visible {
			v.all = append(v.all, Released{e: &v.entries[i]})
		}
	}
	v.listed = v.all
	return v
}

// Concern names what the patient's directives say of c now, empty where there are
// none. It belongs to Policy.Key: a View made for one may be shown to another
// caller when both have the same Key and the same Concern in it.
func (v *View) Concern(c access.Caller) string { return v.Bearing().of(c) }

// Fits tells whether the view was made for what the directives say of c now.
func (v *View) Fits(c access.Caller) bool { return v.Bearing().Fits(c) }

// Bearing is what the patient's directives say of whom a view was made for, without
// the view.
type Bearing struct {
	said    *directives // nil: nothing
	concern string
}

// Bearing outlasts the view.
func (v *View) Bearing() Bearing {
	if !v.sight.masks {
		return Bearing{}
	}
	return Bearing{v.said, v.concern}
}

func (b Bearing) of(c access.Caller) string {
	if b.said == nil {
		return ""
	}
	_, key := b.said.of(subjectsOf(c), c.Admitted())
	return key
}

// Fits tells whether they say the same of c now.
func (b Bearing) Fits(c access.Caller) bool { return b.of(c) == b.concern }

// Lasts tells whether the view stays as it is while the chart, the policy and its
// caller do: no directive of the patient's begins or ends in it.
func (v *View) Lasts() bool { return v.said == nil }

// awaited tells whether a result that a label withholds may be seen because the
// patient discussed it and asked for it.
func (v *View) awaited(h chart.History) bool {
	x := &h[0]
	return !x.Deleted && x.Current && x.Settled() && !v.sight.mask.hides(x) && v.reviews.reviewed(x.Resource(), x.Recorded) && v.sight.requested(v.reviews, x)
}

// needy types are known by what names them: a practitioner of whom nothing but
// a withheld result speaks is visible to nobody.
var needy = map[string]bool{
	"Practitioner": true, "PractitionerRole": true, "Organization": true, "Location": true, "HealthcareService": true, "Specimen": true, "Binary": true,
	"Provenance": true, "Medication": true, "Device": true, "Substance": true, "Endpoint": true, "Group": true,
}

// ownRight tells whether ch is a source's directory: practitioners, places and their
// schedules that were sent for their own sake, and no patient. A file is no such thing:
// it may be anyone's, and is seen through the chart that names it.
func ownRight(ch chart.Chart) bool {
	for _, h := range ch.Histories {
		switch typ := h[0].Resource().Type(); {
		case typ == "Schedule" && len(fhir.Patients(h[0].Resource())) == 0:
		case typ == "Patient", fhir.IsPatientCompartment(typ):
			return false
		}
	}
	return true
}

// first tells what a caller may see of a resource, and from which version on.
// When the current version is withheld, all are: it may have been corrected to
// something sensitive, and a visible past would tell. Versions that a wholly
// sensitive message brought along are passed over instead.
func (s *sight) first(h chart.History) (state, int) {
	if h[0].Deleted {
		return absent, 0
	}
	if s.only && h[0].Source != s.own {
		return absent, 0
	}
	if s.lists(h[0].Resource().Type()) && !s.across && !s.owns(&h[0]) {
		return absent, 0
	}
	if h[0].Resource().Type() == "Subscription" && !s.owns(&h[0]) { // its channel may hold its sender's password
		return absent, 0
	}
	for i := range h {
		v := &h[i]
		if v.Deleted {
			continue
		}
		if s.owns(v) {
			return visible, i
		}
		if !v.Current || !v.Settled() {
			return hidden, 0
		}
		if context := v.Context(); context != "" && s.conceals(context) || !s.seesFrom(v) {
			continue
		}
		if s.withholds(v) && v.Resource().Type() == "CareTeam" { // who was told of before is as if nobody had been told of since
			continue
		}
		if s.withholds(v) && v.Resource().Type() != "Patient" || s.mask.hides(v) {
			return hidden, 0
		}
		return visible, i
	}
	return hidden, 0
}

// sees tells whether one version may be seen by itself.
func (s *sight) sees(v *chart.Version) bool { return s.seesAlone(v) && (s.owns(v) || s.seesFrom(v)) }

// seesFrom tells whether all may be seen that a version goes on from: it says over again
// what they say.
func (s *sight) seesFrom(v *chart.Version) bool {
	return !slices.ContainsFunc(v.From, func(b *chart.Version) bool { return !s.seesAlone(b) })
}

func (s *sight) seesAlone(v *chart.Version) bool {
	switch {
	case v.Deleted || s.only && v.Source != s.own:
		return false
	case s.owns(v):
		return true
	case !v.Current || !v.Settled():
		return false
	}
	if context := v.Context(); context != "" && s.conceals(context) {
		return false
	}
	return (v.Resource().Type() == "Patient" || !s.withholds(v)) && !s.mask.hides(v)
}

// owns tells whether the caller sent this version itself.
func (s *sight) owns(v *chart.Version) bool { return s.own != "" && v.Source == s.own }

func (s *sight) withholds(v *chart.Version) bool {
	if s.lists(v.Resource().Type()) { // a member is judged by itself
		return slices.ContainsFunc(v.Labels(), func(l label.Label) bool { return s.holds(l) && v.Itself(l) })
	}
	return slices.ContainsFunc(v.Labels(), s.holds)
}

// lists tells whether a type is that of the Group whose chart this is.
func (s *sight) lists(typ string) bool { return s.roster != nil && typ == "Group" }

// settle withholds what would tell of something withheld: a panel without a
// visible member, an order of which nothing visible came, a message or document
// about it. What is withheld so may take more with it, until nothing changes.
func (v *View) settle() {
	some := false
	for i := range v.entries {
		some = some || v.entries[i].state == hidden
	}
	for again := some; again; {
		again = false
		done := map[int32][2]bool{} // of an order: something hidden came of it, something visible
		for i := range v.entries {
			e := &v.entries[i]
			if e.state != visible && e.state != hidden {
				continue
			}
			if e.state == visible && !v.sight.owns(e.current()) && v.tells(e) {
				e.state = hidden
				again = true
			}
			if outcome[e.ref.Type] {
				for _, l := range e.current().Links() {
					if k, ok := v.byRef[l.To]; ok && label.Fills(l.Element) {
						d := done[k]
						d[0] = d[0] || e.state == hidden
						d[1] = d[1] || e.state == visible
						done[k] = d
					}
				}
			}
		}
		for k, d := range done {
			if e := &v.entries[k]; d[0] && !d[1] && e.state == visible && !v.sight.owns(e.current()) {
				e.state = hidden
				again = true
			}
		}
	}
}

// spoken is an order as one message told of it.
type spoken struct {
	order    fhir.Ref
	source   string
	recorded int64
}

// listen finds the orders whose words may be about results that are hidden:
// those told of by the same message. What was said before cannot be.
func (v *View) listen() {
	for i := range v.entries {
		e := &v.entries[i]
		if !outcome[e.ref.Type] || e.state != hidden && e.state != visible {
			continue
		}
		for n := range e.history {
			x := &e.history[n]
			if e.state == visible && !v.mends(x) {
				continue
			}
			for _, l := range x.Links() {
				if !label.Fills(l.Element) {
					continue
				}
				if v.spoken == nil {
					v.spoken = map[spoken]bool{}
				}
				v.spoken[spoken{l.To, x.Source, x.Recorded.UnixMicro()}] = true
			}
		}
	}
}

// outcome types are what comes of an order.
var outcome = map[string]bool{"DiagnosticReport": true, "Observation": true, "DocumentReference": true, "ImagingStudy": true, "Media": true, "Procedure": true, "MedicationDispense": true, "MedicationAdministration": true, "Immunization": true}

// messages speak about what they name.
var messages = map[string]bool{"Task": true, "Communication": true, "CommunicationRequest": true, "Claim": true, "ClaimResponse": true, "ExplanationOfBenefit": true, "Flag": true, "DetectedIssue": true}

// tells tells whether a visible resource would tell of hidden ones.
func (v *View) tells(e *entry) bool {
	gone, left := 0, 0
	for _, l := range e.current().Links() {
		switch l.Element {
		case "subject", "patient", "encounter", "for", "sender", "recipient", "requester", "performer", "owner", "author", "specimen":
			continue
		}
		to := v.stateOf(l.To)
		switch {
		case l.Element == "result" || l.Element == "hasMember":
			if to == hidden {
				gone++
			} else if to != absent {
				left++
			}
		case to != hidden || !label.Clinical(l.To.Type) && l.To.Type != "Consent":
		case l.Element == "derivedFrom":
			return true
		case messages[e.ref.Type] && l.Element != "context":
			return true
		case e.ref.Type == "DocumentReference" && l.Element == "context" && l.To.Type != "Encounter":
			return true
		}
	}
	if gone > 0 && left == 0 {
		return true
	}
	if e.ref.Type == "DocumentReference" { // of a report that was mended: it may quote what is gone
		for _, l := range e.current().Links() {
			if k, ok := v.byRef[l.To]; ok && l.Element == "context" && v.mended(&v.entries[k]) {
				return true
			}
		}
	}
	return false
}

// mended tells whether a panel or report has lost members.
func (v *View) mended(e *entry) bool {
	return e.state == visible && v.mends(e.current())
}

func (v *View) stateOf(ref fhir.Ref) state {
	if k, ok := v.byRef[ref]; ok {
		return v.entries[k].state
	}
	return absent
}

// reach makes visible what visible resources name, and what says where they
// came from.
func (v *View) reach() {
	var work, sources []int32
	for i := range v.entries {
		switch e := &v.entries[i]; {
		case e.state == visible:
			work = append(work, int32(i))
		case e.state == waiting && e.ref.Type == "Provenance":
			sources = append(sources, int32(i))
		}
	}
	run := func() {
		for len(work) > 0 {
			e := &v.entries[work[len(work)-1]]
			work = work[:len(work)-1]
			mended := v.mended(e)
			for n := e.first; n < len(e.history); n++ {
				x := &e.history[n]
				if n > e.first && !v.sight.sees(x) {
					continue
				}
				for _, l := range x.Links() {
					k, ok := v.byRef[l.To]
					if l.Element == "member" && v.sight.lists(e.ref.Type) && !v.sight.owns(x) {
						continue
					}
					if !ok || v.entries[k].state != waiting || l.To.Type == "Provenance" || e.ref.Type == "Provenance" && l.Element == "target" ||
						mended && quoting[l.Element] || v.sight.redacts(e.ref.Type, l.Element) {
						continue
					}
					v.entries[k].state = visible
					work = append(work, k)
				}
			}
		}
	}
	run()
	for _, i := range sources {
		e := &v.entries[i]
		others, seen := false, false
		for _, l := range e.current().Links() {
			if l.Element != "target" {
				continue
			}
			others = others || l.To.Type != "Patient"
		}
		for _, l := range e.current().Links() {
			if l.Element == "target" && (l.To.Type != "Patient" || !others) && v.stateOf(l.To) == visible {
				seen = true
			}
		}
		if seen {
			e.state = visible
			work = append(work, i)
		}
	}
	run()
}

func (s *sight) redacts(typ, element string) bool {
	_, ok := slices.BinarySearch(s.redact, typ+"."+element)
	return ok
}

// All is every visible resource in its current version, sorted by type, then id.
// Of it, and in Of and Index, a token's scopes leave what may be searched; in Get,
// Version and History what may be read.
func (v *View) All() []Released { return v.listed }

// Of is every visible resource of one type, sorted by id.
func (v *View) Of(typ string) []Released { return ofType(v.listed, typ) }

func ofType(all []Released, typ string) []Released {
	from := sort.Search(len(all), func(i int) bool { return all[i].e.ref.Type >= typ })
	to := from + sort.Search(len(all)-from, func(i int) bool { return all[from+i].e.ref.Type > typ })
	return all[from:to:to]
}

// Get is one resource in its current version.
func (v *View) Get(ref fhir.Ref) (Released, bool) {
	r, ok := v.Standing(ref)
	if !ok || !v.reads(r) {
		return Released{}, false
	}
	return r, true
}

// Version is one version of one resource, or the deletion of what the caller deleted.
func (v *View) Version(ref fhir.Ref, versionID string) (Released, bool) {
	for _, r := range v.History(ref) {
		if r.VersionID() == versionID {
			return r, true
		}
	}
	return Released{}, false
}

// History is the visible versions of one resource, newest first; of what the caller
// deleted itself, the deletion before them.
func (v *View) History(ref fhir.Ref) []Released {
	r, ok := v.Get(ref)
	if !ok {
		return v.ends(ref)
	}
	out := make([]Released, 1+len(r.e.contents().older))
	for i := range out {
		out[i] = Released{e: r.e, n: i}
	}
	return v.versions(out)
}

// Patient is the surviving record's Patient.
func (v *View) Patient() (Released, bool) { return v.Get(v.patient) }

// Index searches the view. It is made when first asked for.
func (v *View) Index() *search.Index[Released] {
	v.once.Do(func() { v.index = search.NewIndex(v.listed) })
	return v.index
}

// Survivor is the record that one of a patient is now part of: itself, unless it
// was merged into another.
func (v *View) Survivor(ref fhir.Ref) fhir.Ref {
	if ref.Type == "Patient" && v.merged != nil {
		if now, ok := fhir.ParseRef(v.survivor(ref.String())); ok {
			return now
		}
	}
	return ref
}

// survivor is the reference to use in place of one to a merged record.
func (v *View) survivor(reference string) string {
	if v.merged == nil || !strings.HasPrefix(reference, "Patient/") {
		return reference
	}
	if now, ok := v.merged[reference]; ok {
		return now
	}
	return reference
}
