package hl7

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func zoneOf(t testing.TB, name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestTimesKeepPrecisionAndOffset(t *testing.T) {
	toronto := zoneOf(t, "America/Toronto")
	for _, c := range []struct {
		in                 string
		precision          Precision
		date, here, abroad string // FHIR date; dateTime in Toronto; dateTime without a known zone
	}{
		{"2026", Year, "2026", "2026", "2026"},
		{"202601", Month, "2026-01", "2026-01", "2026-01"},
		{"20260131", Day, "2026-01-31", "2026-01-31", "2026-01-31"},
		{"20260131+0500", Day, "2026-01-31", "2026-01-31", "2026-01-31"},
		{"2026013107", Hour, "2026-01-31", "2026-01-31", "2026-01-31"},
		{"202601310745", Minute, "2026-01-31", "2026-01-31T07:45:00-05:00", "2026-01-31"},
		{"202607310745", Minute, "2026-07-31", "2026-07-31T07:45:00-04:00", "2026-07-31"},
		{"202601310745+0000", Minute, "2026-01-31", "2026-01-31T07:45:00+00:00", "2026-01-31T07:45:00+00:00"},
		{"202601310745-0000", Minute, "2026-01-31", "2026-01-31T07:45:00-00:00", "2026-01-31T07:45:00-00:00"},
		{"198808181126+0215", Minute, "1988-08-18", "1988-08-18T11:26:00+02:15", "1988-08-18T11:26:00+02:15"},
		{"20260131074501", Second, "2026-01-31", "2026-01-31T07:45:01-05:00", "2026-01-31"},
		{"20050527000000", Second, "2005-05-27", "2005-05-27T00:00:00-04:00", "2005-05-27"},
		{"20260131074501-0330", Second, "2026-01-31", "2026-01-31T07:45:01-03:30", "2026-01-31T07:45:01-03:30"},
		{"20260131074501.1", Fraction, "2026-01-31", "2026-01-31T07:45:01.1-05:00", "2026-01-31"},
		{"20260131074501.1200+1400", Fraction, "2026-01-31", "2026-01-31T07:45:01.1200+14:00", "2026-01-31T07:45:01.1200+14:00"},
		{"20260131074501.123456789+0100", Fraction, "2026-01-31", "2026-01-31T07:45:01.123456789+01:00", "2026-01-31T07:45:01.123456789+01:00"},
		{"20161231235960+0000", Second, "2016-12-31", "2016-12-31T23:59:60+00:00", "2016-12-31T23:59:60+00:00"},
		{"20240229", Day, "2024-02-29", "2024-02-29", "2024-02-29"},
		{" 20240229 ", Day, "2024-02-29", "2024-02-29", "2024-02-29"},
		{"0001", Year, "0001", "0001", "0001"},
		{"20260308023000", Second, "2026-03-08", "2026-03-08", "2026-03-08"},                // never: the clock went forward
		{"20261101013000", Second, "2026-11-01", "2026-11-01", "2026-11-01"},                // twice: the clock went back
		{"20261101003000", Second, "2026-11-01", "2026-11-01T00:30:00-04:00", "2026-11-01"}, // just before
		{"20261101020000", Second, "2026-11-01", "2026-11-01T02:00:00-05:00", "2026-11-01"}, // just behind
		{"20260308030000", Second, "2026-03-08", "2026-03-08T03:00:00-04:00", "2026-03-08"},
		{"18000101120000", Second, "1800-01-01", "1800-01-01", "1800-01-01"}, // local mean time has seconds
	} {
		t.Run(c.in, func(t *testing.T) {
			v, reason := ParseTime(c.in)
			if reason != "" {
				t.Fatal(reason)
			}
			if v.Precision != c.precision || v.IsZero() {
				t.Errorf("precision %d, want %d", v.Precision, c.precision)
			}
			if got := v.Date(); got != c.date {
				t.Errorf("date %s, want %s", got, c.date)
			}
			if got := v.DateTime(toronto); got != c.here {
				t.Errorf("dateTime %s, want %s", got, c.here)
			}
			if got := v.DateTime(nil); got != c.abroad {
				t.Errorf("dateTime without zone %s, want %s", got, c.abroad)
			}
		})
	}
}

func TestStartOrdersTimes(t *testing.T) {
	toronto := zoneOf(t, "America/Toronto")
	for in, want := range map[string]string{
		"2026":                 "2026-01-01T00:00:00-05:00",
		"202607":               "2026-07-01T00:00:00-04:00",
		"20260731":             "2026-07-31T00:00:00-04:00",
		"2026073107":           "2026-07-31T07:00:00-04:00",
		"20260731074501+0200":  "2026-07-31T07:45:01+02:00",
		"20261101013000":       "2026-11-01T01:30:00-04:00", // shown twice: the first
		"20260308023000":       "2026-03-08T03:30:00-04:00", // never shown
		"20260731235960":       "2026-08-01T00:00:00-04:00",
		"20260731074501.25":    "2026-07-31T07:45:01.25-04:00",
		"20260731074501-00301": "",
	} {
		v, reason := ParseTime(in)
		if want == "" {
			if reason == "" {
				t.Errorf("%s is a time", in)
			}
			continue
		}
		if got := v.Start(toronto).Format(time.RFC3339Nano); got != want {
			t.Errorf("%s starts at %s, want %s", in, got, want)
		}
	}
	if v, _ := ParseTime("20260731"); v.Start(nil) != time.Date(2026, 7, 31, 0, 0, 0, 0, time.UTC) {
		t.Error("without a zone it is UTC")
	}
	if !(Time{}).Start(nil).IsZero() || (Time{}).Date() != "" || (Time{}).DateTime(nil) != "" {
		t.Error("the zero Time is something")
	}
}

func TestInstantNeedsSecondsAndZone(t *testing.T) {
	for in, want := range map[string]string{
		"20260131074501+0100": "2026-01-31T07:45:01+01:00",
		"202601310745+0100":   "",
		"20260131074501":      "",
		"20260131":            "",
	} {
		v, _ := ParseTime(in)
		if got := v.Instant(nil); got != want {
			t.Errorf("%s gives %q, want %q", in, got, want)
		}
	}
}

func TestWhatIsNoTime(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "something other than digits",
		"x":                         "something other than digits",
		"20":                        "a wrong number of digits",
		"20261":                     "a wrong number of digits",
		"2020051401000000":          "a wrong number of digits",
		"2026-01-31":                "the zone is not +HHMM or -HHMM",
		"20260131T0745":             "something other than digits",
		"0000":                      "no such year",
		"00000000":                  "no such year",
		"202600":                    "no such month",
		"202613":                    "no such month",
		"20260100":                  "no such day",
		"20260230":                  "no such day",
		"20250229":                  "no such day",
		"2026013124":                "no such hour",
		"202601310760":              "no such minute",
		"20260131074561":            "no such second",
		"20260131.5":                "a fraction without seconds",
		"20260131074501.":           "the fraction is not one to nine digits",
		"20260131074501.1234567890": "the fraction is not one to nine digits",
		"20260131074501.x":          "the fraction is not one to nine digits",
		"20260131+05":               "the zone is not +HHMM or -HHMM",
		"20260131+05:00":            "the zone is not +HHMM or -HHMM",
		"20260131+1401":             "no such zone",
		"20260131+0060":             "no such zone",
		"+0500":                     "something other than digits",
		"DOB":                       "something other than digits",
	} {
		if v, reason := ParseTime(in); reason != "not a time: "+want || v != (Time{}) {
			t.Errorf("%q: %q, want %q", in, reason, want)
		}
	}
}

func TestTimeFields(t *testing.T) {
	z := parse(t, "MSH|^~\\&|A\rZZZ|20260131074501^D|\"\"||20260131~2027^M|x^D|2026^S|20260131074501^Y").Segment("ZZZ")
	for n, want := range map[int]string{1: "2026-01-31", 2: "", 3: "", 4: "2026-01-31", 6: "2026", 7: "2026"} {
		v, err := z.Field(n).Time()
		if err != nil || v.DateTime(time.UTC) != want {
			t.Errorf("ZZZ-%d: %s, %v; want %s", n, v.DateTime(time.UTC), err, want)
		}
	}
	if v, err := z.Field(1).Component(1).Time(); err != nil || v.Precision != Second {
		t.Errorf("the component by itself: %d, %v", v.Precision, err)
	}
	if v, err := z.Field(4).Rep(1).Time(); err != nil || v.Date() != "2027" {
		t.Errorf("the second repetition: %s, %v", v.Date(), err)
	}
	if _, err := z.Field(5).Time(); err == nil || err.Error() != "hl7: ZZZ-5 in segment 2: not a time: something other than digits" {
		t.Error(err)
	}
}

func TestClock(t *testing.T) {
	for in, want := range map[string]string{
		"0745": "07:45:00", "074501": "07:45:01", "074501.25": "07:45:01.25", "0745+0100": "07:45:00", "07": "", "235960": "23:59:60",
	} {
		c, reason := ParseClock(in)
		if reason != "" || c.Time() != want {
			t.Errorf("%s gives %q, %s; want %q", in, c.Time(), reason, want)
		}
	}
	for _, in := range []string{"", "7", "24", "0760", "x", "07:45", "+0100"} {
		if c, reason := ParseClock(in); reason == "" {
			t.Errorf("%q is taken for %v", in, c)
		}
	}
	z := parse(t, "MSH|^~\\&|A\rZZZ|0745||x").Segment("ZZZ")
	if c, ok, err := z.Field(1).Clock(); !ok || err != nil || c.Precision() != Minute {
		t.Error(c, ok, err)
	}
	if _, ok, err := z.Field(2).Clock(); ok || err != nil {
		t.Error(ok, err)
	}
	if _, ok, err := z.Field(3).Clock(); ok || err == nil {
		t.Error(ok, err)
	}
}
