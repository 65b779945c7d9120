package mapping

import (
	"strings"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// observed is one value of an OBX-5: at most one of the first eight, or
// documents.
type observed struct {
	quantity *r4.Quantity
	concept  *r4.CodeableConcept
	text     *string
	interval *r4.Range
	ratio    *r4.Ratio
	dateTime *string
	time     *string
	period   *r4.Period
	docs     []attached
}

func (v observed) into(o *r4.Observation) {
	o.ValueQuantity, o.ValueCodeableConcept, o.ValueString = v.quantity, v.concept, v.text
	o.ValueRange, o.ValueRatio, o.ValueDateTime, o.ValueTime, o.ValuePeriod = v.interval, v.ratio, v.dateTime, v.time, v.period
}

func (v observed) component(code r4.CodeableConcept) r4.ObservationComponent {
	return r4.ObservationComponent{
		Code: code, ValueQuantity: v.quantity, ValueCodeableConcept: v.concept, ValueString: v.text,
		ValueRange: v.interval, ValueRatio: v.ratio, ValueDateTime: v.dateTime, ValueTime: v.time, ValuePeriod: v.period,
	}
}

func (v observed) empty() bool {
	return v.quantity == nil && v.concept == nil && v.text == nil && v.interval == nil && v.ratio == nil &&
		v.dateTime == nil && v.time == nil && v.period == nil && len(v.docs) == 0
}

// isText tells whether an OBX-2 says that OBX-5 is prose: its repetitions, and
// OBX that follow under the same code, are lines.
func isText(typ string) bool { return typ == "TX" || typ == "FT" || typ == "TXT" }

// values reads what the OBX of one observation say: one OBX, or the lines of
// one text.
//
// There is one value for a repetition of OBX-5, which is a component of the
// Observation where there are several. Prose is one value. Whatever does not
// fit the type that OBX-2 declares is kept as the string that was sent, its
// delimiters too.
//
// Source: v2-to-FHIR, OBX[Observation] and OBX[Observation-Component], row OBX-5.
func (b *build) values(lines []hl7.Segment) []observed {
	obx := lines[0]
	typ := strings.ToUpper(value(obx.Field(2)))
	if isText(typ) || len(lines) > 1 {
		return written(prose(lines))
	}
	var all []observed
	units := first(obx.Field(6))
	for _, rep := range each(obx.Field(5)) {
		if v := b.observed(typ, rep.rep, units); !v.empty() {
			all = append(all, v)
		}
	}
	if typ == "ST" && len(all) > 1 { // lines of a text too
		return written(prose(lines))
	}
	return all
}

// written is a text as a value, or the document it is: RTF, or an encoded PDF,
// that was sent as plain text.
func written(s string) []observed {
	if s == "" {
		return nil
	}
	if sniff([]byte(s)) != "" {
		return []observed{{docs: []attached{content([]byte(s), "")}}}
	}
	if b, ok := encoded(s); ok {
		return []observed{{docs: []attached{content(b, "")}}}
	}
	return []observed{{text: &s}}
}

// prose joins lines: each repetition of OBX-5 in each segment.
func prose(lines []hl7.Segment) string {
	var all []string
	for _, obx := range lines {
		f := obx.Field(5)
		if f.Null() {
			continue
		}
		for rep := range f.Reps() {
			all = append(all, verbatim(rep))
		}
		if f.Empty() {
			all = append(all, "")
		}
	}
	return unpad(strings.Join(all, "\n"))
}

// verbatim is the text of a repetition as sent, escapes read, blanks at the
// beginning of lines kept: reports are laid out with them.
func verbatim(r hl7.Repetition) string { return tidy(r.Text()) }

// tidy removes what a FHIR string cannot hold, and blanks before line ends.
func tidy(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r < ' ' && r != '\n' && r != '\t' || r == 0x7f:
			return -1
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
	if !strings.Contains(s, "\n") {
		return strings.TrimRight(s, " \t")
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return strings.Join(lines, "\n")
}

// unpad removes blank lines around a text.
func unpad(s string) string {
	s = strings.TrimRight(s, " \t\n")
	for {
		line, rest, more := strings.Cut(s, "\n")
		if !more || strings.TrimSpace(line) != "" {
			return s
		}
		s = rest
	}
}

// observed reads one repetition of OBX-5 as the type of OBX-2.
func (b *build) observed(typ string, rep hl7.Repetition, units data) observed {
	d := of(rep)
	switch typ {
	case "NM", "NUM":
		if q := b.quantity(rep.Text(), units); q != nil {
			return observed{quantity: q}
		}
	case "SN":
		return b.structured(rep, units)
	case "CE", "CWE", "CNE", "CF", "IS":
		if c := b.concept(d, ""); c != nil {
			return observed{concept: c}
		}
	case "DT", "TS", "DTM":
		if t := b.when(d.at(1)); t != nil {
			return observed{dateTime: t}
		}
	case "TM":
		if t := timeOfDay(d.at(1)); t != "" {
			return observed{time: &t}
		}
	case "DR":
		if period := b.rangeOf(d); period != nil && wasRead(d.at(1), period.Start) && wasRead(d.at(2), period.End) {
			return observed{period: period}
		}
	case "NR":
		low, high := b.bound(d.at(1), units), b.bound(d.at(2), units)
		if (low != nil || d.at(1) == "") && (high != nil || d.at(2) == "") && (low != nil || high != nil) && !reversed(low, high) {
			return observed{interval: &r4.Range{Low: low, High: high}}
		}
	case "VR":
		s := d.at(1) + "-" + d.at(2)
		return observed{text: &s}
	case "ED":
		if a := encapsulated(d.at(2), d.at(3), d.at(4), b.from(rep, 5)); !a.isZero() {
			return observed{docs: []attached{a}}
		}
		if mime := mediaType(d.at(2), d.at(3)); mime != "" && !rep.Component(5).Present() { // announced, not sent
			return observed{docs: []attached{{mime: mime}}}
		}
	case "RP":
		if a := pointer(d); !a.isZero() {
			return observed{docs: []attached{a}}
		}
	case "":
		// A type that was left out, told by what cannot be anything else: the
		// five parts of an ED with a format that is known, or a number with a unit.
		if rep.Components() >= 5 && mediaType(d.at(2), d.at(3)) != "" {
			if a := encapsulated(d.at(2), d.at(3), d.at(4), b.from(rep, 5)); !a.isZero() {
				return observed{docs: []attached{a}}
			}
		}
		if _, _, ok := number(rep.Text()); ok && units.present() {
			return observed{quantity: b.quantity(rep.Text(), units)}
		}
	}
	all := written(unpad(verbatim(rep)))
	if all == nil {
		return observed{}
	}
	if all[0].text != nil {
		all[0].text = p(withUnit(*all[0].text, units))
	}
	return all[0]
}

// from is the text of a repetition from component n on: the last part of an ED
// is long and its sender may not have escaped all of it.
func (b *build) from(rep hl7.Repetition, n int) string {
	s := rep.Component(n).Text()
	for n++; n <= rep.Components(); n++ {
		s += string(rune(b.msg.Delimiters().Component)) + rep.Component(n).Text()
	}
	return s
}

// wasRead tells whether what was sent was understood.
func wasRead(sent string, read *string) bool { return sent == "" || read != nil }

// withUnit puts OBX-6 behind a value that has no place of its own for it, as
// the guide does for an SN that is no quantity.
func withUnit(s string, units data) string {
	unit := units.at(2)
	if unit == "" {
		unit = units.at(1)
	}
	if s == "" || unit == "" || strings.Contains(s, "\n") {
		return s
	}
	return s + " " + unit
}

// quantity reads a number, or a comparator and a number ("<5"), which is no NM
// and yet can mean nothing else. nil for anything else.
//
// Source: v2-to-FHIR, NM[Quantity], CWE[Quantity].
func (b *build) quantity(s string, units data) *r4.Quantity {
	q := &r4.Quantity{}
	n, same, ok := number(s)
	if !ok {
		var sign string
		if sign, n, same, ok = compared(s); !ok {
			return nil
		}
		q.Comparator = comparator(sign)
	}
	q.Value = &n
	if !same {
		q.Extension = stringExtension("originalText", clean(s))
	}
	b.unit(q, units)
	return q
}

// bound is a number with a unit, nil when s is none.
func (b *build) bound(s string, units data) *r4.Quantity {
	if _, _, ok := number(s); !ok {
		return nil
	}
	return b.quantity(s, units)
}

func comparator(sign string) *r4.QuantityComparator {
	var c r4.QuantityComparator
	if c.UnmarshalJSON([]byte(`"`+sign+`"`)) != nil {
		return nil
	}
	return &c
}

// unit gives q the unit of OBX-6: its words, or its code where it has none, and
// code and system only where the source names the system, so that nothing is
// called UCUM that its sender did not call so.
//
// Source: v2-to-FHIR, CWE[Quantity].
func (b *build) unit(q *r4.Quantity, units data) {
	sent, words, system := units.at(1), units.at(2), units.at(3)
	if words == "" {
		words = sent
	}
	q.Unit = p(words)
	if sent != "" && system != "" && isCode(sent) {
		q.Code, q.System = &sent, p(b.feed.coding(system, units.at(14)))
	}
}

// structured reads an SN.
//
// Source: v2-to-FHIR, SN[Quantity], SN[Range], SN[Ratio], OBX[Observation].
func (b *build) structured(rep hl7.Repetition, units data) observed {
	d := of(rep)
	sent := strings.Join(some(d.at(1), d.at(2), d.at(3), d.at(4)), " ")
	asText := observed{text: p(withUnit(sent, units))}
	sn, err := rep.Structured()
	if err != nil || sn.Comparator == "<>" || sn.Separator == "+" || sn.Separator == "." {
		return asText
	}
	quantity := func(n hl7.Number, text string) *r4.Quantity {
		if n == "" {
			return nil
		}
		return b.quantity(text, units)
	}
	low, high := quantity(sn.Num1, d.at(2)), quantity(sn.Num2, d.at(4))
	if low == nil && d.at(2) == "" && sn.Num1 != "" { // it stands in the comparator's place
		low = quantity(sn.Num1, d.at(1))
	}
	sign := comparator(sn.Comparator)
	switch {
	case sn.Separator == "-":
		if sign != nil || reversed(low, high) {
			return asText
		}
		return observed{interval: &r4.Range{Low: low, High: high}}
	case sn.Separator == ":" || sn.Separator == "/":
		if low == nil || high == nil {
			return asText
		}
		low.Comparator = sign
		return observed{ratio: &r4.Ratio{Numerator: low, Denominator: high}}
	case low == nil || high != nil:
		return asText
	}
	low.Comparator = sign
	return observed{quantity: low}
}

// timeOfDay reads a TM as a FHIR time, which has seconds and no offset; empty
// when it was sent otherwise.
func timeOfDay(s string) string {
	c, reason := hl7.ParseClock(s)
	if reason != "" || c.Precision() < hl7.Second || strings.ContainsAny(s, "+-") {
		return ""
	}
	return c.Time()
}
