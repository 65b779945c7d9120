package clinical

import (
	"cmp"
	"strconv"
	"strings"

	"firebreak/fhir"
)

// Value is a result as sent. Text is what is shown; Number is for drawing only.
type Value struct {
	Text    string // with its comparator: "<5", "6.20", "Negative", "60~120"
	Unit    string // as sent
	Number  float64
	Compare string // "<", "<=", ">", ">=", empty for the number itself
	Numeric bool   // Number holds
	Absent  bool   // no value was sent; Text says why, if the source did
}

// Exact tells whether the value is a number, not a bound.
func (v Value) Exact() bool { return v.Numeric && v.Compare == "" }

// readValue takes value[x], or the reason why there is none.
func readValue(n valueNodes, say Words) Value {
	switch n.kind {
	case "valueQuantity":
		return quantity(n.value)
	case "valueString", "valueInteger", "valueTime":
		return written(n.value.Text())
	case "valueDateTime":
		t := ParseTime(n.value.Text())
		return Value{Text: strings.TrimSpace(t.Date() + " " + t.Clock() + " " + t.Zone(nil))}
	case "valueBoolean":
		if n.value.Is("true") {
			return Value{Text: say("value.yes")}
		}
		return Value{Text: say("value.no")}
	case "valueCodeableConcept":
		return Value{Text: concept(n.value).Name()}
	case "valueRange":
		low, high := quantity(n.value.Get("low")), quantity(n.value.Get("high"))
		return Value{Text: low.Text + "–" + high.Text, Unit: cmp.Or(high.Unit, low.Unit)}
	case "valueRatio":
		a, b := quantity(n.value.Get("numerator")), quantity(n.value.Get("denominator"))
		text := a.Text + ":" + b.Text
		if a.Unit != "" || b.Unit != "" {
			text = strings.TrimSpace(a.Text+" "+a.Unit) + " / " + strings.TrimSpace(b.Text+" "+b.Unit)
		}
		return Value{Text: text}
	case "valuePeriod":
		s := span(n.value)
		return Value{Text: say("value.period", s.Start.Date(), s.End.Date())}
	case "valueSampledData":
		return Value{Text: say("value.waveform", len(strings.Fields(n.value.Get("data").Text())))}
	}
	if why := concept(n.absent).Name(); why != "" {
		return Value{Text: why, Absent: true}
	}
	return Value{Absent: true}
}

// valueNodes are the elements that may hold a result's value.
type valueNodes struct {
	kind   string // "valueQuantity"
	value  fhir.Node
	absent fhir.Node // dataAbsentReason
}

// quantity keeps the digits as they stand in the resource.
func quantity(n fhir.Node) Value {
	var v Value
	var code string
	for name, m := range n.Members() {
		switch name {
		case "value":
			v.Text = m.Text()
		case "comparator":
			v.Compare = m.Text()
		case "unit":
			v.Unit = m.Text()
		case "code":
			code = m.Text()
		}
	}
	if v.Unit == "" && code != "1" {
		v.Unit = code
	}
	if f, err := strconv.ParseFloat(v.Text, 64); err == nil {
		v.Number, v.Numeric = f, true
	}
	v.Text = v.Compare + v.Text
	return v
}

// written reads a result that came as text. "<5" and "5.0" can be drawn; how
// they are shown stays as sent.
func written(s string) Value {
	v := Value{Text: s}
	rest := strings.TrimSpace(s)
	for _, c := range []string{"<=", ">=", "<", ">"} {
		if r, ok := strings.CutPrefix(rest, c); ok {
			v.Compare, rest = c, strings.TrimSpace(r)
			break
		}
	}
	if plainNumber(rest) {
		v.Number, _ = strconv.ParseFloat(rest, 64)
		v.Numeric = true
	} else {
		v.Compare = ""
	}
	return v
}

// plainNumber keeps dates, hexadecimal and infinities from passing as results.
func plainNumber(s string) bool {
	digits, dots := 0, 0
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		case (c == '-' || c == '+') && i == 0:
		default:
			return false
		}
	}
	return digits > 0 && digits <= 15 && dots <= 1
}

// Range is a reference range as it was given with one result.
type Range struct {
	Text            string // as shown: "3.5–5.0", "< 5", or the source's words
	Low, High       float64
	HasLow, HasHigh bool
}

// readRanges takes the ranges of a result: the normal one first, which is the
// band of a chart, then others with their kind before them.
func readRanges(n fhir.Node) []Range {
	var all []Range
	for item := range n.Items() {
		var low, high Value
		var kind Concept
		var text, who string
		for name, v := range item.Members() {
			switch name {
			case "low":
				low = quantity(v)
			case "high":
				high = quantity(v)
			case "text":
				text = v.Text()
			case "type":
				kind = concept(v)
			case "appliesTo":
				who = names(concepts(v))
			}
		}
		r := Range{Low: low.Number, High: high.Number, HasLow: low.Numeric, HasHigh: high.Numeric}
		switch {
		case text != "":
			r.Text = text
		case low.Numeric && high.Numeric:
			r.Text = low.Text + "–" + high.Text
		case low.Numeric:
			r.Text = "≥ " + low.Text
		case high.Numeric:
			r.Text = "≤ " + high.Text
		default:
			continue
		}
		if !r.HasLow && !r.HasHigh {
			r.parse()
		}
		normal := kind.IsZero() || kind.First() == "normal"
		if !normal {
			r.Text = kind.Name() + " " + r.Text
			r.HasLow, r.HasHigh = false, false
		}
		if who != "" {
			r.Text += " (" + who + ")"
		}
		if normal && len(all) > 0 && !all[0].HasLow && !all[0].HasHigh {
			all = append([]Range{r}, all...)
		} else {
			all = append(all, r)
		}
	}
	return all
}

// parse reads a range that came as text only: "49 - 92", "<5.0", ">= 60".
func (r *Range) parse() {
	if v := written(r.Text); v.Numeric {
		switch v.Compare {
		case "<", "<=":
			r.High, r.HasHigh = v.Number, true
		case ">", ">=":
			r.Low, r.HasLow = v.Number, true
		}
		return
	}
	for i, c := range r.Text {
		if (c != '-' && c != '–') || i == 0 {
			continue
		}
		a, b := strings.TrimSpace(r.Text[:i]), strings.TrimSpace(r.Text[i+len(string(c)):])
		if plainNumber(a) && plainNumber(b) {
			r.Low, _ = strconv.ParseFloat(a, 64)
			r.High, _ = strconv.ParseFloat(b, 64)
			if r.Low <= r.High {
				r.HasLow, r.HasHigh = true, true
			}
			return
		}
	}
}

// sameUnit is the spelling under which units are joined on one axis. Case
// matters in UCUM ("mol" and "MOL" differ to a machine), but litre may be
// written either way there; nothing else is taken for the same.
//
// Source: UCUM section 4.2, litre "l" and "L".
func sameUnit(u string) string {
	u = strings.TrimSpace(u)
	for _, small := range []string{"/l", "/dl", "/ml", "/ul", "/fl", "/pl"} {
		if s, ok := strings.CutSuffix(u, small); ok {
			return s + small[:len(small)-1] + "L"
		}
	}
	return u
}
