package mapping

import (
	"encoding/json"
	"strings"
	"time"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// units of time as FHIR writes them: UCUM's, ISO+'s and their words.
var timeUnits = map[string]string{
	"s": "s", "sec": "s", "second": "s", "seconds": "s", "min": "min", "m": "min", "minute": "min", "minutes": "min",
	"h": "h", "hr": "h", "hour": "h", "hours": "h", "d": "d", "day": "d", "days": "d", "wk": "wk", "w": "wk", "week": "wk", "weeks": "wk",
	"mo": "mo", "l": "mo", "month": "mo", "months": "mo", "a": "a", "ann": "a", "yr": "a", "year": "a", "years": "a",
}

var lengths = map[string]time.Duration{"s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "wk": 7 * 24 * time.Hour}

// span is a CQ of time: a number and a unit that can be told.
type span struct {
	n    json.Number
	unit string
}

func (b *build) spanOf(cq data) (span, bool) {
	n, _, ok := number(cq.at(1))
	units := cq.in(2)
	unit := timeUnits[strings.ToLower(units.at(1))]
	if unit == "" {
		unit = timeUnits[strings.ToLower(units.at(2))]
	}
	return span{n, unit}, ok && unit != "" && n != "0" && !strings.HasPrefix(string(n), "-")
}

// whole is the span in whole units of u, such as minutes.
func (s span) whole(u time.Duration) (int, bool) {
	each, known := lengths[s.unit]
	n, _, ok := number32(string(s.n))
	return int(time.Duration(n) * each / u), ok && known && n > 0
}

// timing is when an order is to be carried out: the first TQ1, or the old TQ of
// ORC-7 and OBR-27; nil when neither says it.
//
// Table 0335's codes stay codes; the explicit times and days beside them are
// said where FHIR has a place. What cannot be told from a number and a unit is
// left out.
//
// Source: v2-to-FHIR, TQ1[ServiceRequest], TQ1[MedicationRequest], RPT[Timing],
// TQ[ServiceRequest]; TQ1-14 is a count, for FHIR has countMax only beside one.
func (l *lab) timing(tq1 hl7.Segment, old ...data) *r4.Timing {
	t, r := &r4.Timing{}, &r4.TimingRepeat{}
	rpt := first(tq1.Field(3))
	t.Code = l.concept(rpt.in(1), "RepeatPattern")
	if rpt.at(2) == "DW" {
		for _, part := range [...]int{3, 4} {
			var day r4.DaysOfWeek
			if n, _, ok := number32(rpt.at(part)); ok && 1 <= n && n <= 7 && fhirCode("", [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}[n-1], &day) {
				r.DayOfWeek = append(r.DayOfWeek, day)
			}
		}
	}
	if n, _, ok := number(rpt.at(5)); ok && timeUnits[strings.ToLower(rpt.in(6).at(1))] != "" {
		r.Period, r.PeriodUnit = &n, p(timeUnits[strings.ToLower(rpt.in(6).at(1))])
	}
	if c, ok := lookup("EventRelatedPeriod", rpt.at(8)); ok {
		r.When = []string{c.code}
		if n, _, ok := number32(rpt.at(9)); ok && !strings.HasPrefix(c.code, "C") {
			if minutes, ok := (span{json.Number(rpt.at(9)), timeUnits[strings.ToLower(rpt.in(10).at(1))]}).whole(time.Minute); ok && n > 0 {
				r.Offset = &minutes
			}
		}
	}
	if r.When == nil {
		for _, at := range each(tq1.Field(4)) {
			if c, reason := hl7.ParseClock(at.at(1)); reason == "" && c.Precision() >= hl7.Minute && !strings.ContainsAny(at.at(1), "+-") {
				r.TimeOfDay = append(r.TimeOfDay, c.Time())
			}
		}
	}
	if s, ok := l.spanOf(first(tq1.Field(13))); ok {
		r.Duration, r.DurationUnit = &s.n, &s.unit
	}
	if n, _, ok := number32(value(tq1.Field(14))); ok && n > 0 {
		r.Count = &n
	}
	start, end := l.dateTime(tq1, 7), l.dateTime(tq1, 8)
	for _, tq := range old {
		if start == nil && end == nil {
			start, end = l.when(tq.at(4)), l.when(tq.at(5))
		}
		if code := tq.in(2).at(1); code != "" && t.Code == nil {
			t.Code = coded(code)
			if c, ok := lookup("RepeatPattern", code); ok {
				t.Code = one(fixed(c.system, c.code, c.display))
			}
		}
		if n, _, ok := number32(tq.at(12)); ok && n > 0 && r.Count == nil {
			r.Count = &n
		}
	}
	if s, ok := l.spanOf(first(tq1.Field(6))); ok {
		switch from, sent := l.moment(tq1, 7); {
		case start == nil && end == nil:
			r.BoundsDuration = &r4.Duration{Value: &s.n, Unit: &s.unit, System: p(ucum), Code: &s.unit}
		case end == nil && sent:
			if seconds, ok := s.whole(time.Second); ok && from.clocked() {
				end = p(from.time.Add(time.Duration(seconds) * time.Second).Format("2006-01-02T15:04:05-07:00"))
			}
		}
	}
	if r.BoundsDuration == nil {
		r.BoundsPeriod = period(start, end)
	}
	if r.BoundsDuration != nil || r.BoundsPeriod != nil || r.Count != nil || r.Duration != nil || r.Period != nil || r.When != nil || r.DayOfWeek != nil || r.TimeOfDay != nil {
		t.Repeat = r
	}
	if t.Repeat == nil && t.Code == nil {
		return nil
	}
	return t
}
