package label

import (
	"runtime"
	"slices"
	"strings"
	"sync"

	"firebreak/fhir"
)

// A label has two strengths. A resource's matter is what it is about: the code
// of an order, the name of a panel. Its other labels come from what it says: a
// note, a value, a conclusion. A matter is shared by everything done under it;
// a word in one result's note is no reason to withhold its neighbours. So an
// HIV order withholds its report, results and documents, while an HIV result
// in a chemistry panel withholds itself, and the policy mends the panel.

// matters are the elements, by name, in which a label is a resource's matter.
var matters = map[string]bool{
	"code": true, "category": true, "type": true, "orderDetail": true, "basedOn": true, "request": true, "authorizingPrescription": true, "specimen": true, "partOf": true, "focus": true,
	"medicationCodeableConcept": true, "medicationReference": true, "context": true,
}

// clinical types hold a patient's matters. A reference to one that is not there
// to be seen is removed, so its display needs no judging.
var clinical = set("Observation", "DiagnosticReport", "ServiceRequest", "DocumentReference", "Condition", "Procedure", "MedicationRequest", "MedicationStatement",
	"MedicationAdministration", "MedicationDispense", "Immunization", "AllergyIntolerance", "Appointment", "Communication", "CommunicationRequest", "Task", "Encounter",
	"CarePlan", "Goal", "ImagingStudy", "Media", "QuestionnaireResponse", "Composition", "Claim", "ChargeItem", "ExplanationOfBenefit", "FamilyMemberHistory", "Specimen", "Binary", "Medication")

// Clinical tells whether resources of that type are a patient's matters, and
// no mere names of people, places and things.
func Clinical(typ string) bool { return clinical[typ] }

// Fills tells whether a reference in that element leads from what was done to the
// order it was done for.
func Fills(element string) bool {
	return element == "basedOn" || element == "request" || element == "authorizingPrescription"
}

// actors are who and where; their names may tell what was done.
var actors = set("Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "CareTeam", "Device")

// reported are what a document is a part of, or was asked for with: it need not say all
// that they say. Of anything else that it documents it does.
var reported = set("ServiceRequest", "DiagnosticReport", "Encounter")

// messages speak about other resources, and may quote them. A list does not: the
// policy takes the item out.
var messages = set("Task", "Communication", "CommunicationRequest", "Claim", "ClaimResponse", "ExplanationOfBenefit", "MessageHeader", "DocumentManifest", "Flag", "DetectedIssue")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// flow says how labels run along a reference from holder to target.
type flow struct {
	down     bool // to the holder from the target
	up       bool // from the holder to the target
	all      bool // all labels, not only those of the matter
	matter   bool // what arrives is the receiver's matter too
	document bool // the receiver may be a file that cannot be read: "unclassified" runs as well
	rule     string
}

// flowOf is the flow along a reference of holder's element to target.
func flowOf(holder, element, target string) flow {
	switch {
	case target == "Patient" || target == "Encounter" || holder == "Provenance" || persons[holder], holder == "Group" && element == "member":
		return flow{}
	case target == "Binary":
		return flow{down: true, up: true, all: true, document: true, rule: "with its file"}
	case holder == "DiagnosticReport" && element == "result", element == "hasMember", holder == "DiagnosticReport" && (element == "media" || element == "imagingStudy"):
		return flow{up: true, matter: true, document: target == "Media", rule: "member of its panel"}
	case messages[holder] && clinical[target]:
		return flow{down: true, all: true, rule: "speaks about it"}
	case Fills(element) || element == "partOf" && clinical[target]:
		return flow{down: true, matter: true, document: holder == "DocumentReference" || holder == "Media", rule: "with its order"}
	case holder == "DocumentReference" && element == "context":
		if actors[target] {
			return flow{}
		}
		return flow{down: true, all: !reported[target], matter: true, document: true, rule: "with what it documents"}
	case holder == "Composition" && element == "event": // its details: what a section names, the policy takes out
		return flow{down: true, all: true, matter: true, document: true, rule: "says what its details say"}
	case element == "specimen" && target == "Specimen", element == "medicationReference":
		return flow{down: true, all: true, matter: true, rule: "with its specimen"}
	case element == "schedule", element == "slot":
		return flow{down: true, all: true, rule: "by whose time it is"}
	case element == "derivedFrom":
		return flow{down: true, all: true, rule: "derived from it"}
	case element == "focus":
		return flow{down: true, matter: true, rule: "with its focus"}
	case actors[target]:
		return flow{down: true, all: true, rule: "by its name"}
	}
	return flow{}
}

// node is a resource's labels while they run.
type node struct {
	l      *Labeled
	labels []Label // all
	matter []Label // some of them
	in     []edge  // where its labels run to
}

type edge struct {
	to      int
	flow    flow
	element string // of the receiver; "" when the receiver does not hold the reference
}

// Propagate settles a chart: it carries labels from each resource to those that
// depend on it (an order to its report, a panel to its results, a specimen to
// what was found in it), and remembers who points at whom. versions are all
// versions of all resources of one chart, merged records included; of one
// resource the current version comes first and the others follow it. The
// result is in the same order. The labels of an older version are carried to no
// other resource; those of the current one also go where an older one pointed: a
// result that a corrected panel no longer names was found by it all the same.
func Propagate(versions []Labeled) []Labeled {
	out := slices.Clone(versions)
	link(out)
	sensitive := false
	for i := range out {
		sensitive = sensitive || len(out[i].labels) > 0 && !out[i].labels[0].Internal() || len(out[i].labels) > 1
	}
	if sensitive {
		spread(out)
	}
	return out
}

// link finds what each points at, of a long chart on all processors.
func link(all []Labeled) {
	var parts sync.WaitGroup
	for part := range slices.Chunk(all, max(1000, len(all)/runtime.GOMAXPROCS(0)+1)) {
		parts.Go(func() {
			for i := range part {
				if part[i].links == nil {
					part[i].links = linksOf(part[i].res)
				}
			}
		})
	}
	parts.Wait()
	resolve(all)
}

func spread(all []Labeled) {
	type span struct{ from, to int }
	versions := make(map[fhir.Ref]span, len(all))
	for i := range all {
		ref := all[i].res.Ref()
		if s, ok := versions[ref]; ok && s.to == i {
			versions[ref] = span{s.from, i + 1}
		} else {
			versions[ref] = span{i, i + 1}
		}
	}
	nodes := make([]node, len(all))
	for i := range all {
		n := &nodes[i]
		n.l = &all[i]
		for _, l := range all[i].labels {
			if !l.Internal() {
				n.labels = append(n.labels, l)
			}
		}
		if len(n.labels) > 0 {
			n.matter = matterOf(&all[i], n.labels)
		}
	}
	for i := range all {
		ref := all[i].res.Ref()
		current := versions[ref].from == i
		for _, link := range all[i].links.all {
			to, ok := versions[link.To]
			if !ok || link.To == ref {
				continue
			}
			f := flowOf(ref.Type, link.Element, link.To.Type)
			if f.down { // only a current version gives
				nodes[to.from].in = append(nodes[to.from].in, edge{i, f, link.Element})
			}
			now := versions[ref].from // what was once reported under it is what it turned out to be about
			if f.up && (current || !slices.Contains(all[now].links.all, link)) {
				for k := to.from; k < to.to; k++ {
					nodes[now].in = append(nodes[now].in, edge{k, f, ""})
				}
			}
		}
	}
	var work []int
	for i := range nodes {
		if len(nodes[i].labels) > 0 && len(nodes[i].in) > 0 {
			work = append(work, i)
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, e := range nodes[i].in {
			give := nodes[i].matter
			if e.flow.all {
				give = nodes[i].labels
			}
			if nodes[e.to].take(give, e, nodes[i].l.res.Ref()) && len(nodes[e.to].in) > 0 {
				work = append(work, e.to)
			}
		}
	}
}

// take adds labels to n, and tells whether that changed anything.
func (n *node) take(labels []Label, e edge, from fhir.Ref) bool {
	changed := false
	for _, l := range labels {
		if l == Unclassified && !e.flow.document {
			continue
		}
		if e.flow.matter && !slices.Contains(n.matter, l) {
			n.matter = append(n.matter, l)
			changed = true
		}
		if slices.Contains(n.labels, l) {
			continue
		}
		changed = true
		n.labels = append(n.labels, l)
		place := n.l.res.Type()
		if e.element != "" {
			place += "." + e.element
		}
		n.l.labels = sorted(n.l.labels, l)
		n.l.reasons = append(slices.Clip(n.l.reasons), Reason{Label: l, Rule: e.flow.rule, Element: place, Evidence: from.String()})
	}
	return changed
}

// sorted is labels with l, sorted; the slice given is not changed.
func sorted(labels []Label, l Label) []Label {
	at, ok := slices.BinarySearch(labels, l)
	if ok {
		return labels
	}
	return slices.Insert(slices.Clip(slices.Clone(labels)), at, l)
}

// matterOf picks from labels those that are l's matter: given in an element
// that says what l is about, inherited from what it is part of, or for a
// reason that nobody kept.
func matterOf(l *Labeled, labels []Label) []Label {
	var out []Label
	for _, x := range labels {
		given := false
		for _, r := range l.reasons {
			if r.Label != x {
				continue
			}
			given = true
			_, element, _ := strings.Cut(top(r.Element), ".")
			if element == "" || matters[element] {
				out = append(out, x)
				break
			}
		}
		if !given {
			out = append(out, x)
		}
	}
	return out
}
