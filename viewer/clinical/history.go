package clinical

import (
	"cmp"
	"slices"
	"strings"
)

// Allergy is an AllergyIntolerance.
type Allergy struct {
	Origin
	Name      string
	Reactions string
	Severity  string // "high" criticality or "severe" reaction, as sent
	Since     Time
	Status    string // clinical status: active, inactive, resolved
	Certainty string // verification status: confirmed, unconfirmed, ...
}

// Holds tells whether the allergy is to be reckoned with.
func (a Allergy) Holds() bool {
	return a.Status != "inactive" && a.Status != "resolved" && a.Certainty != "refuted" && a.Certainty != "entered-in-error"
}

// Problem is a Condition.
type Problem struct {
	Origin
	Name      string
	Code      string
	Status    string // clinical status
	Certainty string
	Onset     Time
	Ended     Time
	Noted     Time
}

// Active tells whether the problem stands, as far as is known.
func (p Problem) Active() bool {
	switch p.Status {
	case "inactive", "remission", "resolved":
		return false
	}
	return p.Ended.IsZero() && p.Certainty != "refuted" && p.Certainty != "entered-in-error"
}

// Medicine is a prescription, or a statement that something is taken.
type Medicine struct {
	Origin
	Name   string
	Dose   string
	Status Status
	When   Time
	By     string
	Reason string
	Taken  bool // a statement or administration, not a prescription
}

// Current tells whether the medicine is in use, as far as is known.
func (m Medicine) Current() bool { return m.Status == "active" || m.Status == "intended" }

// Vaccine is an Immunization.
type Vaccine struct {
	Origin
	Name   string
	Status Status
	When   Time
	Lot    string
	Dose   string
}

// Procedure is a Procedure.
type Procedure struct {
	Origin
	Name   string
	Status Status
	When   Time
	By     string
}

func (c *Chart) readHistory() {
	c.readAllergies()
	for _, x := range c.src.Of("Condition") {
		r := x.Content()
		code := concept(r.Get("code"))
		p := Problem{
			Origin: originOf(x), Name: code.Name(), Code: shownCode(code),
			Status: concept(r.Get("clinicalStatus")).First(), Certainty: concept(r.Get("verificationStatus")).First(),
			Onset: anyTime(r, "onsetDateTime", "onsetPeriod"), Ended: anyTime(r, "abatementDateTime", "abatementPeriod"),
			Noted: ParseTime(r.Get("recordedDate").Text()),
		}
		if p.Certainty == "entered-in-error" || p.Name == "" {
			continue
		}
		c.Problems = append(c.Problems, p)
	}
	slices.SortStableFunc(c.Problems, func(a, b Problem) int {
		return cmp.Or(active(b.Active())-active(a.Active()), newer(a.Since(), b.Since()), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Ref.ID, b.Ref.ID))
	})
	c.readMedicines()
	for _, x := range c.src.Of("Immunization") {
		r := x.Content()
		c.Vaccines = append(c.Vaccines, Vaccine{
			Origin: originOf(x), Name: concept(r.Get("vaccineCode")).Name(), Status: Status(r.Get("status").Text()),
			When: ParseTime(r.Get("occurrenceDateTime").Text()), Lot: r.Get("lotNumber").Text(),
			Dose: r.Root().At("protocolApplied.doseNumberPositiveInt").Text(),
		})
	}
	slices.SortStableFunc(c.Vaccines, func(a, b Vaccine) int { return cmp.Or(newer(a.When, b.When), cmp.Compare(a.Name, b.Name)) })
	for _, x := range c.src.Of("Procedure") {
		r := x.Content()
		p := Procedure{
			Origin: originOf(x), Name: concept(r.Get("code")).Name(), Status: Status(r.Get("status").Text()),
			When: anyTime(r, "performedDateTime", "performedPeriod"),
		}
		var who []string
		for item := range r.Get("performer").Items() {
			if n := c.called(item.Get("actor")); n != "" {
				who = append(who, n)
			}
		}
		p.By = strings.Join(who, ", ")
		c.Procedures = append(c.Procedures, p)
	}
	slices.SortStableFunc(c.Procedures, func(a, b Procedure) int { return cmp.Or(newer(a.When, b.When), cmp.Compare(a.Name, b.Name)) })
}

func active(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Since is when the problem began, or else was noted.
func (p Problem) Since() Time {
	if p.Onset.IsZero() {
		return p.Noted
	}
	return p.Onset
}

func (c *Chart) readAllergies() {
	for _, x := range c.src.Of("AllergyIntolerance") {
		r := x.Content()
		a := Allergy{
			Origin: originOf(x), Name: concept(r.Get("code")).Name(), Status: concept(r.Get("clinicalStatus")).First(),
			Certainty: concept(r.Get("verificationStatus")).First(), Since: anyTime(r, "onsetDateTime", "recordedDate"),
		}
		var reactions []string
		for item := range r.Get("reaction").Items() {
			if a.Name == "" {
				a.Name = concept(item.Get("substance")).Name()
			}
			if m := names(concepts(item.Get("manifestation"))); m != "" && !containsFold(reactions, m) {
				reactions = append(reactions, m)
			}
			if item.Get("severity").Is("severe") {
				a.Severity = c.say("allergy.severe")
			}
		}
		if r.Get("criticality").Is("high") {
			a.Severity = cmp.Or(a.Severity, c.say("allergy.high-risk"))
		}
		a.Reactions = strings.Join(reactions, ", ")
		if a.Certainty != "entered-in-error" && a.Name != "" {
			c.Allergies = append(c.Allergies, a)
		}
	}
	slices.SortStableFunc(c.Allergies, func(a, b Allergy) int {
		return cmp.Or(active(b.Holds())-active(a.Holds()), active(b.Severity != "")-active(a.Severity != ""), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Ref.ID, b.Ref.ID))
	})
}

func (c *Chart) readMedicines() {
	for _, typ := range []string{"MedicationRequest", "MedicationStatement", "MedicationAdministration", "MedicationDispense"} {
		for _, x := range c.src.Of(typ) {
			r := x.Content()
			m := Medicine{
				Origin: originOf(x), Name: concept(r.Get("medicationCodeableConcept")).Name(), Status: Status(r.Get("status").Text()),
				When:   anyTime(r, "authoredOn", "effectiveDateTime", "effectivePeriod", "whenHandedOver", "dateAsserted"),
				Reason: names(concepts(r.Get("reasonCode"))), Taken: typ != "MedicationRequest",
			}
			if m.Name == "" {
				m.Name = c.called(r.Get("medicationReference"))
			}
			if m.Status.Withdrawn() || m.Name == "" {
				continue
			}
			m.By = cmp.Or(c.called(r.Get("requester")), c.called(r.Get("informationSource")))
			for _, e := range []string{"dosageInstruction", "dosage"} {
				for d := range r.Get(e).Items() {
					if t := d.Get("text").Text(); t != "" {
						m.Dose = strings.TrimPrefix(m.Dose+"; "+t, "; ")
					}
				}
			}
			c.Medicines = append(c.Medicines, m)
		}
	}
	slices.SortStableFunc(c.Medicines, func(a, b Medicine) int {
		return cmp.Or(active(b.Current())-active(a.Current()), newer(a.When, b.When), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Ref.ID, b.Ref.ID))
	})
}
