package clinical

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
	"firebreak/policy"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// sent is a resource as a feed sent it.
type sent struct {
	source string
	hours  int // before noon that it was received
	json   string
}

var (
	theRules  = sync.OnceValues(label.Default)
	thePolicy = sync.OnceValues(func() (*policy.Policy, error) { return policy.Load(policy.Demo()) })
)

// view is what a physician sees of these resources, by the real rules.
func view(t testing.TB, all ...sent) *policy.View {
	t.Helper()
	rules, err := theRules()
	if err != nil {
		t.Fatal(err)
	}
	p, err := thePolicy()
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, sent{"hospital", 9999, `{"resourceType":"Patient","id":"p","name":[{"family":"Test"}],"birthDate":"1980-05-05"}`})
	histories := map[fhir.Ref]chart.History{}
	for _, s := range all {
		r, err := fhir.Parse([]byte(s.json))
		if err != nil {
			t.Fatalf("%v in %s", err, s.json)
		}
		received := noon.Add(-time.Duration(s.hours) * time.Hour)
		histories[r.Ref()] = append(histories[r.Ref()], chart.Version{
			Labeled: rules.Label(s.source, []fhir.Resource{r})[0], VersionID: fmt.Sprint("v", s.hours), At: received, Recorded: received, Source: s.source, Current: true,
		})
	}
	ch := chart.Chart{Patient: fhir.Ref{Type: "Patient", ID: "p"}}
	var labels []label.Labeled
	for _, h := range histories {
		slices.SortFunc(h, func(a, b chart.Version) int { return b.At.Compare(a.At) })
		ch.Histories = append(ch.Histories, h)
	}
	slices.SortFunc(ch.Histories, func(a, b chart.History) int {
		return strings.Compare(a[0].Resource().Ref().String(), b[0].Resource().Ref().String())
	})
	for _, h := range ch.Histories {
		for _, v := range h {
			labels = append(labels, v.Labeled)
		}
	}
	labels = label.Propagate(labels)
	for _, h := range ch.Histories {
		for i := range h {
			h[i].Labeled, labels = labels[0], labels[1:]
		}
	}
	return p.View(accesstest.Person(t, access.Physician), ch)
}

func readChart(t testing.TB, all ...sent) *Chart { return Of(view(t, all...), noon, english(t)) }

// potassium is one result, with more elements if need be.
func potassium(id, when, value, status string, more ...string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":%q,"code":{"coding":[{"system":"http://loinc.org","code":"2823-3","display":"Potassium"}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":%q,"valueQuantity":{"value":%s,"unit":"mmol/L"}%s}`,
		id, status, when, value, strings.Join(append([]string{""}, more...), ","))
}

// values writes a test's results, newest first.
func values(c *Chart, name string) string {
	var all []string
	for _, t := range c.Tests {
		if t.Name != name {
			continue
		}
		for _, r := range t.Results {
			s := r.Value.Text
			if len(r.Sources) > 0 {
				s += " by " + strings.Join(r.Sources, "+")
			}
			if r.Differs {
				s += " differs"
			}
			if !r.Counts() {
				s += " void"
			}
			all = append(all, s)
		}
	}
	return strings.Join(all, ", ")
}

func TestResultsOfOneTest(t *testing.T) {
	const a, b = "2026-11-20T08:00:00Z", "2026-11-21T08:00:00Z"
	rows := []struct {
		name string
		sent []sent
		want string
	}{
		{"newest first", []sent{{"lab", 30, potassium("1", a, "4.0", "final")}, {"lab", 20, potassium("2", b, "4.5", "final")}}, "4.5, 4.0"},
		{"by collection, not by arrival", []sent{{"lab", 30, potassium("1", b, "4.5", "final")}, {"lab", 2, potassium("2", a, "4.0", "final")}}, "4.5, 4.0"},
		{"an instant in two zones is one time", []sent{{"lab", 9, potassium("1", "2026-11-20T08:00:00Z", "4.0", "final")}, {"other", 8, potassium("2", "2026-11-20T00:00:00-08:00", "4.0", "final")}}, "4.0 by lab+other"},
		{"two feeds, one result", []sent{{"lab", 9, potassium("1", a, "4.0", "final")}, {"hospital", 8, potassium("2", a, "4.0", "final")}}, "4.0 by hospital+lab"},
		{"two feeds that differ", []sent{{"lab", 9, potassium("1", a, "4.0", "final")}, {"hospital", 8, potassium("2", a, "4.1", "final")}}, "4.1 differs, 4.0 differs"},
		{"digits count as a difference", []sent{{"lab", 9, potassium("1", a, "4.0", "final")}, {"hospital", 8, potassium("2", a, "4.00", "final")}}, "4.00 differs, 4.0 differs"},
		{"one feed saying it twice is two results", []sent{{"lab", 9, potassium("1", a, "4.0", "final")}, {"lab", 8, potassium("2", a, "4.0", "final")}}, "4.0, 4.0"},
		{"a withdrawn one folds with nothing", []sent{{"lab", 9, potassium("1", a, "4.0", "final")}, {"hospital", 8, potassium("2", a, "4.0", "entered-in-error")}}, "4.0 void, 4.0"},
		{"a correction takes the place", []sent{{"lab", 9, potassium("1", a, "4.0", "final")}, {"lab", 3, potassium("1", a, "6.0", "corrected")}}, "6.0"},
	}
	for _, row := range rows {
		if got := values(readChart(t, row.sent...), "Potassium"); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

// What was corrected stays to be seen: the values before, newest first, and
// not those that said the same.
func TestEarlierValues(t *testing.T) {
	const a = "2026-11-20T08:00:00Z"
	c := readChart(t,
		sent{"lab", 40, potassium("1", a, "4.0", "preliminary")}, sent{"lab", 30, potassium("1", a, "4.0", "final")},
		sent{"lab", 20, potassium("1", a, "4.4", "corrected")}, sent{"lab", 10, potassium("1", a, "6.0", "corrected")})
	r := c.Tests[0].Newest()
	var got []string
	for _, old := range c.Earlier(r) {
		got = append(got, old.Value.Text)
	}
	if r.Value.Text != "6.0" || fmt.Sprint(got) != "[4.4 4.0]" {
		t.Errorf("now %s, before %v", r.Value.Text, got)
	}
}

func TestSeriesKeepUnitsAndMethodsApart(t *testing.T) {
	glucose := func(id, when, value, unit, more string) sent {
		return sent{"lab", 5, fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2345-7","display":"Glucose"}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":%q,"valueQuantity":{"value":%s,"unit":%q}%s}`, id, when, value, unit, more)}
	}
	c := readChart(t,
		glucose("1", "2024-01-01", "98", "mg/dL", ""), glucose("2", "2025-01-01", "5.1", "mmol/l", ""), glucose("3", "2026-01-01", "5.4", "mmol/L", ""),
		glucose("4", "2026-02-01", "5.0", "mmol/L", `,"method":{"text":"Strip"}`), glucose("5", "2025-06-01", "4.9", "mmol/L", ""),
		sent{"lab", 5, `{"resourceType":"Observation","id":"6","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2345-7","display":"Glucose"}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-03-01","valueString":"haemolysed"}`})
	var got []string
	for _, s := range c.Tests[0].Series() {
		line := s.Unit + " " + s.Method + ":"
		for _, r := range s.Points {
			line += " " + r.Value.Text
		}
		got = append(got, line)
	}
	if want := "[mmol/L Strip: 5.0 mmol/l : 5.1 4.9 5.4 mg/dL : 98]"; fmt.Sprint(got) != want {
		t.Errorf("series %v, want %s", got, want)
	}
	if w := c.Tests[0].Words(); len(w) != 1 || w[0].Value.Text != "haemolysed" {
		t.Errorf("words %v", w)
	}
}

func TestCourse(t *testing.T) {
	for _, row := range []struct {
		values string
		want   Course
		last   int
	}{{"3.9 4.4 6.2", Rising, 3}, {"9 3.9 4.4 6.2", Rising, 3}, {"6 5", Falling, 2}, {"5 5 5", Steady, 3}, {"5 6 5", Varying, 3}, {"5", NoCourse, 1}} {
		var all []sent
		for i, v := range strings.Fields(row.values) {
			all = append(all, sent{"lab", 50 - i, potassium(fmt.Sprint(i), fmt.Sprintf("2026-11-%02dT08:00:00Z", i+1), v, "final")})
		}
		got, last := readChart(t, all...).Tests[0].Course()
		if got != row.want || len(last) != row.last {
			t.Errorf("%s: %v of %d", row.values, got, len(last))
		}
	}
}

// A test stands in one panel: the newest report that holds it, else the panel
// it is a member of, else its kind. Parts of one result stay together.
func TestPanels(t *testing.T) {
	obs := func(id, code, name, more string) sent {
		return sent{"lab", 5, fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":%q,"display":%q}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-11-20T08:00:00Z"%s}`, id, code, name, more)}
	}
	value := `,"valueQuantity":{"value":1,"unit":"x"}`
	vital := `,"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}]`
	c := readChart(t,
		obs("k", "2823-3", "Potassium", value), obs("na", "2951-2", "Sodium", value),
		sent{"lab", 4, `{"resourceType":"DiagnosticReport","id":"r","status":"final","code":{"text":"Electrolytes"},"category":[{"text":"Chemistry"}],"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-11-20T08:00:00Z","result":[{"reference":"Observation/na"},{"reference":"Observation/k"}]}`},
		obs("hb", "718-7", "Haemoglobin", value), obs("cbc", "58410-2", "Blood count", `,"hasMember":[{"reference":"Observation/hb"}]`),
		obs("bp", "85354-9", "Blood pressure", vital+`,"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic"}]},"valueQuantity":{"value":120,"unit":"mmHg"}},{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic"}]},"valueQuantity":{"value":80,"unit":"mmHg"}}]`),
		obs("wt", "29463-7", "Weight", vital+value), obs("ht", "8302-2", "Arm length", vital+value),
		obs("zz", "2345-7", "Glucose", value))
	var got []string
	for _, p := range c.Panels {
		line := p.Name + "/" + p.Kind + ":"
		for _, x := range p.Tests {
			line += " " + x.Name
		}
		got = append(got, line)
	}
	slices.Sort(got)
	want := []string{"Blood count/: Haemoglobin", "Electrolytes/Chemistry: Sodium Potassium", "Other results/: Glucose", "Vital signs/Vital signs: Arm length Systolic Diastolic Weight"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("panels\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := len(c.ResultsOf(c.Reports[0])); n != 2 || c.ResultsOf(c.Reports[0])[0].Test.Name != "Sodium" {
		t.Errorf("the report shows %d results", n)
	}
}

// Attention is for flagged results that are the newest of their test, critical
// ones first, from the period alone.
func TestAttention(t *testing.T) {
	flagged := func(letters string) string {
		return fmt.Sprintf(`"interpretation":[{"coding":[{"code":%q}]}]`, letters)
	}
	sodium := func(s string) string {
		return strings.NewReplacer("2823-3", "2951-2", "Potassium", "Sodium").Replace(s)
	}
	urea := func(s string) string {
		return strings.NewReplacer("2823-3", "3094-0", "Potassium", "Urea").Replace(s)
	}
	chloride := func(s string) string {
		return strings.NewReplacer("2823-3", "2075-0", "Potassium", "Chloride").Replace(s)
	}
	c := readChart(t,
		sent{"lab", 9, potassium("1", "2026-11-21T08:00:00Z", "5.6", "final", flagged("H"))},
		sent{"lab", 8, sodium(potassium("2", "2026-10-01T08:00:00Z", "119", "final", flagged("LL")))},
		sent{"lab", 7, urea(potassium("3", "2026-11-01T08:00:00Z", "20", "final", flagged("HH")))},
		sent{"lab", 6, urea(potassium("4", "2026-11-02T08:00:00Z", "7", "final"))},
		sent{"lab", 5, chloride(potassium("5", "2026-01-02T08:00:00Z", "70", "final", flagged("LL")))})
	var got []string
	for _, x := range c.Attention(90 * 24 * time.Hour) {
		got = append(got, x.Name)
	}
	if fmt.Sprint(got) != "[Sodium Potassium]" {
		t.Errorf("needs a look: %v", got)
	}
}

// The order in which resources come out of the view changes nothing.
func TestTheReadingDoesNotDependOnOrder(t *testing.T) {
	var all []sent
	for i := range 40 {
		all = append(all, sent{[]string{"lab", "hospital"}[i%2], 40 - i, potassium(fmt.Sprint(i), fmt.Sprintf("2026-11-%02dT08:00:00Z", i%20+1), fmt.Sprintf("4.%d", i%7), "final")})
	}
	want := values(readChart(t, all...), "Potassium")
	for range 5 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if got := values(readChart(t, all...), "Potassium"); got != want {
			t.Fatalf("%s\nis not\n%s", got, want)
		}
	}
}

// Whatever is missing from a resource, reading it does not fail.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		potassium("1", "2026-11-20", "4", "final"),
		`{"resourceType":"Observation","id":"x","component":[{}],"hasMember":[{"reference":"Observation/x"}],"referenceRange":[{"low":{}}],"interpretation":[{}]}`,
		`{"resourceType":"Encounter","id":"x","class":{},"period":{},"participant":[{}],"location":[{}]}`,
		`{"resourceType":"DocumentReference","id":"x","status":"current","content":[{"attachment":{"data":"!!"}}]}`,
		`{"resourceType":"Appointment","id":"x","participant":[{"actor":{}}]}`,
		`{"resourceType":"Patient","id":"p","name":[{}],"birthDate":"9999","deceasedDateTime":"x"}`,
		`{"resourceType":"DiagnosticReport","id":"x","result":[{"reference":"Observation/x"},{}],"presentedForm":[{"url":"http://elsewhere/Binary/1"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhir.Parse(b)
		if err != nil || r.ID() == "" {
			return
		}
		c := readChart(t, sent{"lab", 1, string(b)})
		for _, x := range c.Tests {
			x.Newest()
			x.Course()
			for _, r := range x.Results {
				r.Flag()
				c.Earlier(r)
			}
		}
		for _, d := range c.Documents {
			for _, x := range d.Files {
				c.Bytes(x)
			}
		}
		for _, x := range c.Reports {
			c.ResultsOf(x)
		}
		c.Timeline()
		c.Coming()
		c.Attention(time.Hour)
		c.Message(r.Ref())
	})
}

// One chart gives one page: a panel is called alike each time, whichever of its
// tests is looked at first.
func TestAPanelIsCalledAlikeEachTime(t *testing.T) {
	lab := `"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],`
	observation := func(id, loinc, name, more string) string {
		return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final",%s"code":{"coding":[{"system":"http://loinc.org","code":%q,"display":%q}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-11-01T08:00:00Z","valueQuantity":{"value":4}}`, id, more, loinc, name)
	}
	report := func(id, name, results string) string {
		return fmt.Sprintf(`{"resourceType":"DiagnosticReport","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"24321-2","display":%q}]},"subject":{"reference":"Patient/p"},"result":[%s]}`, id, name, results)
	}
	v := view(t,
		sent{"hospital", 9, observation("a", "2951-2", "Sodium", "")}, sent{"hospital", 9, observation("b", "2823-3", "Potassium", "")},
		sent{"hospital", 9, observation("c", "2160-0", "Creatinine", lab)},
		sent{"hospital", 9, report("r", "Basic metabolic panel", `{"reference":"Observation/a"},{"reference":"Observation/b"}`)},
		sent{"hospital", 9, report("s", "BMP", `{"reference":"Observation/c"}`)})
	called := map[string]bool{}
	for range 50 {
		c := Of(v, noon, english(t))
		for _, p := range c.Panels {
			called[p.Name+" "+p.Kind] = true
		}
	}
	if len(called) != 1 {
		t.Errorf("one panel is called %v", called)
	}
}
