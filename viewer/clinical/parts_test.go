package clinical

import (
	"fmt"
	"testing"
	"time"

	"firebreak/fhir"
)

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// PX-03: a time keeps the precision, date and offset it was sent with. No
// zone it is looked at from moves it.
func TestTimesStayAsSent(t *testing.T) {
	vancouver := mustZone(t, "America/Vancouver")
	rows := []struct{ sent, date, clock, zone, machine string }{
		{"2026", "2026", "", "", "2026"},
		{"2026-01", "Jan-2026", "", "", "2026-01"},
		{"2026-11-22", "22-Nov-2026", "", "", "2026-11-22"},
		{"2026-11-22T08:10:00-08:00", "22-Nov-2026", "08:10", "PST", "2026-11-22T08:10:00-08:00"},
		{"2026-07-22T08:10:00-07:00", "22-Jul-2026", "08:10", "PDT", "2026-07-22T08:10:00-07:00"},
		{"2026-07-22T08:10:00-08:00", "22-Jul-2026", "08:10", "UTC−8", "2026-07-22T08:10:00-08:00"},
		{"2026-11-22T23:59:59.123Z", "22-Nov-2026", "23:59", "UTC", "2026-11-22T23:59:59.123Z"},
		{"2026-11-22T00:30:00+05:45", "22-Nov-2026", "00:30", "UTC+5:45", "2026-11-22T00:30:00+05:45"},
		{"2026-11-01T01:30:00-07:00", "01-Nov-2026", "01:30", "PDT", "2026-11-01T01:30:00-07:00"}, // the hour that comes twice,
		{"2026-11-01T01:30:00-08:00", "01-Nov-2026", "01:30", "PST", "2026-11-01T01:30:00-08:00"}, // and again
		{"2026-03-08T03:00:00-07:00", "08-Mar-2026", "03:00", "PDT", "2026-03-08T03:00:00-07:00"},
		{"yesterday", "yesterday", "", "", ""},
		{"", "", "", "", ""},
	}
	for _, row := range rows {
		got := ParseTime(row.sent)
		if got.Date() != row.date || got.Clock() != row.clock || got.Zone(vancouver) != row.zone || got.Machine() != row.machine {
			t.Errorf("%s: %s %s %s %s", row.sent, got.Date(), got.Clock(), got.Zone(vancouver), got.Machine())
		}
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, vancouver)
	for sent, want := range map[string]string{"2026-11-20T08:10:00-08:00": "20-Nov", "2026-12-03": "03-Dec", "2025-11-20": "20-Nov-2025", "2026-11": "Nov-2026"} {
		if got := ParseTime(sent).Short(now); got != want {
			t.Errorf("Short(%s) = %s, want %s", sent, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for _, row := range []struct{ birth, on, want string }{
		{"1971-02-03", "2026-02-02", "54 y"}, {"1971-02-03", "2026-02-03", "55 y"}, {"2000-02-29", "2026-02-28", "25 y"},
		{"2025-06-30", "2026-11-22", "16 mo"}, {"2024-11-22", "2026-11-22", "2 y"}, {"2026-11-13", "2026-11-22", "9 d"}, {"2026-11-22", "2026-11-22", "0 d"},
		{"1971", "2026-11-22", "about 55 y"}, {"1971-02", "2026-11-22", "about 55 y"}, {"2027-01-01", "2026-11-22", ""}, {"", "2026-11-22", ""},
	} {
		on, err := time.Parse(time.DateOnly, row.on)
		if err != nil {
			t.Fatal(err)
		}
		if got := age(ParseTime(row.birth), on, english(t)); got != row.want {
			t.Errorf("born %s, on %s: %q, want %q", row.birth, row.on, got, row.want)
		}
	}
}

// PX-02: no flag is dropped or guessed. Known codes get their meaning, others
// stand as they were sent.
func TestFlags(t *testing.T) {
	rows := []struct {
		name, json string
		want       string // letters arrow weight, one flag after the other
	}{
		{"none", `[]`, ""},
		{"high", `[{"coding":[{"code":"H"}]}]`, "H ▲ abn"},
		{"critically low", `[{"coding":[{"code":"LL","display":"Critical low"}]}]`, "LL ▼▼ crit"},
		{"critical in another system's letters", `[{"coding":[{"code":"H*"}]}]`, "H* ▲▲ crit"},
		{"letters in the text beside a translated code", `[{"coding":[{"code":"HH"}],"text":"H*"}]`, "H* ▲▲ crit"},
		{"a lighter text does not make it lighter", `[{"coding":[{"code":"HH"}],"text":"H"}]`, "HH ▲▲ crit"},
		{"beyond what can be measured", `[{"coding":[{"code":">"}]}]`, "> ▲ abn"},
		{"normal has no verdict of ours", `[{"coding":[{"code":"N"}]}]`, "N  "},
		{"a local code", `[{"coding":[{"code":"INSUF","display":"insufficient"}]}]`, "INSUF  "},
		{"a known code after a local one", `[{"coding":[{"code":"99"},{"code":"L"}]}]`, "L ▼ low"},
		{"text only", `[{"text":"see note"}]`, "see note  "},
		{"two flags", `[{"coding":[{"code":"H"}]},{"coding":[{"code":"U"}]}]`, "H ▲ abn; U  "},
		{"lower case is another code", `[{"coding":[{"code":"h"}]}]`, "h  "},
	}
	for _, row := range rows {
		got := ""
		for i, f := range readFlags(node(t, row.json), english(t)) {
			if i > 0 {
				got += "; "
			}
			got += f.Letters + " " + f.Arrow + " " + f.Weight.Class()
		}
		if got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	for code, f := range flags {
		if f.Weight > Plain && (f.Arrow == "" || english(t)(f.key) == "") {
			t.Errorf("%s has weight and no arrow or words", code)
		}
	}
}

// node is a value inside a resource.
func node(t testing.TB, json string) fhir.Node {
	t.Helper()
	r, err := fhir.Parse([]byte(`{"resourceType":"Basic","id":"x","x":` + json + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return r.Get("x")
}

// Values are shown as sent; what can be drawn is read beside that.
func TestValues(t *testing.T) {
	rows := []struct{ kind, json, want string }{
		{"valueQuantity", `{"value":6.20,"unit":"mmol/L"}`, "6.20 mmol/L | 6.2"},
		{"valueQuantity", `{"value":1.00E+2,"code":"mg","system":"http://unitsofmeasure.org"}`, "1.00E+2 mg | 100"},
		{"valueQuantity", `{"value":5,"comparator":"<","unit":"ng/L"}`, "<5 ng/L | <5"},
		{"valueQuantity", `{"value":1.25,"code":"1"}`, "1.25  | 1.25"},
		{"valueQuantity", `{"unit":"mmol/L"}`, " mmol/L | "},
		{"valueString", `"<5"`, "<5  | <5"},
		{"valueString", `"> 1000"`, "> 1000  | >1000"},
		{"valueString", `"5.40"`, "5.40  | 5.4"},
		{"valueString", `"60~120"`, "60~120  | "},
		{"valueString", `"1:40"`, "1:40  | "},
		{"valueString", `"2026-11-22"`, "2026-11-22  | "},
		{"valueString", `"Inf"`, "Inf  | "},
		{"valueString", `"0x10"`, "0x10  | "},
		{"valueString", `"Negative"`, "Negative  | "},
		{"valueInteger", `7`, "7  | 7"},
		{"valueBoolean", `true`, "Yes  | "},
		{"valueCodeableConcept", `{"coding":[{"code":"260385009","display":"Negative"}]}`, "Negative  | "},
		{"valueRange", `{"low":{"value":2,"unit":"h"},"high":{"value":4,"unit":"h"}}`, "2–4 h | "},
		{"valueRatio", `{"numerator":{"value":1},"denominator":{"value":80}}`, "1:80  | "},
		{"valueRatio", `{"numerator":{"value":30,"unit":"mg"},"denominator":{"value":1,"unit":"g"}}`, "30 mg / 1 g  | "},
		{"valueDateTime", `"2026-01"`, "Jan-2026  | "},
		{"valuePeriod", `{"start":"2026-01-01","end":"2026-01-09"}`, "01-Jan-2026 to 09-Jan-2026  | "},
		{"valueSampledData", `{"data":"1 2 3"}`, "waveform, 3 samples  | "},
	}
	for _, row := range rows {
		v := readValue(valueNodes{kind: row.kind, value: node(t, row.json)}, english(t))
		drawn := ""
		if v.Numeric {
			drawn = v.Compare + fmt.Sprint(v.Number)
		}
		if got := v.Text + " " + v.Unit + " | " + drawn; got != row.want || v.Absent {
			t.Errorf("%s %s: %q, want %q", row.kind, row.json, got, row.want)
		}
	}
	if v := readValue(valueNodes{absent: node(t, `{"text":"Sample haemolysed"}`)}, english(t)); !v.Absent || v.Text != "Sample haemolysed" {
		t.Errorf("absent: %+v", v)
	}
	if v := readValue(valueNodes{}, english(t)); !v.Absent || v.Text != "" {
		t.Errorf("nothing: %+v", v)
	}
}

func TestRanges(t *testing.T) {
	for _, row := range []struct{ json, want string }{
		{`[{"low":{"value":3.50},"high":{"value":5.0}}]`, "3.50–5.0 [3.5 5]"},
		{`[{"low":{"value":60}}]`, "≥ 60 [60 -]"},
		{`[{"high":{"value":16}}]`, "≤ 16 [- 16]"},
		{`[{"text":"49 - 92"}]`, "49 - 92 [49 92]"},
		{`[{"text":"<5.0"}]`, "<5.0 [- 5]"},
		{`[{"text":">= 60"}]`, ">= 60 [60 -]"},
		{`[{"text":"-2 - 2"}]`, "-2 - 2 [-2 2]"},
		{`[{"text":"Negative"}]`, "Negative [- -]"},
		{`[{"text":"92 - 49"}]`, "92 - 49 [- -]"},
		{`[{"low":{"value":1},"high":{"value":2},"text":"1 to 2, fasting"}]`, "1 to 2, fasting [1 2]"},
		{`[{"type":{"coding":[{"code":"therapeutic","display":"Therapeutic"}]},"low":{"value":10},"high":{"value":20}},{"type":{"coding":[{"code":"normal"}]},"low":{"value":1},"high":{"value":2}}]`, "1–2 [1 2]; Therapeutic 10–20 [- -]"},
		{`[{"low":{"value":120},"high":{"value":160},"appliesTo":[{"text":"Female"}]}]`, "120–160 (Female) [120 160]"},
		{`[{}]`, ""},
	} {
		got := ""
		for i, r := range readRanges(node(t, row.json)) {
			if i > 0 {
				got += "; "
			}
			low, high := "-", "-"
			if r.HasLow {
				low = fmt.Sprint(r.Low)
			}
			if r.HasHigh {
				high = fmt.Sprint(r.High)
			}
			got += fmt.Sprintf("%s [%s %s]", r.Text, low, high)
		}
		if got != row.want {
			t.Errorf("%s: %q, want %q", row.json, got, row.want)
		}
	}
}

// Only the spelling of litre is taken for the same unit.
func TestSameUnit(t *testing.T) {
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"mmol/L", "mmol/l", true}, {"g/dL", "g/dl", true}, {"mmol/L", "mg/dL", false}, {"mg", "Mg", false}, {"mol", "MOL", false}, {"U/L", "u/L", false}, {" g/L", "g/L", true},
	} {
		if got := sameUnit(row.a) == sameUnit(row.b); got != row.same {
			t.Errorf("%q and %q: %v", row.a, row.b, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, row := range []struct{ json, want, called string }{
		{`[{"family":"Ayan","given":["Test","Marie"]}]`, "AYAN, Test Marie", "Test Marie Ayan"},
		{`[{"use":"maiden","family":"Old"},{"use":"official","family":"New","given":["A"]}]`, "NEW, A", "Old"},
		{`[{"text":"Cher"}]`, "Cher", "Cher"},
		{`[{"given":["Mononym"]}]`, "Mononym", "Mononym"},
		{`[{"prefix":["Dr"],"given":["Kathleen"],"family":"Woolfson","suffix":["MD"]}]`, "WOOLFSON, Kathleen", "Dr Kathleen Woolfson MD"},
		{`[]`, "", ""},
	} {
		if got := personName(node(t, row.json)); got != row.want {
			t.Errorf("%s: %q, want %q", row.json, got, row.want)
		}
		if got := calledName(node(t, row.json)); got != row.called {
			t.Errorf("%s is called %q, want %q", row.json, got, row.called)
		}
	}
}

// The number in the banner is a health number before a hospital's own.
func TestNumbers(t *testing.T) {
	n := node(t, `[{"type":{"coding":[{"code":"MR"}]},"value":"1"},{"system":"urn:x:local-id","value":"2"},{"type":{"coding":[{"code":"JHN"}]},"value":"9000 000 000"},{"type":{"coding":[{"code":"MR"}]},"value":"1"},{"use":"old","value":"0"},{"type":{"text":"Study"},"value":"7"}]`)
	if got := fmt.Sprint(readNumbers(n, english(t))); got != "[{PHN 9000 000 000} {MRN 1} {local-id 2} {Study 7}]" {
		t.Errorf("numbers = %s", got)
	}
}
