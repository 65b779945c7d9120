package mapping

import (
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// ppr maps PPR^PC1 to PC3, problems, PGL^PC6 to PC8, goals, and PPP^PCB to PCD,
// which hold both: a Condition for each PRB, a Goal for each GOL. A problem outlives
// the visit it was told in, which is therefore left out.
//
// Source: HL7 v2.9 12.3, 12.4; R4 condition-mappings.html and goal-mappings.html,
// v2. The guide has no maps for them.
func (b *build) ppr() error {
	if !b.msg.Segment("PRB").Exists() && !b.msg.Segment("GOL").Exists() {
		return &Error{Segment: "PRB", Reason: "no problem: the message has neither PRB nor GOL"}
	}
	all := b.msg.Segments()
	var problem *r4.Reference // under which a goal stands
	for i, s := range all {
		switch s.Name() {
		case "PRB":
			problem = b.problem(s, following(all[i+1:]))
		case "GOL":
			b.goal(s, following(all[i+1:]), problem)
		}
	}
	return nil
}

// following are the NTE that stand directly behind a segment.
func following(g hl7.Group) []hl7.Segment {
	for i, s := range g {
		if s.Name() != "NTE" {
			return g[:i]
		}
	}
	return g
}

// problem makes the Condition of a PRB and refers to it; nil when it names none.
//
// Its id is made of PRB-4, else of the problem and when it was established.
// PRB-13 and PRB-14 are user tables: FHIR's own words are read in them, and
// anything else stays beside an empty place. PRB-1 "DE" takes the problem back.
func (b *build) problem(prb hl7.Segment, notes []hl7.Segment) *r4.Reference {
	code := b.concept(first(prb.Field(3)), "")
	if code == nil {
		b.note(prb, 3, "no problem is named: the line was left out")
		return nil
	}
	key := entityKey(first(prb.Field(4)))
	if key == nil {
		key = append(conceptKey(first(prb.Field(3))), "established", value(prb.Field(7)))
	}
	id := b.id("Condition", append([]string{"problem"}, key...)...)
	ref := refer("Condition", id)
	if b.has("Condition", id) {
		b.note(prb, 3, "the same problem twice: the first is kept")
		return &ref
	}
	c := r4.Condition{
		Id: &id, Code: code, Subject: b.subject(), RecordedDate: b.dateTime(prb, 7), OnsetDateTime: b.dateTime(prb, 16),
		Category: append([]r4.CodeableConcept{*one(fixed("http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item", "Problem List Item"))}, b.concepts(prb.Field(10), "")...),
		Severity: b.concept(first(prb.Field(26)), ""), Meta: b.confidentiality(prb.Field(25)), Note: b.annotations(notes),
	}
	if n := b.entity(first(prb.Field(4)), ""); n != nil {
		c.Identifier = []r4.Identifier{*n}
	}
	if c.OnsetDateTime == nil {
		c.OnsetString = p(clean(prb.Field(17).Text()))
	}
	c.AbatementDateTime = b.dateTime(prb, 9)
	c.VerificationStatus = b.worded(first(prb.Field(13)), "http://terminology.hl7.org/CodeSystem/condition-ver-status", "unconfirmed", "provisional", "differential", "confirmed", "refuted")
	if strings.HasPrefix(value(prb.Field(1)), "D") {
		c.VerificationStatus = one(fixed("http://terminology.hl7.org/CodeSystem/condition-ver-status", "entered-in-error", "Entered in Error"))
	} else {
		c.ClinicalStatus = b.worded(first(prb.Field(14)), "http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "recurrence", "relapse", "inactive", "remission", "resolved")
		switch { // con-3 and con-4: a problem that has ended is not active, and one that is told has a status
		case c.AbatementDateTime != nil && (c.ClinicalStatus == nil || !ended(c.ClinicalStatus)):
			c.ClinicalStatus = one(fixed("http://terminology.hl7.org/CodeSystem/condition-clinical", "resolved", ""))
		case c.ClinicalStatus == nil:
			c.ClinicalStatus = one(fixed("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", ""))
		}
	}
	b.add(c)
	return &ref
}

func ended(c *r4.CodeableConcept) bool {
	switch *c.Coding[0].Code {
	case "inactive", "remission", "resolved":
		return true
	}
	return false
}

// worded reads a code or its words as one of FHIR's own, whatever their case;
// nil for anything else.
func (b *build) worded(cwe data, system string, codes ...string) *r4.CodeableConcept {
	for _, said := range [...]string{cwe.at(1), cwe.at(2)} {
		for _, code := range codes {
			if strings.EqualFold(said, code) {
				return one(fixed(system, code, ""))
			}
		}
	}
	return nil
}

// goal makes the Goal of a GOL. Its status is what GOL-18 says in FHIR's words,
// cancelled where GOL-1 deletes it, and active else.
func (b *build) goal(gol hl7.Segment, notes []hl7.Segment, addresses *r4.Reference) {
	what := b.concept(first(gol.Field(3)), "")
	if what == nil {
		b.note(gol, 3, "no goal is named: the line was left out")
		return
	}
	key := entityKey(first(gol.Field(4)))
	if key == nil {
		key = append(conceptKey(first(gol.Field(3))), "established", value(gol.Field(7)))
	}
	id := b.id("Goal", key...)
	if b.has("Goal", id) {
		b.note(gol, 3, "the same goal twice: the first is kept")
		return
	}
	g := r4.Goal{Id: &id, Description: *what, Subject: b.subject(), StartDate: b.date(gol, 7), Category: b.concepts(gol.Field(9), ""), StatusDate: b.date(gol, 19), Note: b.annotations(notes)}
	if n := b.entity(first(gol.Field(4)), ""); n != nil {
		g.Identifier = []r4.Identifier{*n}
	}
	if addresses != nil {
		g.Addresses = []r4.Reference{*addresses}
	}
	if due := b.date(gol, 8); due != nil {
		g.Target = []r4.GoalTarget{{DueDate: due}}
	}
	status := "active"
	for _, said := range [...]string{first(gol.Field(18)).at(1), first(gol.Field(18)).at(2)} {
		switch s := strings.ToLower(said); s {
		case "proposed", "planned", "accepted", "active", "on-hold", "completed", "cancelled", "entered-in-error", "rejected":
			status = s
		}
	}
	if strings.HasPrefix(value(gol.Field(1)), "D") {
		status = "cancelled"
	}
	b.add(g, fhir.Set{Path: "lifecycleStatus", Value: status})
}
