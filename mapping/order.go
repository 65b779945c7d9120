package mapping

import (
	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// order is one order group of a message: ORC, OBR and what belongs to them.
type order struct {
	orc, obr  hl7.Segment
	drugs     []rx          // RXO, RXE, RXD, RXA
	timing    hl7.Segment   // TQ1
	notes     []hl7.Segment // NTE on the order
	diagnoses []hl7.Segment // DG1
	results   []result
	specimens []specimen
	shares    shares // PRT behind ORC and OBR

	key          []string        // what its report and results are called by
	requestID    string          // of the ServiceRequest made of it; empty for none
	specimenOf   []*r4.Reference // as specimens
	specimenRefs []r4.Reference
}

// result is an OBX, or the OBX that are lines of one text, with their notes.
type result struct {
	lines    []hl7.Segment
	notes    []hl7.Segment
	shares   shares
	specimen int // index of the SPM it stands under, -1 for none
}

type specimen struct {
	spm   hl7.Segment
	notes []hl7.Segment
}

// group sorts the segments of one order group, or of those before the first.
func group(g hl7.Group) *order {
	o := &order{}
	notes, whose := &o.notes, &o.shares
	for _, s := range g {
		switch s.Name() {
		case "ORC", "OBR", "PRT", "NTE", "TQ1", "TQ2", "CTD", "OBX":
		default:
			whose = nil
		}
		switch s.Name() {
		case "ORC":
			o.orc, notes, whose = s, &o.notes, &o.shares
		case "OBR":
			o.obr, notes, whose = s, &o.notes, &o.shares
		case "RXO", "RXE", "RXD", "RXA":
			o.drugs = append(o.drugs, rx{seg: s})
			notes = &o.drugs[len(o.drugs)-1].notes
		case "RXR", "RXC":
			if n := len(o.drugs); n > 0 {
				into := &o.drugs[n-1].routes
				if s.Name() == "RXC" {
					into = &o.drugs[n-1].things
				}
				*into = append(*into, s)
			}
		case "TQ1":
			if n := len(o.drugs); n > 0 && !o.drugs[n-1].timing.Exists() {
				o.drugs[n-1].timing = s
			} else if !o.timing.Exists() {
				o.timing = s
			}
		case "DG1":
			o.diagnoses = append(o.diagnoses, s)
		case "SPM":
			o.specimens = append(o.specimens, specimen{spm: s})
			notes = &o.specimens[len(o.specimens)-1].notes
		case "OBX":
			if n := len(o.results); n > 0 && continues(o.results[n-1], s, len(o.specimens)-1) {
				o.results[n-1].lines = append(o.results[n-1].lines, s)
			} else {
				o.results = append(o.results, result{lines: []hl7.Segment{s}, specimen: len(o.specimens) - 1})
			}
			notes, whose = &o.results[len(o.results)-1].notes, &o.results[len(o.results)-1].shares
		case "NTE":
			*notes = append(*notes, s)
		case "PRT":
			if whose != nil {
				*whose = whose.with(s)
			}
		case "TQ2", "CTD": // more about what stands before them
		default:
			notes = new([]hl7.Segment) // on something that is no part of an order
		}
	}
	return o
}

// continues tells whether obx is a further line of the text that r is: prose
// under the same code, sub-id and status.
func continues(r result, obx hl7.Segment, specimen int) bool {
	last := r.lines[len(r.lines)-1]
	if r.specimen != specimen || !isText(value(last.Field(2))) || !isText(value(obx.Field(2))) {
		return false
	}
	for _, f := range [...]int{3, 4, 11} {
		if last.Field(f).Raw() != obx.Field(f).Raw() {
			return false
		}
	}
	return obx.Field(3).Present()
}

// placer and filler are the order's numbers, as its OBR says them or its ORC.
func (o *order) placer() data { return firstOf(2, o.obr, o.orc) }
func (o *order) filler() data { return firstOf(3, o.obr, o.orc) }

func firstOf(field int, segs ...hl7.Segment) data {
	for _, s := range segs {
		for _, ei := range each(s.Field(field)) {
			if ei.at(1) != "" {
				return ei
			}
		}
	}
	return data{}
}

// firstKey is the first of two numbers that was sent, with its kind; nil for none.
func firstKey(kind1 string, ei1 data, kind2 string, ei2 data) []string {
	if k := entityKey(ei1); k != nil {
		return append([]string{kind1}, k...)
	}
	if k := entityKey(ei2); k != nil {
		return append([]string{kind2}, k...)
	}
	return nil
}

// requestKey is what the order itself is called by: the placer's number, which
// an order has before anyone fills it, and the service, for some placers number
// the specimen or the visit and not the order: orders that share a number must
// not share what is withheld. Without any number an order is its message's own.
//
// A message may end an order by its number alone (ORC without OBR). That is a
// resource with the same identifier: it cannot be told which one is meant.
func (b *build) requestKey(o *order) []string {
	return b.numberedKey(o, firstKey("placer", o.placer(), "filler", o.filler()))
}

// reportKey is what a report is called by, the same from preliminary to
// corrected: the filler's number, else the placer's, and the service.
func (b *build) reportKey(o *order) []string {
	return b.numberedKey(o, firstKey("filler", o.filler(), "placer", o.placer()))
}

func (b *build) numberedKey(o *order, number []string) []string {
	if number == nil {
		return b.ownKey(o)
	}
	if service := first(o.obr.Field(4)); textOf(service) != "" {
		number = append(number, conceptKey(service)...)
	}
	return number
}

// ownKey calls an order without a number by its message: nothing may lie over
// another on a guess that both are one. It holds nothing of what else the
// message says.
func (b *build) ownKey(o *order) []string {
	msh := b.msg.Segment("MSH")
	k := []string{"message", value(msh.Field(10)), value(msh.Field(7)), value(o.obr.Field(7))}
	return append(k, conceptKey(first(o.obr.Field(4)))...)
}

// conceptKey is what a CWE is called by: code and system, else its words.
func conceptKey(cwe data) []string {
	for _, part := range [...][2]int{{1, 3}, {4, 6}} {
		if code := cwe.at(part[0]); code != "" {
			return []string{code, cwe.at(part[1])}
		}
	}
	return []string{textOf(cwe), ""}
}
