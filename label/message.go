package label

import (
	"crypto/sha256"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"firebreak/fhir"
)

// Label judges the resources of one message together, in order: each by
// itself, then those that depend on another of them, then what the message
// merely brought along (see Labeled.Context). source is where it came from, as
// Declare and Code name it.
func (r *Rules) Label(source string, message []fhir.Resource) []Labeled {
	out := make([]Labeled, len(message))
	neutral := map[fhir.Ref]int{}
	for i, res := range message {
		var says bool
		if out[i], says = r.one(source, res); !says {
			neutral[res.Ref()] = i
		}
	}
	r.declare(source, out)
	masked := flagged(out)
	if masked {
		mask(out)
	}
	if len(message) > 1 {
		r.broken(out)
		out = Propagate(out)
		unclear(out, neutral)
		bring(out, masked)
	}
	r.enclose(source, out)
	for i := range out {
		out[i].links = nil // a message is no chart
	}
	return out
}

// one judges a resource by itself. says is false when it is only harmless
// because its name says nothing ("RESULT").
func (r *Rules) one(source string, res fhir.Resource) (l Labeled, says bool) {
	if !repeated[res.Type()] {
		return r.judge(source, res)
	}
	key := sha256.Sum256(res.JSON())
	f, ok := r.seen.get(key[:])
	if !ok {
		l, f.says = r.judge(source, res) // of these types no source has its own
		f.labels, f.reasons, f.links = slices.Clip(l.labels), slices.Clip(l.reasons), linksOf(res)
		r.seen.put(key[:], f)
	}
	return Labeled{res: res, labels: f.labels, reasons: f.reasons, rules: r.version, links: f.links}, f.says
}

func (r *Rules) judge(source string, res fhir.Resource) (l Labeled, says bool) {
	j := judge{rules: r}
	j.run(res)
	if j.typ == "FamilyMemberHistory" {
		j.known, j.words = r.illnesses(res)
	}
	if _, ok := about[j.typ]; ok {
		waits := len(j.labels) == 0 && !j.known && !j.neutral
		l.use = j.local(source, res, waits)
		if waits && !j.known {
			j.path = append(j.path[:0], step{about[j.typ][0], -1})
			j.give(Unclassified, "nobody knows this code", "", j.words)
		}
	}
	slices.Sort(j.labels)
	l.res, l.labels, l.reasons, l.rules = res, j.labels, j.reasons, r.version
	return l, j.known || !j.neutral
}

// illnesses tells whether each thing that a relative had is one we can judge, or else
// what one is called that is not. Who had nothing, as far as is told, had nothing unknown.
func (r *Rules) illnesses(res fhir.Resource) (known bool, words string) {
	for had := range res.Get("condition").Items() {
		if code := had.Get("code"); !r.concept(code, inDiagnosis).harmless {
			return false, nameOf(code)
		}
	}
	return true, ""
}

// unclear gives results whose names say nothing the labels of the panel they
// stand in, whatever gave them: they are as harmless as it is.
func unclear(all []Labeled, neutral map[fhir.Ref]int) {
	if len(neutral) == 0 {
		return
	}
	for i := range all {
		for _, l := range all[i].labels {
			for _, link := range all[i].links.all {
				k, ok := neutral[link.To]
				if !ok || link.Element != "result" && link.Element != "hasMember" || all[k].Has(l) {
					continue
				}
				all[k].labels = sorted(all[k].labels, l)
				all[k].reasons = append(slices.Clip(all[k].reasons), Reason{l, "its name says nothing, and its panel has this label", "Observation.code", all[i].res.Ref().String()})
			}
		}
	}
}

// broken reads texts that were broken over two results, one after the other:
// "INVASIVE DUCTAL CARCI" and "NOMA, LEFT BREAST".
func (r *Rules) broken(all []Labeled) {
	before, text := -1, ""
	for i := range all {
		if all[i].res.Type() != "Observation" {
			continue
		}
		v := all[i].res.Get("valueString")
		if v.Kind() != '"' {
			before = -1
			continue
		}
		next := v.Text()
		if before >= 0 {
			for _, h := range r.seam(text, next) {
				rule := &r.match.rules[h.rule]
				for _, k := range []int{before, i} {
					if !slices.Contains(all[k].labels, rule.label) {
						all[k].labels = sorted(all[k].labels, rule.label)
						all[k].reasons = append(all[k].reasons, Reason{rule.label, rule.name, "Observation.valueString", clip(h.evidence)})
					}
				}
			}
		}
		before, text = i, next
	}
}

// seam is what is found where two texts meet, in the word that their ends make
// together, and in neither end alone.
func (r *Rules) seam(a, b string) []hit {
	head, tail := a[strings.LastIndexFunc(strings.TrimRightFunc(a, unicode.IsLetter), unicode.IsSpace)+1:], b
	if k := strings.IndexFunc(b, func(c rune) bool { return !unicode.IsLetter(c) }); k >= 0 {
		tail = b[:k]
	}
	last, _ := utf8.DecodeLastRuneInString(head)
	if !unicode.IsLetter(last) || tail == "" || len(head)+len(tail) > 80 {
		return nil
	}
	alone := append(r.match.judge(head, inNote).hits, r.match.judge(tail, inNote).hits...)
	return slices.DeleteFunc(r.match.judge(head+tail, inNote).hits, func(h hit) bool {
		return slices.ContainsFunc(alone, func(x hit) bool { return r.match.rules[x.rule].label == r.match.rules[h.rule].label })
	})
}

// What a message is about, by type, strongest first. A message with a report is
// about the report, and its visit only says where; a message without is about
// the visit.
var (
	deeds = set("DiagnosticReport", "ServiceRequest", "DocumentReference", "Appointment", "AppointmentResponse", "Communication", "CommunicationRequest", "Task",
		"MedicationRequest", "MedicationStatement", "MedicationAdministration", "MedicationDispense", "Immunization", "Composition", "Media", "ImagingStudy",
		"QuestionnaireResponse", "CarePlan", "Claim", "ChargeItem", "ClaimResponse", "ExplanationOfBenefit", "Consent", "NutritionOrder", "DeviceRequest", "RiskAssessment", "ClinicalImpression")
	visits  = set("Encounter", "EpisodeOfCare")
	details = set("Condition", "Procedure", "Observation", "FamilyMemberHistory")
	support = set("Patient", "RelatedPerson", "Person", "Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Specimen", "Provenance",
		"Binary", "Medication", "Device", "Coverage", "Account", "Group", "Endpoint", "Substance", "CareTeam", "MessageHeader", "AllergyIntolerance")
)

// bring marks what a message brought along beside the matters it is about. Of a
// masked one that is all but what is masked.
func bring(all []Labeled, masked bool) {
	if !slices.ContainsFunc(all, func(l Labeled) bool { return len(l.labels) > 0 }) {
		return
	}
	deed, visit := false, false
	for i := range all {
		typ := all[i].res.Type()
		deed = deed || deeds[typ]
		visit = visit || visits[typ]
	}
	isMatter := func(typ string) bool {
		switch {
		case typ == "Group":
			return true
		case masked:
			return flaggable(typ)
		case deed:
			return deeds[typ] || typ == "Observation"
		case visit:
			return visits[typ] || details[typ]
		}
		return !support[typ]
	}
	// A roster says nothing of a visit or a result: only what it is itself is a matter,
	// and nothing that came with it makes it one.
	clauses := mattersOf(slices.DeleteFunc(slices.Clone(all), func(l Labeled) bool { return l.res.Type() == "Group" && !slices.ContainsFunc(l.labels, l.Itself) }), isMatter)
	if len(clauses) == 0 {
		return
	}
	mark := Label(context + strings.Join(clauses, "|"))
	for i := range all {
		if !isMatter(all[i].res.Type()) {
			all[i].labels = sorted(all[i].labels, mark)
		}
	}
}

// Support tells whether resources of that type never are what a message is about.
func Support(typ string) bool { return support[typ] }

// Itself tells whether a label is for what the resource says itself: all are, but
// those that only members of a Group have.
func (l Labeled) Itself(x Label) bool {
	given := false
	for _, r := range l.reasons {
		if r.Label == x {
			if _, ok := Member(r.Element); !ok {
				return true
			}
			given = true
		}
	}
	return !given
}

// Brought tells whether a resource of that type may be what a message merely
// brought along, and have a context.
func Brought(typ string) bool { return !flaggable(typ) }

// Beside gives what a message brought along beside a matter with these labels the context
// that it has then. It is for a message that says over again what others said: theirs
// count for it.
func Beside(all []Labeled, of []Label) []Labeled {
	if len(of) == 0 {
		return all
	}
	for i := range all {
		if !Brought(all[i].res.Type()) {
			of = Labeled{labels: of}.With(all[i].labels).labels
		}
	}
	for i := range all {
		if Brought(all[i].res.Type()) {
			all[i].labels = sorted(slices.DeleteFunc(slices.Clone(all[i].labels), Label.Internal), contextOf(of))
		}
	}
	return all
}

func contextOf(matter []Label) Label {
	names := make([]string, len(matter))
	for i, l := range matter {
		names[i] = string(l)
	}
	return Label(context + strings.Join(names, "+"))
}

// Contexts gives each resource of a message the context (Labeled.Context) that
// it would have if the message were judged by what its matters turned out to be.
// said are the resources in a chart that is settled; now are their current
// versions, whose labels count besides their own.
func (r *Rules) Contexts(source string, said, now []Labeled) []Label {
	contexts := make([]Label, len(said))
	labelled := func(l Labeled) bool { return len(l.labels) > 0 }
	if !slices.ContainsFunc(said, labelled) && !slices.ContainsFunc(now, labelled) && len(r.declared[source]) == 0 {
		return contexts
	}
	all := make([]Labeled, len(said))
	for i, l := range said {
		all[i] = Labeled{res: l.res, links: l.links}
		for _, x := range slices.Concat(l.labels, now[i].labels) {
			if !x.Internal() {
				all[i].labels = sorted(all[i].labels, x)
			}
		}
	}
	if len(all) > 1 {
		bring(all, flagged(all))
	}
	r.enclose(source, all)
	for i := range all {
		contexts[i] = all[i].Context()
	}
	return contexts
}

// mattersOf gives the labels of each matter, "hiv+sti", sorted and without
// doubles, or nothing when a matter has no label. A report is as visible as its
// most visible result, so each result is a matter with the report's labels
// besides its own; an order is as visible as what was done about it.
func mattersOf(all []Labeled, isMatter func(string) bool) (clauses []string) {
	done := map[fhir.Ref]bool{} // orders with something done, results in a report
	for i := range all {
		for _, link := range all[i].links.all {
			if Fills(link.Element) && isMatter(all[i].res.Type()) || link.Element == "result" || link.Element == "hasMember" {
				done[link.To] = true
			}
		}
	}
	byRef := make(map[fhir.Ref]int, len(all))
	for i := range all {
		byRef[all[i].res.Ref()] = i
	}
	open := false
	clause := func(labels ...[]Label) {
		var names []string
		for _, ls := range labels {
			for _, l := range ls {
				if !l.Internal() && !slices.Contains(names, string(l)) {
					names = append(names, string(l))
				}
			}
		}
		if len(names) == 0 {
			open = true
			return
		}
		slices.Sort(names)
		if c := strings.Join(names, "+"); !slices.Contains(clauses, c) {
			clauses = append(clauses, c)
		}
	}
	for i := range all {
		typ := all[i].res.Type()
		if !isMatter(typ) || done[all[i].res.Ref()] && all[i].res.ID() != "" {
			continue
		}
		parts := 0
		for _, link := range all[i].links.all {
			if k, ok := byRef[link.To]; ok && (link.Element == "result" || link.Element == "hasMember") {
				parts++
				clause(all[i].labels, all[k].labels)
			}
		}
		if parts == 0 {
			clause(all[i].labels)
		}
	}
	if open {
		return nil
	}
	slices.Sort(clauses)
	// What is hidden with hiv is hidden with hiv or sti: the wider says nothing more.
	return slices.DeleteFunc(slices.Clone(clauses), func(c string) bool {
		return slices.ContainsFunc(clauses, func(d string) bool { return c != d && within(d, c) })
	})
}

// within tells whether each label of a is one of b.
func within(a, b string) bool {
	for name := range strings.SplitSeq(a, "+") {
		if !slices.Contains(strings.Split(b, "+"), name) {
			return false
		}
	}
	return true
}
